#include "core/sock.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <string.h>

enum {
    UDP_BUFFER = 8 << 20, /* asked for; the kernel gives what rmem_max and wmem_max allow */
    KEEPALIVE_PROBES = 3,
};
#define HABIT_NS 1000000000ull

static int set_int(struct os *os, int fd, int level, int name, int value)
{
    return os->set_option(os, fd, level, name, &value, sizeof(value));
}

/* How others may have the same address. */
enum reuse { REUSE_NOT, REUSE_REMAINS, REUSE_PORT }; /* remains: of connections that are closed */

static int set_reuse(struct os *os, int fd, int type, enum reuse reuse)
{
    int rc = 0;

    if (reuse == REUSE_REMAINS || (reuse == REUSE_PORT && type == SOCK_STREAM))
        rc = set_int(os, fd, SOL_SOCKET, SO_REUSEADDR, 1);
    if (!rc && reuse == REUSE_PORT)
        rc = set_int(os, fd, SOL_SOCKET, SO_REUSEPORT, 1);
    return rc;
}

static int open_and_bind(struct os *os, const struct addr *addr, int type, enum reuse reuse)
{
    int fd = os->socket(os, addr_family(addr), type);
    int rc;

    if (fd < 0)
        return fd;
    rc = set_reuse(os, fd, type, reuse);
    if (!rc && addr_family(addr) == AF_INET6)
        rc = set_int(os, fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
    if (!rc)
        rc = os->bind(os, fd, addr);
    if (!rc)
        return fd;
    os->close(os, fd);
    return rc;
}

int sock_tcp_bind(struct os *os, const struct addr *addr, bool reuse_port)
{
    return open_and_bind(os, addr, SOCK_STREAM, reuse_port ? REUSE_PORT : REUSE_REMAINS);
}

int sock_tcp_listen(struct os *os, const struct addr *addr, int backlog)
{
    int fd = sock_tcp_bind(os, addr, false);
    int rc;

    if (fd < 0)
        return fd;
    rc = os->listen(os, fd, backlog);
    if (!rc)
        return fd;
    os->close(os, fd);
    return rc;
}

int sock_tcp(struct os *os, int family)
{
    return os->socket(os, family, SOCK_STREAM);
}

static void set_congestion(struct os *os, int fd, const char *name)
{
    if (*name)
        os->set_option(os, fd, IPPROTO_TCP, TCP_CONGESTION, name, (socklen_t)strlen(name));
}

/* A refusal costs only speed (or, for a unix socket, means nothing), so none is an error. */
static void set_always(struct os *os, int fd)
{
    set_int(os, fd, IPPROTO_TCP, TCP_NODELAY, 1);
    set_int(os, fd, SOL_SOCKET, SO_OOBINLINE, 1); /* else an urgent byte would be lost */
}

/* Asks a new socket, before anything is set. */
static void habit_look(struct tcp_habit *habit, struct os *os, int fd, uint64_t now_ns)
{
    socklen_t size = sizeof(habit->congestion);

    if (now_ns < habit->again_ns)
        return;
    habit->again_ns = now_ns + HABIT_NS;
    if (os->get_option(os, fd, IPPROTO_TCP, TCP_CONGESTION, habit->congestion, &size))
        habit->congestion[0] = 0;
    habit->congestion[sizeof(habit->congestion) - 1] = 0;
}

void sock_tcp_tune_first(struct os *os, int fd, const struct tcp_options *options,
                         struct tcp_habit *habit, uint64_t now_ns)
{
    habit_look(habit, os, fd, now_ns);
    set_always(os, fd);
    if (strcmp(options->congestion, habit->congestion) != 0)
        set_congestion(os, fd, options->congestion);
}

void sock_tcp_keep_alive(struct os *os, int fd, uint32_t keepalive_s)
{
    int seconds = (int)keepalive_s;

    set_int(os, fd, SOL_SOCKET, SO_KEEPALIVE, seconds > 0);
    if (!seconds)
        return;
    set_int(os, fd, IPPROTO_TCP, TCP_KEEPIDLE, seconds);
    set_int(os, fd, IPPROTO_TCP, TCP_KEEPINTVL, seconds);
    set_int(os, fd, IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_PROBES);
}

int sock_try_congestion(struct os *os, const char *name)
{
    int fd = sock_tcp(os, AF_INET);
    int rc;

    if (fd < 0)
        return fd;
    rc = os->set_option(os, fd, IPPROTO_TCP, TCP_CONGESTION, name, (socklen_t)strlen(name));
    os->close(os, fd);
    return rc;
}

void sock_tcp_tune(struct os *os, int fd, const struct tcp_options *options)
{
    set_always(os, fd);
    set_congestion(os, fd, options->congestion);
    sock_tcp_keep_alive(os, fd, options->keepalive_s);
}

void sock_reset_on_close(struct os *os, int fd)
{
    struct linger linger = {.l_onoff = 1, .l_linger = 0};

    os->set_option(os, fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
}

void sock_abort(struct os *os, int fd)
{
    sock_reset_on_close(os, fd);
    os->close(os, fd);
}

/* The forcing options go past rmem_max and wmem_max, for those who may. */
static void raise_buffers(struct os *os, int fd)
{
    if (set_int(os, fd, SOL_SOCKET, SO_RCVBUFFORCE, UDP_BUFFER))
        set_int(os, fd, SOL_SOCKET, SO_RCVBUF, UDP_BUFFER);
    if (set_int(os, fd, SOL_SOCKET, SO_SNDBUFFORCE, UDP_BUFFER))
        set_int(os, fd, SOL_SOCKET, SO_SNDBUF, UDP_BUFFER);
}

/* PROBE sets DF and leaves it to us what to make of a path's limit.  GRO is missing nowhere above
 * our floor; the others only lose ECN. */
static void tune_udp(struct os *os, int fd, int family)
{
    raise_buffers(os, fd);
    set_int(os, fd, SOL_UDP, UDP_GRO, 1);
    set_int(os, fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_PROBE);
    set_int(os, fd, IPPROTO_IP, IP_RECVTOS, 1);
    if (family == AF_INET6) {
        set_int(os, fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_PROBE);
        set_int(os, fd, IPPROTO_IPV6, IPV6_RECVTCLASS, 1);
    }
}

static int want_packet_info(struct os *os, int fd, int family)
{
    return family == AF_INET6 ? set_int(os, fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1)
                              : set_int(os, fd, IPPROTO_IP, IP_PKTINFO, 1);
}

int sock_udp_bind(struct os *os, const struct addr *addr, bool packet_info, bool reuse_port)
{
    int fd = open_and_bind(os, addr, SOCK_DGRAM, reuse_port ? REUSE_PORT : REUSE_NOT);
    int rc;

    if (fd < 0)
        return fd;
    tune_udp(os, fd, addr_family(addr));
    rc = packet_info ? want_packet_info(os, fd, addr_family(addr)) : 0;
    if (!rc)
        return fd;
    os->close(os, fd);
    return rc;
}

int sock_udp_connect(struct os *os, const struct addr *peer)
{
    int fd = os->socket(os, addr_family(peer), SOCK_DGRAM);
    int rc;

    if (fd < 0)
        return fd;
    tune_udp(os, fd, addr_family(peer));
    rc = os->connect(os, fd, peer);
    if (!rc)
        return fd;
    os->close(os, fd);
    return rc;
}

void sock_udp_let_fragment(struct os *os, int fd, int family)
{
    set_int(os, fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_WANT);
    if (family == AF_INET6)
        set_int(os, fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_WANT);
}

/* The option of the other family is refused. */
void sock_udp_hear_errors(struct os *os, int fd)
{
    set_int(os, fd, IPPROTO_IP, IP_RECVERR, 1);
    set_int(os, fd, IPPROTO_IPV6, IPV6_RECVERR, 1);
}
