#include "core/ring_uring.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <time.h>

#include "core/mem.h"
#include "core/ring_probe.h"

enum {
    URING_REQUESTS = 1024,
    URING_COMPLETIONS = 8192, /* multishot requests complete without having been submitted */
    URING_TURN = 256,         /* completions run in one turn */
};

struct uring {
    struct ring ring;
    struct io_uring io;
    uint16_t next_group;
    bool shows_taskrun; /* ACCELERATOR_TASKRUN_FLAG */
    /* Ops that wait: for a free request slot; for a slot for their cancellation; for the final
     * completion after it. */
    struct list backlog, cancels, cancelled;
    bool cancels_missed; /* a cancellation met its request between two states: ask again */
};

static struct uring *uring_of(struct ring *ring)
{
    return container_of(ring, struct uring, ring);
}

/* ---- requests ---- */

/* NULL when the kernel takes no more for now; completions then have to be run first. */
static struct io_uring_sqe *uring_slot(struct uring *uring)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&uring->io);

    if (sqe)
        return sqe;
    uring->ring.stats.enters++;
    if (io_uring_submit(&uring->io) < 0)
        return NULL;
    return io_uring_get_sqe(&uring->io);
}

static void uring_submit(struct ring *ring, struct op *op)
{
    struct uring *uring = uring_of(ring);
    struct io_uring_sqe *sqe = list_empty(&uring->backlog) ? uring_slot(uring) : NULL;

    if (!sqe) {
        list_append(&uring->backlog, &op->link);
        return;
    }
    uring_prepare(op, sqe);
    ring->stats.submissions++;
}

static void uring_cancel_now(struct uring *uring, struct op *op, struct io_uring_sqe *sqe)
{
    io_uring_prep_cancel(sqe, op, 0);
    sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
    io_uring_sqe_set_data(sqe, NULL);
    list_append(&uring->cancelled, &op->link);
    uring->ring.stats.submissions++;
}

/* An op still in the backlog ends when its turn comes (uring_flush_backlog). */
static void uring_cancel(struct ring *ring, struct op *op)
{
    struct uring *uring = uring_of(ring);
    struct io_uring_sqe *sqe;

    if (!list_empty(&op->link))
        return;
    sqe = uring_slot(uring);
    if (sqe)
        uring_cancel_now(uring, op, sqe);
    else
        list_append(&uring->cancels, &op->link);
}

static bool uring_flush_backlog(struct uring *uring)
{
    struct io_uring_sqe *sqe;
    struct op *op;

    while (!list_empty(&uring->backlog)) {
        op = container_of(uring->backlog.next, struct op, link);
        if (op->cancelled) {
            ring_complete(&uring->ring, op, (struct op_result){-ECANCELED, .final = true}, -1);
            continue;
        }
        sqe = uring_slot(uring);
        if (!sqe)
            return false;
        list_remove(&op->link);
        uring_prepare(op, sqe);
        uring->ring.stats.submissions++;
    }
    return true;
}

static bool uring_flush_cancels(struct uring *uring)
{
    if (uring->cancels_missed) {
        uring->cancels_missed = false;
        list_take_all(&uring->cancels, &uring->cancelled);
    }
    while (!list_empty(&uring->cancels)) {
        struct io_uring_sqe *sqe = uring_slot(uring);

        if (!sqe)
            return false;
        uring_cancel_now(uring, container_of(list_pop(&uring->cancels), struct op, link), sqe);
    }
    return true;
}

/* ---- turns ---- */

static uint64_t monotonic_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* Whether entering the kernel without waiting can bring anything. */
static bool uring_has_news(const struct uring *uring)
{
    unsigned flags = IO_URING_READ_ONCE(*uring->io.sq.kflags);

    return !uring->shows_taskrun || io_uring_sq_ready(&uring->io) ||
           (flags & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW));
}

static int uring_wait(struct uring *uring, uint64_t deadline_ns)
{
    struct __kernel_timespec wait;
    struct io_uring_cqe *cqe;
    uint64_t now_ns;

    if (deadline_ns == UINT64_MAX)
        return io_uring_submit_and_wait(&uring->io, 1);
    now_ns = monotonic_ns();
    if (deadline_ns <= now_ns)
        return io_uring_submit_and_get_events(&uring->io);
    wait.tv_sec = (int64_t)((deadline_ns - now_ns) / 1000000000u);
    wait.tv_nsec = (long long)((deadline_ns - now_ns) % 1000000000u);
    return io_uring_submit_and_wait_timeout(&uring->io, &cqe, 1, &wait, NULL);
}

static int uring_enter(struct uring *uring, uint64_t deadline_ns)
{
    if (deadline_ns == 0 || io_uring_cq_ready(&uring->io)) {
        if (!uring_has_news(uring))
            return 0;
        uring->ring.stats.enters++;
        return io_uring_submit_and_get_events(&uring->io);
    }
    uring->ring.stats.enters++;
    return uring_wait(uring, deadline_ns);
}

/* Errors after which the next turn simply tries again; everything that was queued stays queued. */
static bool uring_error_passes(int error)
{
    return error == -ETIME || error == -EINTR || error == -EAGAIN || error == -EBUSY ||
           error == -ENOMEM;
}

/* What a multishot poll reports besides errors: the peer's half close. */
static bool uring_is_noise(const struct op *op, const struct io_uring_cqe *cqe)
{
    return op->kind == OP_POLL && op->flags == 0 && (cqe->flags & IORING_CQE_F_MORE) &&
           cqe->res >= 0 && !(cqe->res & (POLLERR | POLLHUP | POLLNVAL));
}

static void uring_run(struct uring *uring, const struct io_uring_cqe *cqe)
{
    struct op *op = io_uring_cqe_get_data(cqe);
    struct op_result result = {
        .res = cqe->res,
        .final = !(cqe->flags & IORING_CQE_F_MORE),
        .more_waits = cqe->flags & IORING_CQE_F_SOCK_NONEMPTY,
    };

    if (!op) {
        uring->cancels_missed |= cqe->res == -ENOENT;
        return;
    }
    if (uring_is_noise(op, cqe))
        return;
    ring_complete(&uring->ring, op, result,
                  cqe->flags & IORING_CQE_F_BUFFER ? (int)(cqe->flags >> IORING_CQE_BUFFER_SHIFT)
                                                   : -1);
}

static void uring_run_all(struct uring *uring)
{
    struct io_uring_cqe *cqe;
    unsigned head, count = 0;

    io_uring_for_each_cqe(&uring->io, head, cqe)
    {
        if (count == URING_TURN)
            break;
        count++;
        uring_run(uring, cqe);
    }
    io_uring_cq_advance(&uring->io, count);
}

static int uring_turn(struct ring *ring, uint64_t deadline_ns)
{
    struct uring *uring = uring_of(ring);
    uint64_t completions = ring->stats.completions;
    bool flushed = uring_flush_backlog(uring);
    int rc;

    flushed &= uring_flush_cancels(uring);
    if (!flushed || ring->stats.completions != completions)
        deadline_ns = 0;
    if (io_uring_cq_has_overflow(&uring->io))
        ring->stats.overflows++;
    rc = uring_enter(uring, deadline_ns);
    if (rc < 0 && !uring_error_passes(rc))
        return rc;
    uring_run_all(uring);
    return 0;
}

/* ---- groups ---- */

static int uring_group_open(struct ring *ring, struct group *group)
{
    struct uring *uring = uring_of(ring);
    int rc;

    group->id = uring->next_group;
    group->driver = io_uring_setup_buf_ring(&uring->io, group->count, group->id, 0, &rc);
    if (!group->driver)
        return rc;
    uring->next_group++;
    return 0;
}

static void uring_group_publish(struct ring *ring, struct group *group, uint16_t id,
                                struct chunk *chunk)
{
    struct io_uring_buf_ring *buffers = group->driver;

    io_uring_buf_ring_add(buffers, chunk->data, chunk->size, id,
                          io_uring_buf_ring_mask(group->count), 0);
    io_uring_buf_ring_advance(buffers, 1);
}

static void uring_group_close(struct ring *ring, struct group *group)
{
    int rc = io_uring_free_buf_ring(&uring_of(ring)->io, group->driver, group->count, group->id);

    must(rc == 0);
    group->driver = NULL;
}

/* ---- opening ---- */

static void uring_close(struct ring *ring)
{
    struct uring *uring = uring_of(ring);

    io_uring_queue_exit(&uring->io);
    mem_free(uring);
}

static const struct ring_driver uring_driver = {
    .submit = uring_submit,
    .cancel = uring_cancel,
    .turn = uring_turn,
    .datagram = uring_datagram,
    .group_open = uring_group_open,
    .group_publish = uring_group_publish,
    .group_close = uring_group_close,
    .close = uring_close,
};

static bool wants(uint32_t wanted, enum accelerator accelerator)
{
    return wanted & (1u << accelerator);
}

static int uring_set_up(struct uring *uring, uint32_t wanted)
{
    struct io_uring_params params = {
        .flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_CQSIZE |
                 IORING_SETUP_CLAMP,
        .cq_entries = URING_COMPLETIONS,
    };
    int rc;

    if (wants(wanted, ACCELERATOR_SUBMIT_ALL))
        params.flags |= IORING_SETUP_SUBMIT_ALL;
    if (wants(wanted, ACCELERATOR_TASKRUN_FLAG))
        params.flags |= IORING_SETUP_TASKRUN_FLAG;
    rc = io_uring_queue_init_params(URING_REQUESTS, &uring->io, &params);
    if (rc)
        return rc;
    uring->shows_taskrun = params.flags & IORING_SETUP_TASKRUN_FLAG;
    /* These two only save time: a kernel without them refuses, and nothing is lost. */
    if (wants(wanted, ACCELERATOR_RING_FD))
        io_uring_register_ring_fd(&uring->io);
    if (wants(wanted, ACCELERATOR_NO_IOWAIT))
        io_uring_set_iowait(&uring->io, false);
    return 0;
}

struct ring *ring_uring_open(const char *without, char *error, size_t error_size)
{
    struct uring *uring = mem_new(sizeof(*uring));
    int rc;

    if (!uring) {
        snprintf(error, error_size, "out of memory");
        return NULL;
    }
    ring_init(&uring->ring, &uring_driver);
    list_init(&uring->backlog);
    list_init(&uring->cancels);
    list_init(&uring->cancelled);
    rc = uring_set_up(uring, accelerators_wanted(without));
    if (rc) {
        ring_explain_here(rc, error, error_size);
        mem_free(uring);
        return NULL;
    }
    return &uring->ring;
}
