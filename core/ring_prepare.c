#include "core/ring_uring.h"

typedef void prepare_fn(const struct op *op, struct io_uring_sqe *sqe);

static void prepare_accept_multi(const struct op *op, struct io_uring_sqe *sqe)
{
    io_uring_prep_multishot_accept(sqe, op->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
}

/* A drained socket is polled first: trying it would fail and cost as much again. */
static void prepare_recv(const struct op *op, struct io_uring_sqe *sqe)
{
    io_uring_prep_recv(sqe, op->fd, NULL, 0, 0);
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = op->group->id;
    if (op->drained)
        sqe->ioprio |= IORING_RECVSEND_POLL_FIRST;
}

static void prepare_recv_now(const struct op *op, struct io_uring_sqe *sqe)
{
    io_uring_prep_recvmsg(sqe, op->fd, op->message, MSG_DONTWAIT);
}

static void prepare_recvmsg_multi(const struct op *op, struct io_uring_sqe *sqe)
{
    io_uring_prep_recvmsg_multishot(sqe, op->fd, op->message, 0);
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = op->group->id;
}

static void prepare_sendmsg(const struct op *op, struct io_uring_sqe *sqe)
{
    io_uring_prep_sendmsg(sqe, op->fd, op->message, op->flags);
}

static void prepare_connect(const struct op *op, struct io_uring_sqe *sqe)
{
    io_uring_prep_connect(sqe, op->fd, &op->peer->sa, op->peer->length);
}

/* The kernel adds POLLRDHUP to every poll.  A one-shot poll for errors on a half-closed socket
 * would thus end at once; a multishot poll says so once (uring_is_noise) and goes on. */
static void prepare_poll(const struct op *op, struct io_uring_sqe *sqe)
{
    if (op->flags)
        io_uring_prep_poll_add(sqe, op->fd, op->flags);
    else
        io_uring_prep_poll_multishot(sqe, op->fd, 0);
}

static void prepare_read(const struct op *op, struct io_uring_sqe *sqe)
{
    io_uring_prep_read(sqe, op->fd, op->buffer, op->flags, 0);
}

static prepare_fn *const prepare_kinds[OP_KIND_COUNT] = {
    [OP_ACCEPT_MULTI] = prepare_accept_multi,
    [OP_RECV] = prepare_recv,
    [OP_RECV_NOW] = prepare_recv_now,
    [OP_RECVMSG_MULTI] = prepare_recvmsg_multi,
    [OP_SENDMSG] = prepare_sendmsg,
    [OP_CONNECT] = prepare_connect,
    [OP_POLL] = prepare_poll,
    [OP_READ] = prepare_read,
};

void uring_prepare(const struct op *op, struct io_uring_sqe *sqe)
{
    must(op->kind < OP_KIND_COUNT);
    prepare_kinds[op->kind](op, sqe);
    io_uring_sqe_set_data(sqe, (void *)(uintptr_t)op);
}
