/* UDP: datagrams that may be lost, late, twice or out of order; GSO, GRO, NAT and refusals. */
#include <errno.h>
#include <netinet/udp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/kernel.h"

enum {
    PAYLOAD_MAX = 65507,
    SEGMENTS_MAX = 64,
    QUEUE_MAX = 1 << 20,
    HEAD_IPV4 = 28,
    HEAD_IPV6 = 48,
    NAT_FIRST = 1024,
    NAT_PORTS = 64512
};

/* ---- NAT: outer port = inner port + shift, so that a rebinding moves all of them ---- */
static void nat_outwards(const struct sim_host *host, struct addr *from)
{
    uint32_t port = addr_port(from);

    if (!host->outer.length)
        return;
    *from = host->outer;
    addr_set_port(from, (uint16_t)(NAT_FIRST + (port - NAT_FIRST + host->outer_shift) % NAT_PORTS));
}

/* False: no inner socket can have had that outer port. */
static bool nat_inwards(const struct sim_host *host, struct addr *to)
{
    uint32_t port = addr_port(to);

    if (!host->outer.length)
        return true;
    if (!sim_same_address(&host->outer, to) || port < NAT_FIRST)
        return false;
    port = NAT_FIRST + (port - NAT_FIRST + 2 * NAT_PORTS - host->outer_shift) % NAT_PORTS;
    *to = host->addrs[0];
    addr_set_port(to, (uint16_t)port);
    return true;
}

/* ---- arrival ---- */
static void refused(struct sim *sim, void *subject, uint64_t detail)
{
    struct sim_socket *sender = subject;

    if (sender->released || !sender->peer.length)
        return;
    sender->error = ECONNREFUSED;
    sim_socket_wake(sender);
}

static void datagram_arrived(struct sim *sim, void *subject, uint64_t detail)
{
    struct sim_datagram *datagram = subject;
    struct sim_host *host = datagram->target;
    bool local = datagram->sender->host == host;
    struct sim_socket *socket = NULL;

    list_remove(&datagram->link);
    if (local || nat_inwards(host, &datagram->to)) {
        socket = sim_bound(host, SIM_UDP, &datagram->to, &datagram->from);
        if (!socket)
            sim_schedule(sim, sim->now_ns + sim_delay(sim, sim_link(host, datagram->sender->host)),
                         refused, datagram->sender, 0);
    }
    sim_trace(sim, "datagram", host->index, datagram->length, socket != NULL);
    if (!socket || socket->queued + datagram->length > QUEUE_MAX) {
        free(datagram);
        return;
    }
    socket->queued += datagram->length;
    list_append(&socket->datagrams, &datagram->link);
    sim_socket_wake(socket);
}

static void datagram_schedule(struct sim *sim, struct sim_datagram *datagram, struct sim_link *link)
{
    uint64_t at = sim->now_ns + sim_delay(sim, link);

    if (sim_chance(sim, link->weather.reorder))
        at += sim_random(sim, 2 * link->weather.latency_ns);
    else if (at < link->last_ns)
        at = link->last_ns;
    else
        link->last_ns = at;
    list_append(&sim->flying, &datagram->link);
    sim_schedule(sim, at, datagram_arrived, datagram, 0);
}

/* ---- sending ---- */
struct outgoing {
    struct addr to, from;
    uint32_t segment;
    uint8_t ecn;
    uint32_t length;
    uint8_t data[PAYLOAD_MAX + 1];
};

static void control_take(struct outgoing *out, const struct cmsghdr *control)
{
    uint16_t segment;
    int value;

    if (control->cmsg_level == SOL_UDP && control->cmsg_type == UDP_SEGMENT) {
        memcpy(&segment, CMSG_DATA(control), sizeof(segment));
        out->segment = segment;
    } else if ((control->cmsg_level == IPPROTO_IP && control->cmsg_type == IP_TOS) ||
               (control->cmsg_level == IPPROTO_IPV6 && control->cmsg_type == IPV6_TCLASS)) {
        memcpy(&value, CMSG_DATA(control), sizeof(value));
        out->ecn = (uint8_t)(value & 3);
    } else if (control->cmsg_level == IPPROTO_IP && control->cmsg_type == IP_PKTINFO) {
        struct in_pktinfo info;

        memcpy(&info, CMSG_DATA(control), sizeof(info));
        out->from.in4.sin_addr = info.ipi_spec_dst;
    } else if (control->cmsg_level == IPPROTO_IPV6 && control->cmsg_type == IPV6_PKTINFO) {
        struct in6_pktinfo info;

        memcpy(&info, CMSG_DATA(control), sizeof(info));
        out->from.in6.sin6_addr = info.ipi6_addr;
    }
}

static int outgoing_gather(struct outgoing *out, const struct msghdr *message)
{
    for (size_t i = 0; i < message->msg_iovlen; i++) {
        const struct iovec *part = &message->msg_iov[i];

        if (part->iov_len > PAYLOAD_MAX - out->length)
            return -EMSGSIZE;
        memcpy(out->data + out->length, part->iov_base, part->iov_len);
        out->length += (uint32_t)part->iov_len;
    }
    return 0;
}

static int outgoing_address(struct outgoing *out, struct sim_socket *socket,
                            const struct msghdr *message)
{
    const struct cmsghdr *control;

    if (message->msg_name)
        addr_from_sockaddr(&out->to, message->msg_name, message->msg_namelen);
    else
        out->to = socket->peer;
    if (!out->to.length)
        return -EDESTADDRREQ;
    if (!socket->local.length) {
        struct addr any = {0};

        must(addr_from_host(&any, socket->family == AF_INET ? "0.0.0.0" : "::", 0) == 0);
        if (sim_bind(socket, &any) < 0)
            return -EAGAIN;
    }
    out->from = socket->local;
    if (addr_is_wildcard(&out->from)) {
        sim_source(socket->host, &out->to, &out->from);
        addr_set_port(&out->from, addr_port(&socket->local));
    }
    for (control = CMSG_FIRSTHDR(message); control;
         control =
             CMSG_NXTHDR((struct msghdr *)(uintptr_t)message, (struct cmsghdr *)(uintptr_t)control))
        control_take(out, control);
    return out->from.length && sim_host_has(socket->host, &out->from) ? 0 : -EINVAL;
}

static void segment_send(struct sim_socket *socket, struct sim_host *to, const struct outgoing *out,
                         const uint8_t *data, uint32_t length)
{
    struct sim *sim = socket->host->sim;
    struct sim_link *link = sim_link(socket->host, to);
    uint32_t copies = sim_chance(sim, link->weather.duplication) ? 2 : 1;

    if (link->cut || sim_chance(sim, link->weather.loss) ||
        (link->weather.black_hole && length + HEAD_IPV4 > link->weather.black_hole))
        return;
    while (copies--) {
        struct sim_datagram *datagram = malloc(sizeof(*datagram) + length);

        if (!datagram)
            abort();
        *datagram = (struct sim_datagram){.from = out->from,
                                          .to = out->to,
                                          .target = to,
                                          .sender = socket,
                                          .length = length,
                                          .ecn = out->ecn};
        memcpy(datagram->data, data, length);
        if (to != socket->host)
            nat_outwards(socket->host, &datagram->from);
        datagram_schedule(sim, datagram, link);
    }
}

static int outgoing_send(struct sim_socket *socket, const struct outgoing *out)
{
    struct sim_host *to = sim_route(socket->host, &out->to);
    uint32_t segment = out->segment ? out->segment : out->length, at = 0;
    uint32_t head = addr_family(&out->to) == AF_INET ? HEAD_IPV4 : HEAD_IPV6;
    uint32_t mtu = to ? sim_link(socket->host, to)->weather.mtu : 1500;

    if (out->segment && out->length > out->segment * SEGMENTS_MAX)
        return -EINVAL;
    if (segment + head > mtu)
        return -EMSGSIZE;
    if (!to)
        return (int)out->length; /* nobody's: the network drops it */
    do {
        uint32_t take = out->length - at < segment ? out->length - at : segment;

        segment_send(socket, to, out, out->data + at, take);
        at += take;
    } while (at < out->length);
    return (int)out->length;
}

int sim_udp_send(struct sim_socket *socket, const struct msghdr *message)
{
    static struct outgoing out; /* one thread; too large for a stack frame */
    int rc;

    if (socket->error) {
        rc = -socket->error;
        socket->error = 0;
        return rc;
    }
    out.length = out.segment = 0;
    out.ecn = 0;
    rc = outgoing_address(&out, socket, message);
    if (rc == 0)
        rc = outgoing_gather(&out, message);
    return rc < 0 ? rc : outgoing_send(socket, &out);
}

int sim_udp_connect(struct sim_socket *socket, const struct addr *peer)
{
    struct addr source = {0};

    sim_source(socket->host, peer, &source);
    if (!source.length)
        return -ENETUNREACH;
    if (!socket->local.length) {
        int rc = sim_bind(socket, &source);

        if (rc < 0)
            return rc;
    } else if (addr_is_wildcard(&socket->local)) {
        addr_set_port(&source, addr_port(&socket->local));
        socket->local = source;
    }
    socket->peer = *peer;
    return 0;
}

/* ---- receiving ---- */
static struct sim_datagram *queue_first(const struct sim_socket *socket)
{
    if (list_empty(&socket->datagrams))
        return NULL;
    return container_of(socket->datagrams.next, struct sim_datagram, link);
}

static void queue_drop(struct sim_socket *socket, struct sim_datagram *datagram)
{
    list_remove(&datagram->link);
    socket->queued -= datagram->length;
    free(datagram);
}

static bool joins(const struct sim_received *in, const struct sim_datagram *datagram, size_t size)
{
    return datagram && datagram->length && datagram->length <= in->segment &&
           datagram->ecn == in->ecn && in->length % in->segment == 0 &&
           in->length + datagram->length <= size && in->length + datagram->length <= 65535 &&
           in->length / in->segment < SEGMENTS_MAX && addr_equal(&datagram->from, &in->from) &&
           addr_equal(&datagram->to, &in->to);
}

int sim_udp_recv(struct sim_socket *socket, uint8_t *data, size_t size, struct sim_received *in)
{
    struct sim_datagram *datagram = queue_first(socket);
    int error = socket->error;

    if (error) {
        socket->error = 0;
        return -error;
    }
    if (!datagram)
        return -EAGAIN;
    *in = (struct sim_received){.from = datagram->from,
                                .to = datagram->to,
                                .length = datagram->length,
                                .segment = datagram->length,
                                .ecn = datagram->ecn,
                                .truncated = datagram->length > size};
    if (in->truncated)
        in->length = (uint32_t)size;
    memcpy(data, datagram->data, in->length);
    queue_drop(socket, datagram);
    while (socket->gro && in->segment && !in->truncated &&
           joins(in, datagram = queue_first(socket), size)) {
        memcpy(data + in->length, datagram->data, datagram->length);
        in->length += datagram->length;
        queue_drop(socket, datagram);
    }
    if (socket->packet_info)
        addr_set_port(&in->to, 0); /* IP_PKTINFO does not say it */
    else
        in->to.length = 0;
    return (int)in->length;
}

void sim_udp_release(struct sim_socket *socket)
{
    struct sim_datagram *datagram;

    while ((datagram = queue_first(socket)))
        queue_drop(socket, datagram);
}

uint32_t sim_udp_poll(const struct sim_socket *socket)
{
    return (list_empty(&socket->datagrams) ? 0 : POLLIN) | POLLOUT | (socket->error ? POLLERR : 0);
}
