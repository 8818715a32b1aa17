/* struct os over the simulated kernel: descriptors, options, event counters. */
#include <errno.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/kernel.h"

static struct sim_host *host_of(struct os *os)
{
    return container_of(os, struct sim_host, os);
}

/* ---- faults ---- */
struct repertoire {
    const int *errors;
    uint32_t count;
};
#define ERRORS(...)                                                                                \
    {                                                                                              \
        (const int[]){__VA_ARGS__}, sizeof((const int[]){__VA_ARGS__}) / sizeof(int)               \
    }
static const struct repertoire repertoires[SIM_CALL_COUNT] = {
    [OP_ACCEPT_MULTI] = ERRORS(EMFILE, ENFILE, ECONNABORTED, ENOMEM, ENOBUFS, EPERM),
    [OP_RECV] = ERRORS(ECONNRESET, ETIMEDOUT, ENOBUFS, ENOMEM, EHOSTUNREACH),
    [OP_RECV_NOW] = ERRORS(ECONNRESET, EAGAIN, ENOMEM, ETIMEDOUT),
    [OP_RECVMSG_MULTI] = ERRORS(ENOBUFS, ENOMEM, ECONNREFUSED, EHOSTUNREACH),
    [OP_SENDMSG] = ERRORS(ECONNRESET, EPIPE, ENOBUFS, ENOMEM, ETIMEDOUT, EHOSTUNREACH),
    [OP_CONNECT] = ERRORS(ECONNREFUSED, ETIMEDOUT, EHOSTUNREACH, ENETUNREACH, EADDRNOTAVAIL),
    [OP_POLL] = ERRORS(ENOMEM, EINTR),
    [OP_READ] = ERRORS(EINTR, EAGAIN, ENOMEM),
    [SIM_CALL_SOCKET] = ERRORS(EMFILE, ENFILE, ENOBUFS, ENOMEM),
    [SIM_CALL_BIND] = ERRORS(EADDRINUSE, EADDRNOTAVAIL, EACCES),
    [SIM_CALL_LISTEN] = ERRORS(EADDRINUSE),
    [SIM_CALL_CONNECT] = ERRORS(ENETUNREACH, EADDRNOTAVAIL, EAGAIN),
    [SIM_CALL_OPTION] = ERRORS(ENOPROTOOPT, EINVAL, EPERM, ENOMEM),
    [SIM_CALL_ADDR] = ERRORS(ENOBUFS, ENOTCONN),
    [SIM_CALL_EVENT] = ERRORS(EMFILE, ENFILE, ENOMEM),
    [SIM_CALL_PIPE] = ERRORS(EMFILE, ENFILE, EPERM, ENOMEM),
    [SIM_CALL_SPLICE] = ERRORS(EAGAIN, ECONNRESET, EINTR, ENOMEM, EPIPE),
    [SIM_CALL_GROUP] = ERRORS(ENOMEM),
};

int sim_fail(struct sim *sim, int kind)
{
    const struct repertoire *repertoire = &repertoires[kind];

    if (++sim->ops != sim->options.fail_op)
        return 0;
    sim->fault_met = true;
    sim_trace(sim, "fault", (uint64_t)kind, 0, 0);
    return -repertoire->errors[sim->options.fail_error % repertoire->count];
}

/* ---- descriptors ---- */
int sim_socket_number(struct sim_socket *socket)
{
    struct sim *sim = socket->host->sim;

    if (socket->host->fds >= socket->host->fd_limit)
        return -EMFILE;
    for (int i = 0; i < SIM_FDS; i++) {
        if (sim->fds[i])
            continue;
        sim->fds[i] = socket;
        socket->fd = SIM_FD_BASE + i;
        socket->references++;
        socket->host->fds++;
        return socket->fd;
    }
    return -ENFILE;
}

struct sim_socket *sim_socket_of(struct sim_host *host, int fd)
{
    struct sim_socket *socket = NULL;

    if (fd >= SIM_FD_BASE && fd < SIM_FD_BASE + SIM_FDS)
        socket = host->sim->fds[fd - SIM_FD_BASE];
    return socket && socket->host == host ? socket : NULL;
}

static int os_socket(struct os *os, int family, int type)
{
    struct sim_host *host = host_of(os);
    bool stream = (type & 0xf) == SOCK_STREAM;
    int rc = sim_fail(host->sim, SIM_CALL_SOCKET);

    if (rc == 0)
        rc = family == AF_UNIX ? -EAFNOSUPPORT : 0;
    if (rc == 0) {
        struct sim_socket *socket = sim_socket_new(host, stream ? SIM_TCP : SIM_UDP, family);

        rc = sim_socket_number(socket);
    }
    sim_trace(host->sim, "socket", host->index, stream, rc);
    return rc;
}

static int os_bind(struct os *os, int fd, const struct addr *addr)
{
    struct sim_host *host = host_of(os);
    struct sim_socket *socket = sim_socket_of(host, fd);
    int rc = sim_fail(host->sim, SIM_CALL_BIND);

    if (!socket)
        return -EBADF;
    if (rc == 0)
        rc = sim_bind(socket, addr);
    sim_trace(host->sim, "bind", host->index, (uint64_t)fd, rc);
    return rc;
}

static int os_listen(struct os *os, int fd, int backlog)
{
    struct sim_host *host = host_of(os);
    struct sim_socket *socket = sim_socket_of(host, fd);
    int rc = sim_fail(host->sim, SIM_CALL_LISTEN);

    if (!socket)
        return -EBADF;
    return rc < 0 ? rc : sim_tcp_listen(socket, backlog);
}

static int os_connect(struct os *os, int fd, const struct addr *addr)
{
    struct sim_host *host = host_of(os);
    struct sim_socket *socket = sim_socket_of(host, fd);
    int rc = sim_fail(host->sim, SIM_CALL_CONNECT);

    if (!socket)
        return -EBADF;
    must(socket->kind == SIM_UDP);
    return rc < 0 ? rc : sim_udp_connect(socket, addr);
}

/* ---- options ---- */
static int option_flag(const void *value, socklen_t size)
{
    int flag = 0;

    memcpy(&flag, value, size < sizeof(flag) ? size : sizeof(flag));
    return flag;
}

static void option_set(struct sim_socket *socket, int level, int name, const void *value,
                       socklen_t size)
{
    bool flag = option_flag(value, size) != 0;

    if (level == SOL_SOCKET && name == SO_LINGER) {
        const struct linger *linger = value;

        socket->linger_zero = linger->l_onoff && !linger->l_linger;
    } else if (level == SOL_SOCKET && name == SO_REUSEPORT) {
        socket->reuse_port = flag;
    } else if (level == SOL_SOCKET && name == SO_RCVLOWAT) {
        socket->least = (uint32_t)option_flag(value, size);
        sim_socket_wake(socket);
    } else if (level == SOL_UDP && name == UDP_GRO) {
        socket->gro = flag;
    } else if ((level == IPPROTO_IP && name == IP_PKTINFO) ||
               (level == IPPROTO_IPV6 && name == IPV6_RECVPKTINFO)) {
        socket->packet_info = flag;
    }
}

/* Nothing that a kernel does makes this one fail on a socket. */
static bool option_never_fails(int level, int name)
{
    return level == SOL_SOCKET && (name == SO_LINGER || name == SO_RCVLOWAT);
}

static int os_set_option(struct os *os, int fd, int level, int name, const void *value,
                         socklen_t size)
{
    struct sim_host *host = host_of(os);
    struct sim_socket *socket = sim_socket_of(host, fd);
    int rc = option_never_fails(level, name) ? 0 : sim_fail(host->sim, SIM_CALL_OPTION);

    if (!socket)
        return -EBADF;
    if (rc == 0)
        option_set(socket, level, name, value, size);
    return rc;
}

static int option_value(struct sim_socket *socket, int level, int name)
{
    int error = socket->error;

    if (level == SOL_SOCKET && name == SO_ERROR) {
        socket->error = 0;
        return error;
    }
    if (level == SOL_SOCKET && (name == SO_RCVBUF || name == SO_SNDBUF))
        return 4 << 20;
    if ((level == IPPROTO_IP && name == IP_MTU) || (level == IPPROTO_IPV6 && name == IPV6_MTU)) {
        struct sim_host *to = socket->peer.length ? sim_route(socket->host, &socket->peer) : NULL;

        return to ? (int)sim_link(socket->host, to)->weather.mtu : 1500;
    }
    return 0;
}

static int os_get_option(struct os *os, int fd, int level, int name, void *value, socklen_t *size)
{
    struct sim_host *host = host_of(os);
    struct sim_socket *socket = sim_socket_of(host, fd);
    int rc = sim_fail(host->sim, SIM_CALL_OPTION), answer;

    if (!socket)
        return -EBADF;
    if (rc < 0)
        return rc;
    memset(value, 0, *size);
    answer = option_value(socket, level, name);
    memcpy(value, &answer, *size < sizeof(answer) ? *size : sizeof(answer));
    return 0;
}

static int os_local_addr(struct os *os, int fd, struct addr *addr)
{
    struct sim_host *host = host_of(os);
    struct sim_socket *socket = sim_socket_of(host, fd);
    int rc = sim_fail(host->sim, SIM_CALL_ADDR);

    if (!socket)
        return -EBADF;
    *addr = socket->local;
    return rc;
}

static int os_peer_addr(struct os *os, int fd, struct addr *addr)
{
    struct sim_host *host = host_of(os);
    struct sim_socket *socket = sim_socket_of(host, fd);
    int rc = sim_fail(host->sim, SIM_CALL_ADDR);

    if (!socket)
        return -EBADF;
    if (!socket->peer.length || (socket->kind == SIM_TCP && socket->state != SIM_CONNECTED))
        return -ENOTCONN;
    *addr = socket->peer;
    return rc;
}

static int os_shutdown(struct os *os, int fd, int how)
{
    struct sim_host *host = host_of(os);
    struct sim_socket *socket = sim_socket_of(host, fd);
    int rc = socket ? sim_tcp_shutdown(socket, how) : -EBADF;

    sim_trace(host->sim, "shutdown", (uint64_t)fd, (uint64_t)how, rc);
    return rc;
}

static void os_close(struct os *os, int fd)
{
    struct sim_host *host = host_of(os);
    struct sim_socket *socket = sim_socket_of(host, fd);

    sim_trace(host->sim, "close", host->index, (uint64_t)fd, 0);
    if (socket)
        sim_socket_close(socket);
    else
        sim_fault(host->sim, "%s: close of a descriptor that is not open: %d", host->name, fd);
}

/* ---- pipes ---- */
static int os_pipe(struct os *os, int fds[2], uint32_t size, uint32_t least)
{
    struct sim_host *host = host_of(os);
    int rc = sim_fail(host->sim, SIM_CALL_PIPE);

    return rc < 0 ? rc : sim_pipe_open(host, fds);
}

static int os_splice(struct os *os, int from_fd, int to_fd, uint32_t length)
{
    struct sim_host *host = host_of(os);
    struct sim_socket *from = sim_socket_of(host, from_fd), *to = sim_socket_of(host, to_fd);
    int rc = sim_fail(host->sim, SIM_CALL_SPLICE);

    if (!from || !to) {
        sim_fault(host->sim, "%s: splice on a descriptor that is not open", host->name);
        return -EBADF;
    }
    if (rc == -ECONNRESET || rc == -EPIPE) /* as real as any: the connection is gone for both */
        sim_tcp_abort(from->kind == SIM_TCP ? from : to);
    if (rc == 0)
        rc = sim_splice(from, to, length);
    sim_trace(host->sim, "splice", (uint64_t)from_fd, (uint64_t)to_fd, rc);
    return rc;
}

/* ---- event counters ---- */
static int os_event(struct os *os)
{
    struct sim_host *host = host_of(os);
    int rc = sim_fail(host->sim, SIM_CALL_EVENT);

    return rc < 0 ? rc : sim_socket_number(sim_socket_new(host, SIM_EVENT, AF_UNSPEC));
}

static void os_event_ring(struct os *os, int fd)
{
    struct sim_host *host = host_of(os);
    struct sim_socket *socket = sim_socket_of(host, fd);

    if (!socket) {
        sim_fault(host->sim, "%s: rang an event that is not open: %d", host->name, fd);
        return;
    }
    socket->value++;
    sim_socket_wake(socket);
}

/* ---- time and chance ---- */
static void os_yield(struct os *os)
{
}

static uint64_t os_clock_ns(struct os *os)
{
    return host_of(os)->sim->now_ns;
}

static uint64_t os_wall_ms(struct os *os)
{
    return SIM_WALL_MS + host_of(os)->sim->now_ns / SIM_MS;
}

static void os_random(struct os *os, void *to, size_t length)
{
    struct sim *sim = host_of(os)->sim;

    for (uint8_t *at = to; length; length--)
        *at++ = (uint8_t)(sim_draw(sim) >> 32);
}

void sim_os_init(struct sim_host *host)
{
    host->os = (struct os){.clock_ns = os_clock_ns,
                           .yield = os_yield,
                           .wall_ms = os_wall_ms,
                           .random = os_random,
                           .socket = os_socket,
                           .bind = os_bind,
                           .listen = os_listen,
                           .connect = os_connect,
                           .set_option = os_set_option,
                           .get_option = os_get_option,
                           .local_addr = os_local_addr,
                           .peer_addr = os_peer_addr,
                           .shutdown = os_shutdown,
                           .close = os_close,
                           .pipe = os_pipe,
                           .splice = os_splice,
                           .event = os_event,
                           .event_ring = os_event_ring};
}

struct os *sim_os(struct sim_host *host)
{
    return &host->os;
}
