#include "core/reason.h"

#include <errno.h>
#include <string.h>

#include "tests/unit/test.h"

TEST(every_reason_has_a_text_and_a_name_of_its_own_for_scripts)
{
    for (int i = 0; i < REASON_COUNT; i++) {
        const char *name = reason_name(i);

        check(*reason_text(i));
        check(*name && strspn(name, "abcdefghijklmnopqrstuvwxyz_") == strlen(name));
        check(reason_severity(i) >= LOG_DEBUG && reason_severity(i) <= LOG_ERROR);
        for (int j = 0; j < i; j++)
            check(strcmp(reason_name(j), name) != 0);
    }
}

TEST(no_name_was_cut)
{
#define LONGEST(name, severity, text) check(strlen(reason_name(REASON_##name)) == strlen(#name));
    REASONS(LONGEST)
#undef LONGEST
    check(strcmp(reason_name(REASON_HALF_CLOSE_TIMEOUT), "half_close_timeout") == 0);
    check(strcmp(reason_text(REASON_REFUSED), "refused by the service") == 0);
}

TEST(an_errno_of_either_sign_is_translated)
{
    check(reason_of_errno(0) == REASON_DONE);
    check(reason_of_errno(-ECONNRESET) == REASON_RESET);
    check(reason_of_errno(EPIPE) == REASON_RESET);
    check(reason_of_errno(-ECONNREFUSED) == REASON_REFUSED);
    check(reason_of_errno(-EHOSTUNREACH) == REASON_UNREACHABLE);
    check(reason_of_errno(-EACCES) == REASON_UNREACHABLE);
    check(reason_of_errno(-ETIMEDOUT) == REASON_PEER_TIMEOUT);
    check(reason_of_errno(-EMFILE) == REASON_NO_DESCRIPTORS);
    check(reason_of_errno(ENOBUFS) == REASON_NO_MEMORY);
    check(reason_of_errno(-ECANCELED) == REASON_ABANDONED);
}

TEST(an_errno_that_no_row_names_is_the_systems_refusal)
{
    check(reason_of_errno(-EINVAL) == REASON_SYSTEM);
    check(reason_of_errno(99999) == REASON_SYSTEM);
}
