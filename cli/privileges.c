#include "cli/privileges.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
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

int pid_file_write(const char *path, const struct account *owner)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
    int rc = 0;

    if (fd < 0)
        return -errno;
    if (dprintf(fd, "%d\n", (int)getpid()) < 0 ||
        (owner->given && fchown(fd, owner->id, (gid_t)-1)))
        rc = -errno;
    if (close(fd) && !rc)
        rc = -errno;
    return rc;
}

static long pid_file_read(const char *path)
{
    char text[32] = "";
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

    if (fd < 0)
        return -1;
    if (read(fd, text, sizeof text - 1) < 0)
        *text = 0;
    close(fd);
    return strtol(text, NULL, 10);
}

/* In a folder that is not ours any more it stays, empty. */
void pid_file_remove(const char *path)
{
    if (pid_file_read(path) == getpid() && unlink(path) && truncate(path, 0))
        return;
}
