#include "bench/stage/memory_ring.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/udp.h>
#include <string.h>

#include "core/mem.h"

enum {
    FIRST_FD = 1000,
    SOCKETS = 2,
    EVENT_FD = FIRST_FD + SOCKETS,
    FIRST_PORT = 40000,
    MTU = 1500,
    OPS = 256,         /* most that begin in one turn */
    TURN_NS = 20000,   /* how long a turn that moved something takes */
    HEADER_SIZE = 256, /* in front of the payload, in the chunk */
    DATAGRAM_MAX = 65507
};

struct datagram_header {
    struct addr peer;
    uint32_t length, segment;
};

struct memory_group {
    uint32_t head, count, room;
    uint16_t ids[];
};

static struct {
    uint64_t now_ns, random;
    int sockets;
    struct op *receiver[SOCKETS];
} kernel = {.now_ns = 1000000000, .random = 7};

struct memory_ring {
    struct ring ring;
    struct op *submitted[OPS];
    uint32_t count;
};

static struct memory_ring *memory_of(struct ring *ring)
{
    return container_of(ring, struct memory_ring, ring);
}

static int index_of(int fd)
{
    must(fd >= FIRST_FD && fd < FIRST_FD + SOCKETS);
    return fd - FIRST_FD;
}

static struct addr addr_of(int index)
{
    struct addr addr = {.length = sizeof(addr.in4)};

    addr.in4 = (struct sockaddr_in){.sin_family = AF_INET,
                                    .sin_port = htons((uint16_t)(FIRST_PORT + index)),
                                    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    return addr;
}

/* ---- operations ---- */
static void memory_submit(struct ring *ring, struct op *op)
{
    struct memory_ring *memory = memory_of(ring);

    ring->stats.submissions++;
    if (op->kind == OP_RECVMSG_MULTI) {
        kernel.receiver[index_of(op->fd)] = op;
        return;
    }
    if (op->kind == OP_READ)
        return;
    must(op->kind == OP_SENDMSG && memory->count < OPS);
    memory->submitted[memory->count++] = op;
}

/* A send completes anyway; a receive ends in the next turn. */
static void memory_cancel(struct ring *ring, struct op *op)
{
    struct memory_ring *memory = memory_of(ring);

    if (op->kind == OP_SENDMSG)
        return;
    must(memory->count < OPS);
    if (op->kind == OP_RECVMSG_MULTI)
        kernel.receiver[index_of(op->fd)] = NULL;
    memory->submitted[memory->count++] = op;
}

static uint32_t segment_of(const struct msghdr *message)
{
    struct cmsghdr *header = CMSG_FIRSTHDR(message);
    uint16_t segment = 0;

    for (; header; header = CMSG_NXTHDR((struct msghdr *)(uintptr_t)message, header))
        if (header->cmsg_level == SOL_UDP && header->cmsg_type == UDP_SEGMENT)
            memcpy(&segment, CMSG_DATA(header), sizeof(segment));
    return segment;
}

static int group_pop(struct group *group)
{
    struct memory_group *own = group->driver;
    uint16_t id;

    must(own->count);
    id = own->ids[own->head];
    own->head = (own->head + 1) % own->room;
    own->count--;
    return id;
}

static void deliver(struct ring *ring, struct op *send)
{
    int from = index_of(send->fd);
    struct op *receive = kernel.receiver[SOCKETS - 1 - from];
    const struct iovec *part = send->message->msg_iov;
    struct datagram_header header = {addr_of(from), (uint32_t)part->iov_len,
                                     segment_of(send->message)};
    int id;

    must(send->message->msg_iovlen == 1 && part->iov_len <= DATAGRAM_MAX);
    if (receive) {
        id = group_pop(receive->group);
        memcpy(receive->group->slots[id]->data, &header, sizeof(header));
        memcpy(receive->group->slots[id]->data + HEADER_SIZE, part->iov_base, part->iov_len);
        ring_complete(ring, receive, (struct op_result){.res = (int)part->iov_len}, id);
    }
    ring_complete(ring, send, (struct op_result){.res = (int)part->iov_len, .final = true}, -1);
}

static int memory_turn(struct ring *ring, uint64_t deadline_ns)
{
    struct memory_ring *memory = memory_of(ring);
    struct op *begun[OPS];
    uint32_t count = memory->count;

    ring->stats.enters++;
    memcpy(begun, memory->submitted, count * sizeof(*begun));
    memory->count = 0;
    if (count)
        kernel.now_ns += TURN_NS;
    else if (deadline_ns != UINT64_MAX && deadline_ns > kernel.now_ns)
        kernel.now_ns = deadline_ns;
    for (uint32_t i = 0; i < count; i++) {
        if (begun[i]->kind == OP_SENDMSG)
            deliver(ring, begun[i]);
        else
            ring_complete(ring, begun[i], (struct op_result){.res = -ECANCELED, .final = true}, -1);
    }
    return 0;
}

static bool memory_datagram(const struct op *op, struct op_result result, struct datagram_in *in)
{
    struct datagram_header header;

    memcpy(&header, result.chunk->data, sizeof(header));
    *in = (struct datagram_in){.peer = header.peer,
                               .data = result.chunk->data + HEADER_SIZE,
                               .length = header.length,
                               .segment = header.segment};
    return true;
}

/* ---- groups ---- */
static int memory_group_open(struct ring *ring, struct group *group)
{
    struct memory_group *own = mem_new(sizeof(*own) + group->count * sizeof(own->ids[0]));

    if (!own)
        return -ENOMEM;
    own->room = group->count;
    group->driver = own;
    return 0;
}

static void memory_group_publish(struct ring *ring, struct group *group, uint16_t id,
                                 struct chunk *chunk)
{
    struct memory_group *own = group->driver;

    own->ids[(own->head + own->count++) % own->room] = id;
}

static void memory_group_close(struct ring *ring, struct group *group)
{
    mem_free(group->driver);
    group->driver = NULL;
}

static void memory_close(struct ring *ring)
{
    mem_free(memory_of(ring));
}

static const struct ring_driver memory_driver = {
    .submit = memory_submit,
    .cancel = memory_cancel,
    .turn = memory_turn,
    .datagram = memory_datagram,
    .group_open = memory_group_open,
    .group_publish = memory_group_publish,
    .group_close = memory_group_close,
    .close = memory_close,
};

struct ring *memory_ring_open(void)
{
    struct memory_ring *memory = mem_new(sizeof(*memory));

    if (!memory)
        return NULL;
    ring_init(&memory->ring, &memory_driver);
    return &memory->ring;
}

/* ---- the rest of the kernel ---- */
static uint64_t memory_clock_ns(struct os *os)
{
    return kernel.now_ns;
}

static uint64_t memory_wall_ms(struct os *os)
{
    return UINT64_C(1780000000000) + kernel.now_ns / 1000000;
}

static void memory_random(struct os *os, void *to, size_t length)
{
    for (uint8_t *at = to; length--; at++) {
        kernel.random = kernel.random * UINT64_C(6364136223846793005) + 1442695040888963407u;
        *at = (uint8_t)(kernel.random >> 56);
    }
}

static int memory_socket(struct os *os, int family, int type)
{
    must(kernel.sockets < SOCKETS);
    return FIRST_FD + kernel.sockets++;
}

static int memory_name(struct os *os, int fd, const struct addr *addr)
{
    return 0;
}

static int memory_listen(struct os *os, int fd, int backlog)
{
    return -EOPNOTSUPP;
}

static int memory_set_option(struct os *os, int fd, int level, int name, const void *value,
                             socklen_t size)
{
    return 0;
}

static int memory_get_option(struct os *os, int fd, int level, int name, void *value,
                             socklen_t *size)
{
    const int mtu = MTU;

    if (*size < sizeof(mtu))
        return -EINVAL;
    memcpy(value, &mtu, sizeof(mtu));
    *size = sizeof(mtu);
    return 0;
}

static int memory_local_addr(struct os *os, int fd, struct addr *addr)
{
    *addr = addr_of(index_of(fd));
    return 0;
}

static int memory_peer_addr(struct os *os, int fd, struct addr *addr)
{
    *addr = addr_of(SOCKETS - 1 - index_of(fd));
    return 0;
}

static int memory_shutdown(struct os *os, int fd, int how)
{
    return 0;
}

static void memory_close_fd(struct os *os, int fd)
{
}

static int memory_event(struct os *os)
{
    return EVENT_FD;
}

static void memory_event_ring(struct os *os, int fd)
{
}

struct os os_memory = {
    .clock_ns = memory_clock_ns,
    .wall_ms = memory_wall_ms,
    .random = memory_random,
    .socket = memory_socket,
    .bind = memory_name,
    .listen = memory_listen,
    .connect = memory_name,
    .set_option = memory_set_option,
    .get_option = memory_get_option,
    .local_addr = memory_local_addr,
    .peer_addr = memory_peer_addr,
    .shutdown = memory_shutdown,
    .close = memory_close_fd,
    .event = memory_event,
    .event_ring = memory_event_ring,
};
