#include "cli/privileges.h"

#include <errno.h>
#include <grp.h>
#include <sys/prctl.h>
#include <unistd.h>

int privileges_drop(const struct account *user, const struct account *group)
{
    gid_t gid = group->given ? (gid_t)group->id : user->group;

    if (!user->given && !group->given)
        return 0;
    if (geteuid() == 0 && setgroups(1, &gid))
        return -errno;
    if (setresgid(gid, gid, gid))
        return -errno;
    if (user->given && setresuid(user->id, user->id, user->id))
        return -errno;
    if (user->given && user->id && setuid(0) == 0)
        return -EPERM; /* the way back is open: nothing was dropped */
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ? -errno : 0;
}
