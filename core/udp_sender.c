#include <errno.h>
#include <netinet/udp.h>
#include <stdalign.h>
#include <string.h>

#include "core/mem.h"
#include "core/udp_end.h"

enum {
    RUN_SEGMENTS = 64, /* what every kernel above the floor takes in one send */
    RUN_BYTES = 64000, /* with headers, below the largest IP packet */
    QUEUE_BYTES = 1 << 20,
    QUEUE_RUNS = 1024,
    DATAGRAM_MAX = 65507,
    TURN_DATAGRAMS = 32, /* a receiver with the system's default buffer holds about 90 */
};
#define FORGIVE_NS 10000000000ull

/* Datagrams of equal size (the last may be shorter) to one peer, one after the other in a chunk:
 * one send.  `done` moves only when they are sent singly after all. */
struct udp_run {
    struct list link; /* queued or flying */
    struct udp_sender *sender;
    struct op op;
    struct msghdr message;
    struct iovec iov;
    struct addr peer, local; /* length 0: none */
    struct chunk *chunk;
    uint32_t start, length, segment, count, done;
    bool ended; /* a shorter datagram closed it */
    bool single;
    alignas(struct cmsghdr)
        uint8_t control[CMSG_SPACE(sizeof(uint16_t)) + CMSG_SPACE(sizeof(struct in6_pktinfo))];
};

struct udp_sender {
    struct worker *worker;
    int fd;
    struct list queued, flying;
    struct chunk *chunk; /* being filled; its `used` says how far */
    uint32_t runs;
    uint64_t bytes;
    uint64_t turn_bytes;      /* queued since the last flush */
    uint32_t segment_max;     /* longer ones were refused in a run, and then taken singly: */
    uint64_t forgive_ns;      /* until then; one peer's path is not all peers' */
    bool bulky;               /* the last turn outgrew a medium chunk */
    udp_sender_idle_fn *idle; /* set by stop */
    void *owner;
    struct task task;
};

static void udp_sender_count(struct udp_sender *sender, enum counter counter, uint32_t amount)
{
    counter_add(sender->worker->counters, counter, amount);
}

/* ---- runs ---- */

static void udp_run_free(struct udp_run *run)
{
    struct udp_sender *sender = run->sender;

    list_remove(&run->link);
    sender->runs--;
    sender->bytes -= run->length;
    chunk_drop(run->chunk);
    mem_free(run);
}

static void *control_add(struct msghdr *message, int level, int type, size_t length)
{
    uint8_t *room = (uint8_t *)message->msg_control + message->msg_controllen;
    struct cmsghdr *control = (struct cmsghdr *)(void *)room;

    memset(room, 0, CMSG_SPACE(length));
    control->cmsg_level = level;
    control->cmsg_type = type;
    control->cmsg_len = CMSG_LEN(length);
    message->msg_controllen += CMSG_SPACE(length);
    return CMSG_DATA(control);
}

static void udp_run_add_local(struct udp_run *run)
{
    struct in_pktinfo info4 = {0};
    struct in6_pktinfo info6 = {0};

    if (addr_family(&run->local) == AF_INET) {
        info4.ipi_spec_dst = run->local.in4.sin_addr;
        memcpy(control_add(&run->message, IPPROTO_IP, IP_PKTINFO, sizeof(info4)), &info4,
               sizeof(info4));
    } else if (addr_family(&run->local) == AF_INET6) {
        info6.ipi6_addr = run->local.in6.sin6_addr;
        info6.ipi6_ifindex = run->local.in6.sin6_scope_id;
        memcpy(control_add(&run->message, IPPROTO_IPV6, IPV6_PKTINFO, sizeof(info6)), &info6,
               sizeof(info6));
    }
}

static void udp_run_submit(struct udp_run *run)
{
    uint16_t segment = (uint16_t)run->segment;
    uint32_t length = run->length - run->done;

    if (run->single && length > run->segment)
        length = run->segment;
    run->iov = (struct iovec){run->chunk->data + run->start + run->done, length};
    run->message = (struct msghdr){.msg_iov = &run->iov, .msg_iovlen = 1};
    if (run->peer.length) {
        run->message.msg_name = &run->peer.sa;
        run->message.msg_namelen = run->peer.length;
    }
    run->message.msg_control = run->control;
    if (!run->single && run->count > 1)
        memcpy(control_add(&run->message, SOL_UDP, UDP_SEGMENT, sizeof(segment)), &segment,
               sizeof(segment));
    udp_run_add_local(run);
    ring_sendmsg(run->sender->worker->ring, &run->op, run->sender->fd, &run->message, MSG_NOSIGNAL);
}

static void udp_run_count_failure(struct udp_run *run, int error)
{
    uint32_t count = run->single ? 1 : run->count;

    udp_sender_count(run->sender,
                     error == -EMSGSIZE ? COUNTER_DATAGRAM_TOO_LARGE : COUNTER_UDP_SEND_FAILED,
                     count);
}

/* A device without checksum offload refuses segments; so does a path narrower than a segment, which
 * may take them singly, in fragments, or a shorter last one. */
static bool udp_run_wants_singles(const struct udp_run *run, int error)
{
    return (error == -EIO || error == -EINVAL || error == -EMSGSIZE) && !run->single &&
           run->count > 1 && !run->sender->idle;
}

static void udp_run_taken_singly(const struct udp_run *run)
{
    struct udp_sender *sender = run->sender;

    if (run->iov.iov_len != run->segment || run->segment > sender->segment_max)
        return;
    sender->segment_max = run->segment - 1;
    sender->forgive_ns = sender->worker->now_ns + FORGIVE_NS;
}

/* True: another datagram of the run is on its way. */
static bool udp_run_go_on(struct udp_run *run, int res)
{
    if (!run->single)
        return false;
    if (res >= 0)
        udp_run_taken_singly(run);
    run->done += (uint32_t)run->iov.iov_len;
    if (run->done >= run->length || run->sender->idle)
        return false;
    udp_run_submit(run);
    return true;
}

static void udp_run_sent(struct op *op, struct op_result result)
{
    struct udp_run *run = container_of(op, struct udp_run, op);
    struct udp_sender *sender = run->sender;

    if (udp_run_wants_singles(run, result.res)) {
        run->single = true;
        udp_run_submit(run);
        return;
    }
    if (result.res < 0 && result.res != -ECANCELED)
        udp_run_count_failure(run, result.res);
    if (udp_run_go_on(run, result.res))
        return;
    udp_run_free(run);
    if (sender->idle && list_empty(&sender->flying))
        worker_defer(sender->worker, &sender->task);
}

static bool addr_is(const struct addr *have, const struct addr *wanted)
{
    return wanted ? have->length && addr_equal(have, wanted) : !have->length;
}

static bool udp_run_is_full(const struct udp_run *run, uint32_t length)
{
    return run->count == RUN_SEGMENTS || run->length + length > RUN_BYTES;
}

static struct udp_run *udp_sender_newest(struct udp_sender *sender)
{
    if (list_empty(&sender->queued))
        return NULL;
    return container_of(sender->queued.previous, struct udp_run, link);
}

static bool udp_sender_may_extend(const struct udp_sender *sender, const struct udp_run *run,
                                  const struct addr *peer, const struct addr *local,
                                  uint32_t length)
{
    return run && !run->ended && length && length <= run->segment &&
           run->segment <= sender->segment_max && !udp_run_is_full(run, length) &&
           run->chunk == sender->chunk && sender->chunk->size - sender->chunk->used >= length &&
           addr_is(&run->peer, peer) && addr_is(&run->local, local);
}

/* A new chunk when the old one is out of room, or when a run that filled up leaves too little for
 * another of its size: short runs cost as much as long ones. */
static bool udp_sender_make_room(struct udp_sender *sender, uint32_t length)
{
    struct udp_run *newest = udp_sender_newest(sender);
    struct chunk *old = sender->chunk;
    enum pool_size size;

    if (old && old->size - old->used >= length && !(newest && udp_run_is_full(newest, length)))
        return true;
    size = old || sender->bulky || length > POOL_MEDIUM_SIZE ? POOL_LARGE : POOL_MEDIUM;
    sender->chunk = chunk_take(sender->worker->pools, size);
    if (old)
        chunk_drop(old);
    return sender->chunk;
}

static struct udp_run *udp_sender_new_run(struct udp_sender *sender, const struct addr *peer,
                                          const struct addr *local, uint32_t length)
{
    struct udp_run *run;

    if (sender->runs == QUEUE_RUNS || !udp_sender_make_room(sender, length))
        return NULL;
    run = mem_new(sizeof(*run));
    if (!run)
        return NULL;
    run->sender = sender;
    op_init(&run->op, udp_run_sent);
    if (peer)
        run->peer = *peer;
    if (local)
        run->local = *local;
    run->chunk = chunk_share(sender->chunk);
    run->start = sender->chunk->used;
    run->segment = length;
    list_append(&sender->queued, &run->link);
    sender->runs++;
    return run;
}

static void udp_run_append(struct udp_run *run, const uint8_t *data, uint32_t length)
{
    struct udp_sender *sender = run->sender;
    struct chunk *chunk = run->chunk;

    if (length)
        memcpy(chunk->data + chunk->used, data, length);
    chunk->used += length;
    run->length += length;
    run->count++;
    run->ended = length < run->segment || !length;
    sender->bytes += length;
    sender->turn_bytes += length;
}

/* ---- the sender ---- */

void udp_sender_send(struct udp_sender *sender, const struct addr *peer, const struct addr *local,
                     const uint8_t *data, uint32_t length)
{
    struct udp_run *run = udp_sender_newest(sender);

    must(!sender->idle);
    if (length > DATAGRAM_MAX) {
        udp_sender_count(sender, COUNTER_DATAGRAM_TOO_LARGE, 1);
        return;
    }
    if (!udp_sender_may_extend(sender, run, peer, local, length))
        run = sender->bytes + length <= QUEUE_BYTES
                  ? udp_sender_new_run(sender, peer, local, length)
                  : NULL;
    if (!run) {
        udp_sender_count(sender, COUNTER_LIMIT_DATAGRAM_QUEUE, 1);
        return;
    }
    udp_run_append(run, data, length);
    worker_defer(sender->worker, &sender->task);
}

static void udp_sender_drop_chunk(struct udp_sender *sender)
{
    if (sender->chunk)
        chunk_drop(sender->chunk);
    sender->chunk = NULL;
}

/* What arrived in a heap, because this process or the one before had to wait for its core, does not
 * leave in one: the receiver may share the core, and can only run while we sleep. */
static void udp_sender_flush(struct udp_sender *sender)
{
    struct list *node;
    uint32_t count = 0;

    sender->bulky = sender->turn_bytes > POOL_MEDIUM_SIZE;
    sender->turn_bytes = 0;
    if (sender->worker->now_ns >= sender->forgive_ns)
        sender->segment_max = DATAGRAM_MAX;
    udp_sender_drop_chunk(sender);
    while (count < TURN_DATAGRAMS && (node = list_pop(&sender->queued))) {
        struct udp_run *run = container_of(node, struct udp_run, link);

        list_append(&sender->flying, node);
        count += run->count;
        udp_run_submit(run);
    }
    if (count >= TURN_DATAGRAMS / 4)
        worker_note_burst(sender->worker);
    if (!list_empty(&sender->queued))
        worker_defer(sender->worker, &sender->task);
}

static void udp_sender_settle(struct task *task)
{
    struct udp_sender *sender = container_of(task, struct udp_sender, task);

    if (!sender->idle)
        udp_sender_flush(sender);
    else if (list_empty(&sender->flying))
        sender->idle(sender->owner);
}

void udp_sender_stop(struct udp_sender *sender, udp_sender_idle_fn *idle, void *owner)
{
    must(!sender->idle);
    sender->idle = idle;
    sender->owner = owner;
    udp_sender_drop_chunk(sender);
    while (!list_empty(&sender->queued))
        udp_run_free(container_of(sender->queued.next, struct udp_run, link));
    for (struct list *node = sender->flying.next; node != &sender->flying; node = node->next)
        ring_cancel(sender->worker->ring, &container_of(node, struct udp_run, link)->op);
    worker_defer(sender->worker, &sender->task);
}

struct udp_sender *udp_sender_new(struct worker *worker, int fd)
{
    struct udp_sender *sender = mem_new(sizeof(*sender));

    if (!sender)
        return NULL;
    sender->worker = worker;
    sender->fd = fd;
    sender->segment_max = DATAGRAM_MAX;
    list_init(&sender->queued);
    list_init(&sender->flying);
    task_init(&sender->task, udp_sender_settle);
    return sender;
}

void udp_sender_free(struct udp_sender **sender)
{
    if (!*sender)
        return;
    must(list_empty(&(*sender)->queued) && list_empty(&(*sender)->flying));
    task_cancel(&(*sender)->task);
    mem_free(*sender);
    *sender = NULL;
}
