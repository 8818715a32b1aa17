#include <errno.h>

#include "core/tcp_end_parts.h"

static enum reason tcp_connect_reason(const struct tcp_connect *connect, int error)
{
    if (connect->stopping)
        return REASON_ABANDONED;
    if (connect->timed_out || error == -ETIMEDOUT)
        return REASON_CONNECT_TIMEOUT;
    return reason_of_errno(error);
}

/* The kernel may have connected meanwhile: a FIN would look to the peer like an orderly end.  The
 * owner may free the request in done. */
static void tcp_connect_fail(struct tcp_connect *connect, int error)
{
    struct os *os = connect->worker->os;

    timer_stop(&connect->worker->timers, &connect->timer);
    if (connect->fd >= 0) {
        sock_abort(os, connect->fd);
    }
    connect->fd = -1;
    connect->done(connect, NULL, tcp_connect_reason(connect, error));
}

static void tcp_connect_ended(struct op *op, struct op_result result)
{
    struct tcp_connect *connect = container_of(op, struct tcp_connect, op);
    struct stream *stream;

    if (result.res < 0 || connect->stopping || connect->timed_out) {
        tcp_connect_fail(connect, result.res < 0 ? result.res : -ECANCELED);
        return;
    }
    timer_stop(&connect->worker->timers, &connect->timer);
    stream = tcp_end_new(connect->worker, connect->fd);
    connect->fd = -1;
    if (stream) {
        tcp_end_of(stream)->recv_op.drained = true; /* hardly anything can have come yet */
        tcp_end_begin_young(tcp_end_of(stream), connect->keepalive_s);
    }
    connect->done(connect, stream, stream ? REASON_DONE : REASON_NO_MEMORY);
}

static void tcp_connect_expired(struct timer *timer)
{
    struct tcp_connect *connect = container_of(timer, struct tcp_connect, timer);

    connect->timed_out = true;
    ring_cancel(connect->worker->ring, &connect->op);
}

static void tcp_connect_report(struct task *task)
{
    struct tcp_connect *connect = container_of(task, struct tcp_connect, task);

    tcp_connect_fail(connect, connect->failed);
}

static int tcp_connect_begin(struct tcp_connect *connect, const struct tcp_options *options,
                             uint64_t timeout_ns)
{
    struct worker *worker = connect->worker;
    int fd = sock_tcp(worker->os, addr_family(&connect->peer));

    if (fd < 0)
        return fd;
    connect->fd = fd;
    sock_tcp_tune_first(worker->os, fd, options);
    return timer_set(&worker->timers, &connect->timer, worker->now_ns + timeout_ns);
}

void tcp_connect_start(struct tcp_connect *connect, struct worker *worker, const struct addr *peer,
                       const struct tcp_options *options, uint64_t timeout_ns, tcp_connect_fn *done)
{
    *connect = (struct tcp_connect){.worker = worker,
                                    .done = done,
                                    .peer = *peer,
                                    .fd = -1,
                                    .keepalive_s = options->keepalive_s};
    op_init(&connect->op, tcp_connect_ended);
    timer_init(&connect->timer, tcp_connect_expired);
    task_init(&connect->task, tcp_connect_report);
    connect->failed = tcp_connect_begin(connect, options, timeout_ns);
    if (connect->failed)
        worker_defer(worker, &connect->task);
    else
        ring_connect(worker->ring, &connect->op, connect->fd, &connect->peer);
}

void tcp_connect_stop(struct tcp_connect *connect)
{
    connect->stopping = true;
    ring_cancel(connect->worker->ring, &connect->op);
}
