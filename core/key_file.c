#include "core/key_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/aes.h"
#include "core/mem.h"

static int key_file_error(int rc, const char *path, char *error, size_t error_size)
{
    snprintf(error, error_size, "%s: %s", path, strerror(-rc));
    return rc;
}

static bool in_group(gid_t group)
{
    gid_t groups[256];
    int count = getgroups(ARRAY_COUNT(groups), groups);

    for (int i = 0; i < count; i++)
        if (groups[i] == group)
            return true;
    return getegid() == group;
}

/* Group and all.  Where an access list names a reader, as systemd's credentials do, the group's
 * bits are the list's mask and say nothing of the group. */
static bool is_roots(const struct stat *stat)
{
    return stat->st_uid == 0 && stat->st_gid == 0;
}

/* What makes a secret file unsafe, or NULL. */
static const char *unsafety(const struct stat *stat)
{
    if (stat->st_uid != 0 && stat->st_uid != geteuid())
        return "belongs to another user";
    if (stat->st_mode & S_IRWXO)
        return "others may access it";
    if (stat->st_mode & S_IWGRP)
        return "its group may write it";
    if ((stat->st_mode & S_IRGRP) && !is_roots(stat) && !in_group(stat->st_gid))
        return "a group that is not ours may read it";
    return NULL;
}

static int key_file_check(int fd, const char *path, bool secret, size_t *size, char *error,
                          size_t error_size)
{
    const char *unsafe;
    struct stat stat;

    if (fstat(fd, &stat) != 0)
        return key_file_error(-errno, path, error, error_size);
    if (!S_ISREG(stat.st_mode)) {
        snprintf(error, error_size, "%s: not a regular file", path);
        return -EINVAL;
    }
    unsafe = secret ? unsafety(&stat) : NULL;
    if (unsafe) {
        snprintf(error, error_size, "%s: %s (mode %04o); it should be 0600", path, unsafe,
                 (unsigned)(stat.st_mode & 07777));
        return -EPERM;
    }
    if (stat.st_size > KEY_FILE_MAX)
        return key_file_error(-EFBIG, path, error, error_size);
    *size = (size_t)stat.st_size;
    return 0;
}

/* A file that grows or shrinks meanwhile is read up to the size it had. */
static int read_all(int fd, struct key_file *file, size_t size)
{
    file->data = mem_new(size + 1);
    if (!file->data)
        return -ENOMEM;
    while (file->length < size) {
        ssize_t got = read(fd, file->data + file->length, size - file->length);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -errno;
        if (got == 0)
            break;
        file->length += (size_t)got;
    }
    return 0;
}

int key_file_read(const char *path, bool secret, struct key_file *file, char *error,
                  size_t error_size)
{
    /* O_NONBLOCK: a FIFO must not stop us before we see that it is one. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    size_t size = 0;
    int rc;

    *file = (struct key_file){0};
    if (fd < 0)
        return key_file_error(-errno, path, error, error_size);
    rc = key_file_check(fd, path, secret, &size, error, error_size);
    if (rc == 0) {
        rc = read_all(fd, file, size);
        if (rc != 0)
            key_file_error(rc, path, error, error_size);
    }
    close(fd);
    if (rc != 0)
        key_file_release(file);
    return rc;
}

void key_file_release(struct key_file *file)
{
    if (file->data)
        wipe(file->data, file->length);
    mem_free(file->data);
    *file = (struct key_file){0};
}

static int write_all(int fd, const uint8_t *data, size_t length)
{
    while (length > 0) {
        ssize_t put = write(fd, data, length);

        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return -errno;
        data += put;
        length -= (size_t)put;
    }
    return fsync(fd) == 0 ? 0 : -errno;
}

/* link() refuses an existing name where rename() would replace it. */
static int publish(const char *temporary, const char *path, bool force)
{
    if (force)
        return rename(temporary, path) == 0 ? 0 : -errno;
    return link(temporary, path) == 0 ? 0 : -errno;
}

int key_file_write(const char *path, bool secret, const void *data, size_t length, bool force,
                   char *error, size_t error_size)
{
    char temporary[4096];
    int fd, rc;

    if (snprintf(temporary, sizeof(temporary), "%s.XXXXXX", path) >= (int)sizeof(temporary))
        return key_file_error(-ENAMETOOLONG, path, error, error_size);
    fd = mkostemp(temporary, O_CLOEXEC); /* 0600 */
    if (fd < 0)
        return key_file_error(-errno, path, error, error_size);
    rc = write_all(fd, data, length);
    if (rc == 0 && !secret && fchmod(fd, 0644) != 0)
        rc = -errno;
    if (close(fd) != 0 && rc == 0)
        rc = -errno;
    if (rc == 0)
        rc = publish(temporary, path, force);
    unlink(temporary); /* gone already where it was renamed */
    return rc == 0 ? 0 : key_file_error(rc, path, error, error_size);
}
