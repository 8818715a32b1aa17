#include "core/os.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { BIND_TRIES = 40, BIND_PAUSE_MS = 25 };

static int result_of(int rc)
{
    return rc < 0 ? -errno : rc;
}

static void linux_yield(struct os *os)
{
    sched_yield();
}

static uint64_t linux_clock_ns(struct os *os)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static uint64_t linux_wall_ms(struct os *os)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000u + (uint64_t)now.tv_nsec / 1000000u;
}

/* getrandom cannot fail for want of entropy once the machine has booted; a signal may cut it. */
static void linux_random(struct os *os, void *to, size_t length)
{
    uint8_t *next = to;

    while (length) {
        ssize_t got = getrandom(next, length, 0);

        must(got > 0 || errno == EINTR);
        if (got <= 0)
            continue;
        next += got;
        length -= (size_t)got;
    }
}

static int linux_socket(struct os *os, int family, int type)
{
    return result_of(socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
}

/* A path stays taken when nobody listens there any more, or it is no socket at all.  Whoever does
 * listen is not disturbed: the kernel refuses the kind of our socket before it would be accepted.
 */
static bool may_become_free(const struct addr *addr)
{
    bool heard;
    int fd;

    if (addr_family(addr) != AF_UNIX)
        return true;
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    heard = connect(fd, &addr->sa, addr->length) < 0 && errno == EPROTOTYPE;
    close(fd);
    return heard;
}

/* A ring lets go of its sockets a moment after its process was killed: who starts it again at once
 * would find the port taken by nobody. */
static int linux_bind(struct os *os, int fd, const struct addr *addr)
{
    static const struct timespec pause = {.tv_nsec = BIND_PAUSE_MS * 1000000};
    int rc = result_of(bind(fd, &addr->sa, addr->length));

    for (int i = 0; i < BIND_TRIES && rc == -EADDRINUSE && may_become_free(addr); i++) {
        nanosleep(&pause, NULL);
        rc = result_of(bind(fd, &addr->sa, addr->length));
    }
    return rc;
}

static int linux_listen(struct os *os, int fd, int backlog)
{
    return result_of(listen(fd, backlog));
}

static int linux_connect(struct os *os, int fd, const struct addr *addr)
{
    return result_of(connect(fd, &addr->sa, addr->length));
}

static int linux_set_option(struct os *os, int fd, int level, int name, const void *value,
                            socklen_t size)
{
    return result_of(setsockopt(fd, level, name, value, size));
}

static int linux_get_option(struct os *os, int fd, int level, int name, void *value,
                            socklen_t *size)
{
    return result_of(getsockopt(fd, level, name, value, size));
}

typedef int name_fn(int fd, struct sockaddr *name, socklen_t *length);

static int read_name(name_fn *name_of, int fd, struct addr *addr)
{
    struct sockaddr_storage name;
    socklen_t length = sizeof(name);

    if (name_of(fd, (struct sockaddr *)&name, &length) < 0)
        return -errno;
    addr_from_sockaddr(addr, (const struct sockaddr *)&name, length);
    return 0;
}

static int local_name(int fd, struct sockaddr *name, socklen_t *length)
{
    return getsockname(fd, name, length);
}

static int peer_name(int fd, struct sockaddr *name, socklen_t *length)
{
    return getpeername(fd, name, length);
}

static int linux_local_addr(struct os *os, int fd, struct addr *addr)
{
    return read_name(local_name, fd, addr);
}

static int linux_peer_addr(struct os *os, int fd, struct addr *addr)
{
    return read_name(peer_name, fd, addr);
}

static int linux_shutdown(struct os *os, int fd, int how)
{
    return result_of(shutdown(fd, how));
}

static void linux_close(struct os *os, int fd)
{
    must(close(fd) == 0 || errno != EBADF);
}

/* It can be read only by setting it: for that moment, to nobody's gain. */
static mode_t umask_now(void)
{
    mode_t mask = umask(0777);

    umask(mask);
    return mask;
}

static int linux_set_mode(struct os *os, const char *path, uint32_t mode)
{
    return result_of(chmod(path, mode ? mode : 0777 & ~umask_now()));
}

static int linux_remove_socket(struct os *os, const char *path)
{
    struct stat file;

    if (lstat(path, &file))
        return -errno;
    return S_ISSOCK(file.st_mode) ? result_of(unlink(path)) : -EEXIST;
}

static int pipe_resize(int fd, uint32_t size, uint32_t least)
{
    int rc = fcntl(fd, F_SETPIPE_SZ, (int)size);

    return rc < 0 && least < size ? fcntl(fd, F_SETPIPE_SZ, (int)least) : rc;
}

/* One that may not grow (pipe-user-pages-soft) would be slower than copying: then there is none. */
static int linux_pipe(struct os *os, int fds[2], uint32_t size, uint32_t least)
{
    int rc = pipe2(fds, O_NONBLOCK | O_CLOEXEC);

    if (rc < 0)
        return -errno;
    rc = result_of(pipe_resize(fds[0], size, least));
    if (rc < 0) {
        linux_close(os, fds[0]);
        linux_close(os, fds[1]);
    }
    return rc;
}

static int linux_splice(struct os *os, int from, int to, uint32_t length)
{
    ssize_t moved = splice(from, NULL, to, NULL, length, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);

    return moved < 0 ? -errno : (int)moved;
}

/* Without EFD_NONBLOCK: the ring would take the flag for "do not wait". */
static int linux_event(struct os *os)
{
    return result_of(eventfd(0, EFD_CLOEXEC));
}

static void linux_event_ring(struct os *os, int fd)
{
    uint64_t one = 1;

    while (write(fd, &one, sizeof(one)) < 0 && errno == EINTR)
        ;
}

struct os os_linux = {
    .clock_ns = linux_clock_ns,
    .yield = linux_yield,
    .wall_ms = linux_wall_ms,
    .random = linux_random,
    .socket = linux_socket,
    .bind = linux_bind,
    .listen = linux_listen,
    .connect = linux_connect,
    .set_option = linux_set_option,
    .get_option = linux_get_option,
    .local_addr = linux_local_addr,
    .peer_addr = linux_peer_addr,
    .shutdown = linux_shutdown,
    .close = linux_close,
    .set_mode = linux_set_mode,
    .remove_socket = linux_remove_socket,
    .pipe = linux_pipe,
    .splice = linux_splice,
    .event = linux_event,
    .event_ring = linux_event_ring,
};
