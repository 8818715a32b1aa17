/* What all kinds of sockets have in common: references, addresses, waking. */
#include <errno.h>
#include <poll.h>
#include <string.h>

#include "tests/sim/kernel.h"

struct sim_socket *sim_socket_new(struct sim_host *host, enum sim_kind kind, int family)
{
    struct sim_socket *socket = sim_alloc(sizeof(*socket));

    socket->host = host;
    socket->kind = kind;
    socket->family = family;
    socket->fd = -1;
    list_init(&socket->bound_link);
    list_init(&socket->waiting);
    list_init(&socket->pending);
    list_init(&socket->accept_link);
    list_init(&socket->datagrams);
    list_append(&host->sim->sockets, &socket->link);
    return socket;
}

void sim_socket_drop(struct sim_socket *socket)
{
    must(socket->references);
    if (--socket->references)
        return;
    socket->released = true;
    list_remove(&socket->bound_link);
    if (socket->kind == SIM_TCP)
        sim_tcp_release(socket);
    else if (socket->kind == SIM_UDP)
        sim_udp_release(socket);
    socket->ready = NULL;
}

void sim_socket_close(struct sim_socket *socket)
{
    if (socket->fd >= 0) {
        if (socket->references > 1)
            sim_fault(socket->host->sim, "%s: closed a descriptor with operations in flight",
                      socket->host->name);
        socket->host->sim->fds[socket->fd - SIM_FD_BASE] = NULL;
        socket->host->fds--;
        socket->fd = -1;
    }
    sim_socket_drop(socket);
}

/* ---- waking ---- */
uint32_t sim_socket_poll(const struct sim_socket *socket)
{
    switch (socket->kind) {
    case SIM_TCP:
        return sim_tcp_poll(socket);
    case SIM_UDP:
        return sim_udp_poll(socket);
    case SIM_EVENT:
        return socket->value ? POLLIN : 0;
    case SIM_PIPE:
        break;
    }
    return 0;
}

static uint32_t op_mask(const struct op *op)
{
    static const uint32_t masks[OP_KIND_COUNT] = {
        [OP_ACCEPT_MULTI] = POLLIN,  [OP_RECV] = POLLIN,     [OP_RECV_NOW] = POLLIN,
        [OP_RECVMSG_MULTI] = POLLIN, [OP_SENDMSG] = POLLOUT, [OP_CONNECT] = POLLOUT,
        [OP_READ] = POLLIN,
    };

    return (op->kind == OP_POLL ? op->flags : masks[op->kind]) | POLLERR | POLLHUP;
}

static void actor_ready(struct sim *sim, void *subject, uint64_t detail)
{
    struct sim_socket *socket = subject;

    socket->poked = false;
    if (socket->ready)
        socket->ready(socket);
}

void sim_socket_wake(struct sim_socket *socket)
{
    struct sim *sim = socket->host->sim;
    uint32_t mask = sim_socket_poll(socket);
    struct list *node, *next;

    if (socket->ready && !socket->poked) {
        socket->poked = true;
        sim_schedule(sim, sim->now_ns + sim_random(sim, 20 * SIM_US), actor_ready, socket, 0);
    }
    for (node = socket->waiting.next; node != &socket->waiting; node = next) {
        struct sim_op *record = container_of(node, struct sim_op, link);

        next = node->next;
        if (mask & op_mask(record->op))
            sim_op_poke(record);
    }
}

/* ---- addresses ---- */
static bool overlaps(const struct sim_socket *a, const struct addr *b)
{
    if (addr_port(&a->local) != addr_port(b) || addr_family(&a->local) != addr_family(b))
        return false;
    return addr_is_wildcard(&a->local) || addr_is_wildcard(b) || sim_same_address(&a->local, b);
}

static bool port_taken(const struct sim_socket *socket, const struct addr *addr)
{
    struct list *bound = &socket->host->bound;

    for (struct list *node = bound->next; node != bound; node = node->next) {
        struct sim_socket *other = container_of(node, struct sim_socket, bound_link);

        if (other->kind == socket->kind && !(other->reuse_port && socket->reuse_port) &&
            overlaps(other, addr))
            return true;
    }
    return false;
}

int sim_bind(struct sim_socket *socket, const struct addr *addr)
{
    struct addr wanted = *addr;

    if (socket->local.length)
        return -EINVAL;
    if (addr_family(addr) != socket->family)
        return -EAFNOSUPPORT;
    if (!addr_is_wildcard(addr) && !sim_host_has(socket->host, addr))
        return -EADDRNOTAVAIL;
    if (addr_port(addr) == 0) {
        do
            addr_set_port(&wanted, sim_ephemeral(socket->host));
        while (port_taken(socket, &wanted));
    } else if (port_taken(socket, &wanted)) {
        return -EADDRINUSE;
    }
    socket->local = wanted;
    if (socket->kind == SIM_UDP)
        list_append(&socket->host->bound, &socket->bound_link);
    return 0;
}

/* How well a socket fits; -1: not at all.  Connected ones come before wildcards. */
static int bound_score(const struct sim_socket *socket, enum sim_kind kind,
                       const struct addr *local, const struct addr *peer)
{
    if (socket->kind != kind || !overlaps(socket, local))
        return -1;
    if (socket->peer.length && !addr_equal(&socket->peer, peer))
        return -1;
    return !addr_is_wildcard(&socket->local) + (socket->peer.length ? 2 : 0);
}

/* Equal ones are a reuse-port group: the peer's address picks one of them, as long as they are the
 * same ones.  Filters are not modelled, so what is for another worker has to be handed over. */
struct sim_socket *sim_bound(struct sim_host *host, enum sim_kind kind, const struct addr *local,
                             const struct addr *peer)
{
    struct sim_socket *fitting[SIM_WORKERS];
    uint32_t count = 0;
    int best = 0;

    for (struct list *node = host->bound.next; node != &host->bound; node = node->next) {
        struct sim_socket *socket = container_of(node, struct sim_socket, bound_link);
        int score = bound_score(socket, kind, local, peer);

        if (score > best)
            count = 0;
        if (score < best)
            continue;
        best = score;
        must(count < SIM_WORKERS);
        fitting[count++] = socket;
    }
    return count ? fitting[count > 1 ? addr_hash(peer, host->sim->options.seed) % count : 0] : NULL;
}
