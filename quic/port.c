#include "quic/port.h"

#include <errno.h>
#include <linux/filter.h>
#include <string.h>

#include "core/mem.h"
#include "core/sock.h"
#include "quic/conn.h"

/* ---- binding ---- */

/* The filter sees the UDP payload.  Byte 0 of the destination id stands behind the first byte of a
 * short header, behind six of a long one.  A datagram too short for it goes to socket 0. */
static int port_attach_filter(struct os *os, int fd, uint32_t count)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 0), BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 0x80, 0, 2),
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 6), BPF_STMT(BPF_JMP | BPF_JA, 1),
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 1), BPF_STMT(BPF_ALU | BPF_MOD | BPF_K, count),
        BPF_STMT(BPF_RET | BPF_A, 0),
    };
    struct sock_fprog program = {.len = ARRAY_COUNT(code), .filter = code};

    return os->set_option(os, fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &program, sizeof(program));
}

/* Without SO_REUSEPORT the kernel tells when another process has the port already, whoever it
 * belongs to; with it, it would let us in beside it. */
static int port_probe(struct os *os, const struct addr *addr, struct addr *bound)
{
    int fd = sock_udp_bind(os, addr, false, false);
    int rc;

    if (fd < 0)
        return fd;
    rc = os->local_addr(os, fd, bound);
    os->close(os, fd);
    return rc;
}

/* A group's sockets are numbered as they were bound. */
static int port_bind_seats(struct quic_port *port)
{
    bool packet_info = addr_is_wildcard(&port->addr), several = port->count > 1;

    for (uint32_t i = 0; i < port->count; i++) {
        int fd = sock_udp_bind(port->os, &port->addr, packet_info, several);

        if (fd < 0)
            return fd;
        port->seats[i].fd = fd;
    }
    return several ? port_attach_filter(port->os, port->seats[0].fd, port->count) : 0;
}

struct quic_port *quic_port_bind(struct os *os, const struct addr *addr, uint32_t workers,
                                 int *error)
{
    struct quic_port *port = mem_new(sizeof(*port) + workers * sizeof(struct port_seat));

    must(workers && workers <= CID_SOCKETS_MAX);
    *error = -ENOMEM;
    if (!port)
        return NULL;
    port->os = os;
    port->count = workers;
    for (uint32_t i = 0; i < workers; i++)
        port->seats[i].fd = -1;
    *error = port_probe(os, addr, &port->addr);
    if (!*error)
        *error = port_bind_seats(port);
    if (*error)
        quic_port_free(&port);
    return port;
}

void quic_port_addr(const struct quic_port *port, struct addr *addr)
{
    *addr = port->addr;
}

void quic_port_free(struct quic_port **handle)
{
    struct quic_port *port = *handle;

    if (!port)
        return;
    for (uint32_t i = 0; i < port->count; i++) {
        must(!port->seats[i].endpoint);
        if (port->seats[i].fd >= 0)
            port->os->close(port->os, port->seats[i].fd);
    }
    mem_free(port);
    *handle = NULL;
}

/* ---- parcels: datagrams from one worker to another ---- */

struct parcel {
    struct mail mail;
    struct quic_port *port;
    uint32_t target;
    uint32_t length;
    uint8_t data[PARCEL_BYTES]; /* records, each followed by its bytes */
};
struct parcel_record {
    struct addr peer, local;
    uint32_t length;
    uint8_t ecn;
};

static void parcel_unpack(struct parcel *parcel, struct quic_endpoint *endpoint)
{
    for (uint32_t at = 0; at < parcel->length;) {
        struct parcel_record record;
        struct stray stray = {.handed = true, .peer = &record.peer, .local = &record.local};

        memcpy(&record, parcel->data + at, sizeof(record));
        stray.data = parcel->data + at + sizeof(record);
        stray.length = record.length;
        stray.ecn = record.ecn;
        endpoint_take_handed(endpoint, &stray);
        at += (uint32_t)sizeof(record) + record.length;
    }
}

/* On the target's thread. */
static void parcel_arrived(struct mail *mail)
{
    struct parcel *parcel = container_of(mail, struct parcel, mail);
    struct port_seat *seat = &parcel->port->seats[parcel->target];

    atomic_fetch_sub(&seat->parcels, 1);
    if (seat->endpoint && !seat->endpoint->stopping)
        parcel_unpack(parcel, seat->endpoint);
    mem_free(parcel);
}

static void outbox_post(struct port_outbox *outbox, uint32_t target)
{
    struct parcel *parcel = outbox->parcels[target];

    if (!parcel)
        return;
    outbox->parcels[target] = NULL;
    worker_post(atomic_load(&parcel->port->seats[target].worker), &parcel->mail);
}

static void outbox_flush(struct task *task)
{
    struct quic_endpoint *endpoint = container_of(task, struct quic_endpoint, outbox.task);

    for (uint32_t i = 0; i < endpoint->acceptor.port->count; i++)
        outbox_post(&endpoint->outbox, i);
}

/* A worker that does not keep up loses what is for it, as it would in its own socket. */
static struct parcel *parcel_new(struct quic_port *port, uint32_t target)
{
    struct port_seat *seat = &port->seats[target];
    struct parcel *parcel;

    if (!atomic_load(&seat->worker) || atomic_load(&seat->parcels) >= PARCELS_MAX)
        return NULL;
    parcel = mem_raw(sizeof(*parcel));
    if (!parcel)
        return NULL;
    parcel->mail.run = parcel_arrived;
    parcel->port = port;
    parcel->target = target;
    parcel->length = 0;
    atomic_fetch_add(&seat->parcels, 1);
    return parcel;
}

static bool outbox_add(struct quic_endpoint *endpoint, uint32_t target, const struct stray *stray)
{
    const struct parcel_record record = {
        .peer = *stray->peer, .local = *stray->local, .length = stray->length, .ecn = stray->ecn};
    struct parcel **open = &endpoint->outbox.parcels[target];
    uint32_t size = (uint32_t)sizeof(record) + stray->length;

    if (size > PARCEL_BYTES)
        return false;
    if (*open && (*open)->length + size > PARCEL_BYTES)
        outbox_post(&endpoint->outbox, target);
    if (!*open)
        *open = parcel_new(endpoint->acceptor.port, target);
    if (!*open)
        return false;
    memcpy((*open)->data + (*open)->length, &record, sizeof(record));
    memcpy((*open)->data + (*open)->length + sizeof(record), stray->data, stray->length);
    (*open)->length += size;
    worker_defer(endpoint->worker, &endpoint->outbox.task);
    return true;
}

/* Ids of ours name their worker; those that a client made up name a socket, as the filter reads
 * them. */
static uint32_t stray_target(const struct quic_endpoint *endpoint, const struct stray *stray)
{
    struct cid_place place;
    enum cid_verdict verdict =
        cid_read(&endpoint->codec, stray->ids.dcid, stray->ids.dcidlen, &place);

    if (verdict == CID_WORKER)
        return place.worker;
    if (verdict == CID_FOREIGN && stray->data[0] & 0x80 && stray->ids.dcidlen)
        return cid_socket(stray->ids.dcid[0], (uint8_t)endpoint->acceptor.port->count);
    return endpoint->worker->index;
}

bool port_hand_over(struct quic_endpoint *endpoint, const struct stray *stray)
{
    const struct quic_port *port = endpoint->acceptor.port;
    uint32_t target;

    if (!port || port->count == 1 || stray->handed)
        return false;
    target = stray_target(endpoint, stray);
    if (target == endpoint->worker->index || target >= port->count)
        return false;
    counter_add(
        endpoint->worker->counters,
        outbox_add(endpoint, target, stray) ? COUNTER_HANDED_DATAGRAMS : COUNTER_LIMIT_HANDED, 1);
    return true;
}

/* ---- seats ---- */

int port_join(struct quic_endpoint *endpoint, struct quic_port *port)
{
    struct port_seat *seat;

    if (!port)
        return 0;
    endpoint->outbox.parcels = mem_new(port->count * sizeof(struct parcel *));
    if (!endpoint->outbox.parcels)
        return -ENOMEM;
    task_init(&endpoint->outbox.task, outbox_flush);
    seat = &port->seats[endpoint->worker->index];
    must(!seat->endpoint);
    seat->endpoint = endpoint;
    atomic_store(&seat->worker, endpoint->worker);
    return 0;
}

void port_leave(struct quic_endpoint *endpoint)
{
    struct port_outbox *outbox = &endpoint->outbox;

    if (!outbox->parcels)
        return;
    outbox_flush(&outbox->task);
    task_cancel(&outbox->task);
    endpoint->acceptor.port->seats[endpoint->worker->index].endpoint = NULL;
    mem_free(outbox->parcels);
    outbox->parcels = NULL;
}
