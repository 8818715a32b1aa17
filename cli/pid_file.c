#include "cli/pid_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/mem.h"

/* Whether the path leads to it still: who had it before may have removed it meanwhile. */
static bool is_at(int fd, const char *path)
{
    struct stat ours, there;

    return fstat(fd, &ours) == 0 && stat(path, &there) == 0 && ours.st_dev == there.st_dev &&
           ours.st_ino == there.st_ino;
}

/* A descriptor that holds the lock; -EBUSY, with the number that is in the file, or 0. */
static int open_locked(const char *path, long *holder)
{
    char text[32] = "";
    int fd, rc;

    for (;;) {
        fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
        if (fd < 0)
            return -errno;
        if (flock(fd, LOCK_EX | LOCK_NB))
            break;
        if (is_at(fd, path))
            return fd;
        close(fd);
    }
    rc = errno == EWOULDBLOCK ? -EBUSY : -errno;
    *holder = rc == -EBUSY && read(fd, text, sizeof text - 1) > 0 ? strtol(text, NULL, 10) : 0;
    close(fd);
    return rc;
}

static int write_number(int fd, const struct account *owner)
{
    if (ftruncate(fd, 0) || dprintf(fd, "%d\n", (int)getpid()) < 0 ||
        (owner->given && fchown(fd, owner->id, (gid_t)-1)))
        return -errno;
    return 0;
}

static int pid_file_take(struct pid_file *file, const char *path, const struct account *owner,
                         long *holder)
{
    file->path = mem_text(path);
    file->fd = file->path ? open_locked(path, holder) : -ENOMEM;
    return file->fd < 0 ? file->fd : write_number(file->fd, owner);
}

int pid_file_open(struct pid_file *file, const char *path, const struct account *owner, char *error,
                  size_t error_size)
{
    long holder = 0;
    int rc = pid_file_take(file, path, owner, &holder);

    if (rc == -EBUSY)
        snprintf(error, error_size, "pid_file %s belongs to process %ld, which runs", path, holder);
    else if (rc)
        snprintf(error, error_size, "cannot write pid_file %s: %s", path, strerror(-rc));
    if (rc)
        pid_file_close(file);
    return rc;
}

void pid_file_close(struct pid_file *file)
{
    if (file->fd >= 0) {
        if (is_at(file->fd, file->path) && unlink(file->path) && ftruncate(file->fd, 0))
            errno = 0; /* nothing is left to do */
        close(file->fd);
    }
    mem_free(file->path);
    *file = (struct pid_file){.fd = -1};
}
