#include "core/ring.h"

#include <errno.h>

#include "core/mem.h"

void ring_init(struct ring *ring, const struct ring_driver *driver)
{
    *ring = (struct ring){.driver = driver};
    list_init(&ring->refillable);
    list_init(&ring->ended);
}

static void ring_begin(struct ring *ring, struct op *op, enum op_kind kind, int fd)
{
    must(!op->busy && op->done);
    op->kind = kind;
    op->fd = fd;
    op->busy = true;
    op->cancelled = false;
    ring->busy++;
}

void ring_accept_multi(struct ring *ring, struct op *op, int fd)
{
    ring_begin(ring, op, OP_ACCEPT_MULTI, fd);
    ring->driver->submit(ring, op);
}

void ring_recv(struct ring *ring, struct op *op, int fd, struct group *group)
{
    ring_begin(ring, op, OP_RECV, fd);
    op->group = group;
    ring->driver->submit(ring, op);
}

void ring_recv_now(struct ring *ring, struct op *op, int fd, struct msghdr *message)
{
    ring_begin(ring, op, OP_RECV_NOW, fd);
    op->message = message;
    ring->driver->submit(ring, op);
}

void ring_recvmsg_multi(struct ring *ring, struct op *op, int fd, struct group *group,
                        struct msghdr *message)
{
    ring_begin(ring, op, OP_RECVMSG_MULTI, fd);
    op->group = group;
    op->message = message;
    ring->driver->submit(ring, op);
}

void ring_sendmsg(struct ring *ring, struct op *op, int fd, struct msghdr *message, uint32_t flags)
{
    ring_begin(ring, op, OP_SENDMSG, fd);
    op->message = message;
    op->flags = flags;
    ring->driver->submit(ring, op);
}

void ring_connect(struct ring *ring, struct op *op, int fd, const struct addr *peer)
{
    ring_begin(ring, op, OP_CONNECT, fd);
    op->peer = peer;
    ring->driver->submit(ring, op);
}

void ring_poll(struct ring *ring, struct op *op, int fd, uint32_t mask)
{
    ring_begin(ring, op, OP_POLL, fd);
    op->flags = mask;
    ring->driver->submit(ring, op);
}

void ring_read(struct ring *ring, struct op *op, int fd, void *buffer, uint32_t length)
{
    ring_begin(ring, op, OP_READ, fd);
    op->buffer = buffer;
    op->flags = length;
    ring->driver->submit(ring, op);
}

void ring_cancel(struct ring *ring, struct op *op)
{
    if (!op->busy || op->cancelled)
        return;
    op->cancelled = true;
    if (op->waiting) {
        list_remove(&op->link);
        list_append(&ring->ended, &op->link);
    } else {
        ring->driver->cancel(ring, op);
    }
}

bool ring_datagram(const struct op *op, struct op_result result, struct datagram_in *in)
{
    return op->group->ring->driver->datagram(op, result, in);
}

static bool op_has_group(const struct op *op)
{
    return op->kind == OP_RECV || op->kind == OP_RECVMSG_MULTI;
}

/* ---- groups ---- */

static void group_note_short(struct ring *ring, struct group *group)
{
    if (list_empty(&group->link))
        list_append(&ring->refillable, &group->link);
}

static void group_publish(struct ring *ring, struct group *group, uint16_t id, struct chunk *chunk)
{
    group->slots[id] = chunk;
    group->published++;
    ring->driver->group_publish(ring, group, id, chunk);
}

static void group_fill(struct ring *ring, struct group *group)
{
    for (uint16_t id = 0; id < group->count && group->published < group->count; id++) {
        struct chunk *chunk;

        if (group->slots[id])
            continue;
        chunk = chunk_take(group->pools, group->size);
        if (!chunk)
            break;
        group_publish(ring, group, id, chunk);
    }
    if (group->published < group->count)
        group_note_short(ring, group);
}

/* The chunk that the kernel filled leaves the group and another takes its place; an empty one (the
 * kernel picks a buffer for an end of file too) goes straight back. */
static struct chunk *group_take(struct ring *ring, struct group *group, uint16_t id, bool filled)
{
    struct chunk *chunk = group->slots[id], *other;

    must(id < group->count && chunk);
    group->slots[id] = NULL;
    group->published--;
    if (!filled) {
        group_publish(ring, group, id, chunk);
        return NULL;
    }
    other = chunk_take(group->pools, group->size);
    if (other)
        group_publish(ring, group, id, other);
    else
        group_note_short(ring, group);
    return chunk;
}

int ring_group_open(struct ring *ring, struct group *group, struct pools *pools,
                    enum pool_size size, uint16_t count)
{
    int rc;

    must(count && (count & (count - 1)) == 0);
    *group = (struct group){.ring = ring, .pools = pools, .size = size, .count = count};
    list_init(&group->dry);
    list_init(&group->link);
    group->slots = mem_new(count * sizeof(struct chunk *));
    if (!group->slots)
        return -ENOMEM;
    rc = ring->driver->group_open(ring, group);
    if (rc) {
        mem_free(group->slots);
        group->slots = NULL;
        return rc;
    }
    group_fill(ring, group);
    return 0;
}

void ring_group_close(struct ring *ring, struct group *group)
{
    if (!group->slots)
        return;
    must(list_empty(&group->dry));
    ring->driver->group_close(ring, group);
    for (uint16_t id = 0; id < group->count; id++)
        if (group->slots[id])
            chunk_drop(group->slots[id]);
    list_remove(&group->link);
    mem_free(group->slots);
    group->slots = NULL;
}

void ring_wait_for_chunks(struct ring *ring, struct op *op)
{
    must(!op->busy && op_has_group(op));
    op->busy = true;
    op->waiting = true;
    op->cancelled = false;
    ring->busy++;
    list_append(&op->group->dry, &op->link);
    group_note_short(ring, op->group);
}

/* ---- completions ---- */

static void ring_note_woken(struct ring *ring)
{
    if (ring->woken)
        return;
    ring->woken = true;
    if (ring->woke)
        ring->woke(ring->woke_context);
}

static void op_finish(struct ring *ring, struct op *op)
{
    must(op->busy && ring->busy);
    list_remove(&op->link);
    op->busy = false;
    op->waiting = false;
    ring->busy--;
}

static void op_note_drained(struct op *op, struct op_result result)
{
    if (result.res > 0)
        op->drained = !result.more_waits;
    else if (result.res == -EAGAIN)
        op->drained = true;
}

void ring_complete(struct ring *ring, struct op *op, struct op_result result, int buffer_id)
{
    ring_note_woken(ring);
    ring->stats.completions++;
    if (buffer_id >= 0)
        result.chunk = group_take(ring, op->group, (uint16_t)buffer_id, result.res > 0);
    if (op->kind == OP_RECV || op->kind == OP_RECV_NOW)
        op_note_drained(op, result);
    if (op_has_group(op) && result.res == -ENOBUFS)
        ring->stats.dry++;
    if (result.final)
        op_finish(ring, op);
    op->done(op, result);
}

static void op_end_waiting(struct ring *ring, struct op *op, int res)
{
    ring_note_woken(ring);
    op_finish(ring, op);
    op->done(op, (struct op_result){.res = res, .final = true});
}

/* At most as many ops as there are chunks: each of them met a socket that has bytes. */
static bool group_resume(struct ring *ring, struct group *group)
{
    uint16_t count = group->published;
    bool resumed = false;

    while (count-- && !list_empty(&group->dry)) {
        op_end_waiting(ring, container_of(group->dry.next, struct op, link), -EAGAIN);
        resumed = true;
    }
    return resumed;
}

static bool ring_refill(struct ring *ring)
{
    struct list groups, *node;
    bool resumed = false;

    list_init(&groups);
    list_take_all(&groups, &ring->refillable);
    while ((node = list_pop(&groups))) {
        struct group *group = container_of(node, struct group, link);

        group_fill(ring, group);
        resumed |= group_resume(ring, group);
        if (!list_empty(&group->dry))
            group_note_short(ring, group);
    }
    return resumed;
}

static bool ring_end_cancelled(struct ring *ring)
{
    bool ended = !list_empty(&ring->ended);

    while (!list_empty(&ring->ended))
        op_end_waiting(ring, container_of(ring->ended.next, struct op, link), -ECANCELED);
    return ended;
}

int ring_turn(struct ring *ring, uint64_t deadline_ns)
{
    bool worked;

    ring->woken = false;
    worked = ring_end_cancelled(ring);
    worked |= ring_refill(ring);
    return ring->driver->turn(ring, worked ? 0 : deadline_ns);
}

uint32_t ring_busy(const struct ring *ring)
{
    return ring->busy;
}

const struct ring_stats *ring_stats(const struct ring *ring)
{
    return &ring->stats;
}

void ring_close(struct ring **ring)
{
    if (!*ring)
        return;
    must((*ring)->busy == 0 && list_empty(&(*ring)->refillable));
    (*ring)->driver->close(*ring);
    *ring = NULL;
}
