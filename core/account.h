/* core/account.h - users and groups by name or number, read from passwd and group files by
 * ourselves: a static program has no getpwnam.  Thread: any. */
#ifndef CORE_ACCOUNT_H
#define CORE_ACCOUNT_H

#include <stdbool.h>
#include <sys/types.h>

#include "core/must.h"

struct account {
    bool given;
    uid_t id;    /* a gid for groups */
    gid_t group; /* users: their own group */
};

enum account_kind { ACCOUNT_USER, ACCOUNT_GROUP };

/* From a file in the form of /etc/passwd or /etc/group.  A number needs no line there; the group of
 * such a user is the number itself.  0, -ENOENT, or -errno when the file cannot be read. */
int account_find(enum account_kind kind, const char *file, const char *name,
                 struct account *account) MUST_CHECK;

#endif
