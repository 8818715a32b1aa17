/* cli/privileges.h - running as somebody else from now on, and the file with our number.
 * Thread: the control thread's; a drop is all threads'. */
#ifndef CLI_PRIVILEGES_H
#define CLI_PRIVILEGES_H

#include "core/account.h"

/* To user and group, without further groups; nothing where neither is given.  0 or -errno: the
 * process must end, since it may hold some of its old rights. */
int privileges_drop(const struct account *user, const struct account *group) MUST_CHECK;

/* 0 or -errno. */
int pid_file_write(const char *path, const struct account *owner) MUST_CHECK;
void pid_file_remove(const char *path); /* when it still holds our number */

#endif
