#include "relay/settings_diff.h"

#include <string.h>

#include "tests/unit/test.h"

static const char *changed(struct settings *after)
{
    static char path[] = "/run/a";
    struct settings before = {.process = {.workers = 1}, .admin = {.socket = path}};
    const struct settings_section *section = NULL;
    const struct option *option = settings_diff_restart(&before, after, &section);

    return option ? option->name : "";
}

TEST(equal_values_at_other_places_need_no_restart)
{
    char path[] = "/run/a";
    struct settings after = {.process = {.workers = 1}, .admin = {.socket = path}};

    check(strcmp(changed(&after), "") == 0);
}

TEST(a_changed_restart_option_is_named)
{
    char path[] = "/run/a", pid[] = "/run/p";
    struct settings after = {.process = {.workers = 2}, .admin = {.socket = path}};

    check(strcmp(changed(&after), "workers") == 0);
    after.process.workers = 1;
    after.process.user.given = true;
    check(strcmp(changed(&after), "user") == 0);
    after.process.user.given = false;
    after.process.pid_file = pid;
    check(strcmp(changed(&after), "pid_file") == 0);
}

TEST(a_live_option_needs_no_restart)
{
    char path[] = "/run/a";
    struct settings after = {
        .process = {.workers = 1, .drain_timeout_ns = 5},
          .admin = {.socket = path           }
    };

    check(strcmp(changed(&after), "") == 0);
}
