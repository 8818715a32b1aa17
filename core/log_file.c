#include "core/log_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/mem.h"

/* Only a descriptor of our own is made non-blocking: stderr is shared with whoever started us. */
static int log_file_descriptor(const struct log_file *file)
{
    int fd;

    if (!file->path)
        return STDERR_FILENO;
    fd = open(file->path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0640);
    if (fd < 0)
        return -errno;
    return fd;
}

/* A pipe that poll(2) calls writable takes PIPE_BUF bytes without blocking, and in one piece. */
static void log_file_use(struct log_file *file, int fd)
{
    struct stat status;

    file->fd = fd;
    file->torn = false;
    file->batch_size =
        fstat(fd, &status) == 0 && S_ISREG(status.st_mode) ? (size_t)LOG_BATCH_SIZE : PIPE_BUF;
}

int log_file_open(struct log_file *file, const char *name, int wake_fd)
{
    int fd;

    *file = (struct log_file){.fd = -1, .wake_fd = wake_fd};
    if (strcmp(name, "stderr") != 0) {
        file->path = mem_text(name);
        if (!file->path)
            return -ENOMEM;
    }
    fd = log_file_descriptor(file);
    if (fd < 0)
        return fd;
    log_file_use(file, fd);
    return 0;
}

void log_file_release(struct log_file *file)
{
    if (file->path && file->fd >= 0)
        close(file->fd);
    mem_free(file->path);
    file->path = NULL;
}

static bool is_same_file(int one_fd, int other_fd)
{
    struct stat one, other;

    return fstat(one_fd, &one) == 0 && fstat(other_fd, &other) == 0 && one.st_dev == other.st_dev &&
           one.st_ino == other.st_ino;
}

void log_file_replace(struct log_file *file, struct log_file *next)
{
    bool torn = file->torn && is_same_file(file->fd, next->fd);

    log_file_release(file);
    file->path = next->path;
    log_file_use(file, next->fd);
    file->torn = torn;
    next->path = NULL;
    next->fd = -1;
}

int log_file_patience_ms(struct log_file *file)
{
    uint64_t give_up_ms = atomic_load(&file->give_up_ms), now_ms;
    struct timespec now;

    if (!give_up_ms)
        return -1;
    clock_gettime(CLOCK_MONOTONIC, &now);
    now_ms = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
    return now_ms < give_up_ms ? (int)(give_up_ms - now_ms) : 0;
}

/* False when there is no patience left. */
static bool log_file_wait(struct log_file *file)
{
    struct pollfd fds[] = {
        {.fd = file->fd,      .events = POLLOUT},
        {.fd = file->wake_fd, .events = POLLIN },
    };
    eventfd_t value;

    for (;;) {
        int patience_ms = log_file_patience_ms(file);

        if (poll(fds, ARRAY_COUNT(fds), patience_ms) < 0)
            continue; /* EINTR */
        if (fds[0].revents)
            return true;
        if (patience_ms == 0)
            return false;
        if (fds[1].revents)
            eventfd_read(file->wake_fd, &value);
    }
}

static size_t log_file_write(struct log_file *file, const char *bytes, size_t length)
{
    while (length && log_file_wait(file)) {
        ssize_t written = write(file->fd, bytes, length);

        if (written < 0 && errno != EAGAIN && errno != EINTR)
            break;
        if (written > 0) {
            bytes += written;
            length -= (size_t)written;
            file->torn = bytes[-1] != '\n';
        }
    }
    return length;
}

size_t log_file_put(struct log_file *file, const char *lines, size_t length)
{
    if (file->torn && log_file_write(file, "\n", 1))
        return length;
    return log_file_write(file, lines, length);
}
