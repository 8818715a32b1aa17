#include "core/reason.h"

#include <errno.h>

#include "core/must.h"
#include "core/text.h"

enum { REASON_NAME_SIZE = 24 };

static const struct {
    const char *name, *text;
    enum log_level severity;
} reason_rows[REASON_COUNT] = {
#define REASON_ROW(name, severity, text) [REASON_##name] = {#name, text, severity},
    REASONS(REASON_ROW)
#undef REASON_ROW
};

static char reason_names[REASON_COUNT][REASON_NAME_SIZE];

/* Before main, so that any thread may read the names. */
__attribute__((constructor)) static void reason_names_fill(void)
{
    for (int i = 0; i < REASON_COUNT; i++)
        text_lower(reason_names[i], sizeof(reason_names[i]), reason_rows[i].name);
}

/* What a socket of a relay can say.  ETIMEDOUT is a live connection whose peer fell silent:
 * connects have deadlines of their own.  ENOENT and what follows from EACCES on are paths that lead
 * nowhere, and addresses that a firewall or this kernel keeps from us. */
static const struct {
    int error;
    enum reason reason;
} errno_rows[] = {
    {0,            REASON_DONE          },
    {ECONNRESET,   REASON_RESET         },
    {ECONNABORTED, REASON_RESET         },
    {EPIPE,        REASON_RESET         },
    {ENOTCONN,     REASON_RESET         },
    {ECONNREFUSED, REASON_REFUSED       },
    {ENOENT,       REASON_UNREACHABLE   },
    {ENETUNREACH,  REASON_UNREACHABLE   },
    {ENETDOWN,     REASON_UNREACHABLE   },
    {EHOSTUNREACH, REASON_UNREACHABLE   },
    {EHOSTDOWN,    REASON_UNREACHABLE   },
    {EACCES,       REASON_UNREACHABLE   },
    {EPERM,        REASON_UNREACHABLE   },
    {EAFNOSUPPORT, REASON_UNREACHABLE   },
    {ENOTDIR,      REASON_UNREACHABLE   },
    {EPROTOTYPE,   REASON_UNREACHABLE   },
    {ETIMEDOUT,    REASON_PEER_TIMEOUT  },
    {EPROTO,       REASON_PROTOCOL      },
    {ENOMEM,       REASON_NO_MEMORY     },
    {ENOBUFS,      REASON_NO_MEMORY     },
    {EMFILE,       REASON_NO_DESCRIPTORS},
    {ENFILE,       REASON_NO_DESCRIPTORS},
    {ECANCELED,    REASON_ABANDONED     },
};

const char *reason_text(enum reason reason)
{
    must(reason < REASON_COUNT);
    return reason_rows[reason].text;
}

const char *reason_name(enum reason reason)
{
    must(reason < REASON_COUNT);
    return reason_names[reason];
}

enum log_level reason_severity(enum reason reason)
{
    must(reason < REASON_COUNT);
    return reason_rows[reason].severity;
}

bool reason_is_ours(enum reason reason)
{
    return reason == REASON_NO_MEMORY || reason == REASON_NO_DESCRIPTORS ||
           reason == REASON_SYSTEM || reason == REASON_LIMIT || reason == REASON_SHUTDOWN ||
           reason == REASON_NAME_PENDING;
}

enum reason reason_of_errno(int error)
{
    if (error < 0)
        error = -error;
    for (size_t i = 0; i < ARRAY_COUNT(errno_rows); i++) {
        if (errno_rows[i].error == error)
            return errno_rows[i].reason;
    }
    return REASON_SYSTEM;
}
