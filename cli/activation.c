#include "cli/activation.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

enum { FIRST_FD = 3 };

static int socket_option(int fd, int name)
{
    int value = 0;
    socklen_t size = sizeof value;

    return getsockopt(fd, SOL_SOCKET, name, &value, &size) ? -errno : value;
}

/* The one that was handed over for this address, taken out of the table; -1: there is none. */
static int activation_take(struct activation *activation, int type, const struct addr *addr)
{
    int fd = -1;

    pthread_mutex_lock(&activation->lock);
    for (uint32_t i = 0; fd < 0 && i < activation->count; i++) {
        struct activation_socket *handed = &activation->sockets[i];

        if (handed->fd < 0 || handed->type != type || !addr_equal(&handed->addr, addr))
            continue;
        fd = handed->fd;
        handed->fd = -1;
    }
    pthread_mutex_unlock(&activation->lock);
    return fd;
}

/* The number stays that of the caller's socket, which is replaced. */
static int activation_bind(struct os *os, int fd, const struct addr *addr)
{
    struct activation *activation = container_of(os, struct activation, os);
    int handed = activation_take(activation, socket_option(fd, SO_TYPE), addr);
    int rc;

    if (handed < 0)
        return os_linux.bind(&os_linux, fd, addr);
    rc = dup3(handed, fd, O_CLOEXEC) < 0 ? -errno : 0;
    close(handed);
    return rc;
}

static void activation_add(struct activation *activation, int fd)
{
    struct activation_socket *handed = &activation->sockets[activation->count];
    int type = socket_option(fd, SO_TYPE), flags = fcntl(fd, F_GETFL);

    if (type < 0 || flags < 0 || os_linux.local_addr(&os_linux, fd, &handed->addr) ||
        fcntl(fd, F_SETFD, FD_CLOEXEC) || fcntl(fd, F_SETFL, flags | O_NONBLOCK))
        return; /* not a socket: not ours to close */
    handed->fd = fd;
    handed->type = type;
    activation->count++;
}

void activation_open(struct activation *activation)
{
    const char *pid = getenv("LISTEN_PID"), *fds = getenv("LISTEN_FDS");
    long count = fds ? strtol(fds, NULL, 10) : 0;

    activation->os = os_linux;
    activation->os.bind = activation_bind;
    activation->count = 0;
    pthread_mutex_init(&activation->lock, NULL);
    if (pid && strtol(pid, NULL, 10) == getpid())
        for (long i = 0; i < count && i < ACTIVATION_MAX; i++)
            activation_add(activation, FIRST_FD + (int)i);
    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDS");
    unsetenv("LISTEN_FDNAMES");
}

uint32_t activation_left(struct activation *activation)
{
    uint32_t left = 0;

    pthread_mutex_lock(&activation->lock);
    for (uint32_t i = 0; i < activation->count; i++)
        left += activation->sockets[i].fd >= 0;
    pthread_mutex_unlock(&activation->lock);
    return left;
}

void activation_close(struct activation *activation)
{
    for (uint32_t i = 0; i < activation->count; i++)
        if (activation->sockets[i].fd >= 0)
            close(activation->sockets[i].fd);
    pthread_mutex_destroy(&activation->lock);
}
