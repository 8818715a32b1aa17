/* The ring driver: what was submitted begins in the next turn, as with DEFER_TASKRUN; completions
 * come in the order of their making, now and then late. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/kernel.h"

enum { TURN_MAX = 256 };
#define LATE_NS (2 * SIM_MS)

struct completion {
    struct sim_op *record;
    struct op_result result;
    int buffer_id;
};

struct sim_ring {
    struct ring ring;
    struct sim *sim;
    struct sim_host *host;
    struct list submitted, poked, cancels, unused;
    struct completion *ready; /* a circle */
    uint32_t head, count, room;
    uint64_t late_until;
};

struct sim_group {
    uint32_t head, count, room;
    uint16_t ids[];
};

static struct sim_ring *ring_of(struct ring *ring)
{
    return container_of(ring, struct sim_ring, ring);
}

/* ---- operations ---- */
static struct sim_op *record_new(struct sim_ring *ring, struct op *op)
{
    struct list *node = list_pop(&ring->unused);
    struct sim_op *record =
        node ? container_of(node, struct sim_op, link) : sim_alloc(sizeof(*record));

    *record = (struct sim_op){.op = op, .ring = ring};
    list_init(&record->link);
    list_init(&record->anchor);
    list_init(&record->cancel);
    list_append(&record->anchor, &op->link);
    return record;
}

static void submit(struct ring *base, struct op *op)
{
    struct sim_ring *ring = ring_of(base);
    struct sim_op *record = record_new(ring, op);

    base->stats.submissions++;
    record->fail = sim_fail(ring->sim, op->kind);
    if (op->kind == OP_SENDMSG)
        record->seal = sim_op_seal(op);
    list_append(&ring->submitted, &record->link);
}

static void cancel(struct ring *base, struct op *op)
{
    struct sim_op *record = container_of(op->link.previous, struct sim_op, anchor);

    if (!record->finished)
        list_append(&ring_of(base)->cancels, &record->cancel);
}

void sim_op_poke(struct sim_op *record)
{
    struct list *poked = &record->ring->poked;

    list_remove(&record->link);
    if (sim_chance(record->ring->sim, 200)) /* the kernel promises no order of waking */
        poked = poked->next;
    list_append(poked, &record->link);
}

static void ready_push(struct sim_ring *ring, struct completion completion)
{
    if (ring->count == ring->room) {
        uint32_t room = ring->room ? ring->room * 2 : 256;
        struct completion *ready = sim_alloc(room * sizeof(*ready));

        for (uint32_t i = 0; i < ring->count; i++)
            ready[i] = ring->ready[(ring->head + i) % ring->room];
        free(ring->ready);
        ring->ready = ready;
        ring->room = room;
        ring->head = 0;
    }
    ring->ready[(ring->head + ring->count++) % ring->room] = completion;
}

void sim_op_complete(struct sim_op *record, struct op_result result, int buffer_id)
{
    struct sim_ring *ring = record->ring;

    must(!record->finished);
    sim_trace(ring->sim, "completion", record->op->kind, (uint64_t)record->op->fd, result.res);
    record->finished = result.final;
    if (result.final) {
        list_remove(&record->link);
        list_remove(&record->cancel);
        if (record->socket)
            sim_socket_drop(record->socket);
        record->socket = NULL;
    }
    if (!ring->count && sim_chance(ring->sim, 20))
        ring->late_until = ring->sim->now_ns + sim_random(ring->sim, LATE_NS);
    ready_push(ring, (struct completion){record, result, buffer_id});
}

static void end(struct sim_op *record, int res)
{
    sim_op_complete(record, (struct op_result){.res = res, .final = true}, -1);
}

/* An error that was made to happen is as real as any: the connection is gone for both. */
static void fail(struct sim_op *record)
{
    struct sim_socket *socket = record->socket;
    bool fatal = record->fail == -ECONNRESET || record->fail == -EPIPE ||
                 record->fail == -ETIMEDOUT || record->op->kind == OP_CONNECT;

    if (socket->kind == SIM_TCP && fatal) {
        sim_tcp_abort(socket);
        socket->state = socket->state == SIM_LISTENING ? SIM_LISTENING : SIM_DEAD;
    }
    end(record, record->fail);
}

static void begin(struct sim_op *record)
{
    struct sim_socket *socket = sim_socket_of(record->ring->host, record->op->fd);

    if (!socket) {
        sim_fault(record->ring->sim, "operation %d on a descriptor that is not open",
                  record->op->kind);
        end(record, -EBADF);
        return;
    }
    socket->references++;
    record->socket = socket;
    if (record->fail)
        fail(record);
    else
        sim_op_attempt(record);
}

static void cancel_done(struct sim_op *record)
{
    if (!record->op->busy || record->finished)
        return;
    end(record, record->sent ? (int)record->sent : -ECANCELED);
}

/* ---- turns ---- */
static void deliver_one(struct sim_ring *ring)
{
    struct completion first = ring->ready[ring->head];

    ring->head = (ring->head + 1) % ring->room;
    ring->count--;
    if (first.result.final) {
        if (first.record->op->kind == OP_SENDMSG &&
            first.record->seal != sim_op_seal(first.record->op))
            sim_fault(ring->sim, "bytes were changed while a send was busy with them");
        list_append(&ring->unused, &first.record->link);
    }
    ring_complete(&ring->ring, first.record->op, first.result, first.buffer_id);
}

static void cancels_do(struct sim_ring *ring)
{
    struct list asked, *node;

    list_init(&asked);
    list_take_all(&asked, &ring->cancels);
    while ((node = list_pop(&asked))) {
        struct sim_op *record = container_of(node, struct sim_op, cancel);

        if (sim_chance(ring->sim, 200)) /* the race is open for one turn more */
            list_append(&ring->cancels, node);
        else
            cancel_done(record);
    }
}

static int turn(struct ring *base, uint64_t deadline_ns)
{
    struct sim_ring *ring = ring_of(base);
    struct list tried, *node;
    uint32_t count;

    base->stats.enters++;
    list_init(&tried);
    list_take_all(&tried, &ring->submitted);
    while ((node = list_pop(&tried)))
        begin(container_of(node, struct sim_op, link));
    cancels_do(ring);
    list_take_all(&tried, &ring->poked);
    while ((node = list_pop(&tried)))
        sim_op_attempt(container_of(node, struct sim_op, link));
    if (ring->late_until > ring->sim->now_ns && !ring->sim->options.calm)
        return 0;
    count = ring->count < TURN_MAX ? ring->count : TURN_MAX;
    while (count--)
        deliver_one(ring);
    return 0;
}

bool sim_ring_ready(const struct ring *base)
{
    const struct sim_ring *ring = container_of(base, struct sim_ring, ring);

    return !list_empty(&ring->submitted) || !list_empty(&ring->poked) ||
           !list_empty(&ring->cancels) || !list_empty(&base->ended) ||
           (ring->count && ring->late_until <= ring->sim->now_ns);
}

uint64_t sim_ring_deadline(const struct ring *base)
{
    const struct sim_ring *ring = container_of(base, struct sim_ring, ring);

    return ring->count ? ring->late_until : UINT64_MAX;
}

/* ---- groups ---- */
static int group_open(struct ring *base, struct group *group)
{
    int rc = sim_fail(ring_of(base)->sim, SIM_CALL_GROUP);
    struct sim_group *own;

    if (rc < 0)
        return rc;
    own = sim_alloc(sizeof(*own) + group->count * sizeof(own->ids[0]));
    own->room = group->count;
    group->driver = own;
    return 0;
}

static void group_publish(struct ring *base, struct group *group, uint16_t id, struct chunk *chunk)
{
    struct sim_group *own = group->driver;

    must(own->count < own->room);
    own->ids[(own->head + own->count++) % own->room] = id;
}

int sim_group_take(struct group *group)
{
    struct sim_group *own = group->driver;
    uint16_t id;

    if (!own->count)
        return -1;
    id = own->ids[own->head];
    own->head = (own->head + 1) % own->room;
    own->count--;
    return id;
}

static void group_close(struct ring *base, struct group *group)
{
    free(group->driver);
    group->driver = NULL;
}

/* ---- the ring ---- */
static void close_ring(struct ring *base)
{
    struct sim_ring *ring = ring_of(base);
    struct list *node;

    if (ring->count || !list_empty(&ring->submitted))
        sim_fault(ring->sim, "%s: the ring was closed over %u completions", ring->host->name,
                  ring->count);
    while ((node = list_pop(&ring->unused)))
        free(container_of(node, struct sim_op, link));
    free(ring->ready);
    free(ring);
}

static const struct ring_driver driver = {
    .submit = submit,
    .cancel = cancel,
    .turn = turn,
    .datagram = sim_datagram_parse,
    .group_open = group_open,
    .group_publish = group_publish,
    .group_close = group_close,
    .close = close_ring,
};

struct ring *sim_ring_open(struct sim_host *host)
{
    struct sim_ring *ring = sim_alloc(sizeof(*ring));

    ring_init(&ring->ring, &driver);
    ring->sim = host->sim;
    ring->host = host;
    list_init(&ring->submitted);
    list_init(&ring->poked);
    list_init(&ring->cancels);
    list_init(&ring->unused);
    return &ring->ring;
}
