/* cli/privileges.h - running as somebody else from now on.
 * Thread: the control thread's; a drop is all threads'. */
#ifndef CLI_PRIVILEGES_H
#define CLI_PRIVILEGES_H

#include "core/account.h"

/* To user and group, without further groups; nothing where neither is given.  0 or -errno: the
 * process must end, since it may hold some of its old rights. */
int privileges_drop(const struct account *user, const struct account *group) MUST_CHECK;

#endif
