#include "core/tcp_end.h"

#include <errno.h>
#include <poll.h>

#include "core/mem.h"
#include "core/state.h"
#include "core/tcp_end_parts.h"

enum {
    SMALL_RECEIVE = 2048, /* below this, bytes move to a small chunk and the large one goes back */
    BULK_CHUNKS = 16,     /* taken by one receive of a flow that fills whole chunks */
};

static const char *const tcp_end_state_names[] = {"open", "closing", "closed"};
static const uint32_t tcp_end_state_next[] = {
    [TCP_END_OPEN] = STATE_BIT(TCP_END_CLOSING),
    [TCP_END_CLOSING] = STATE_BIT(TCP_END_CLOSED),
    [TCP_END_CLOSED] = 0,
};
static const struct state_table tcp_end_states = {"tcp_end", tcp_end_state_names,
                                                  tcp_end_state_next, TCP_END_STATE_COUNT};

static void tcp_end_close_for(struct tcp_end *end, enum reason reason)
{
    if (end->leaves) { /* and cannot any more */
        end->leaves = false;
        end->resets = true;
        end->reason = (uint8_t)reason;
    }
    if (!tcp_end_is_open(end))
        return;
    state_move(&tcp_end_states, &end->state, TCP_END_CLOSING);
    end->reason = (uint8_t)reason;
    end->resets = !(end->ended && end->finished);
    ring_cancel(end->worker->ring, &end->recv_op);
    ring_cancel(end->worker->ring, &end->send_op);
    task_cancel(&end->late_task);
    worker_defer(end->worker, &end->task);
}

void tcp_end_fail(struct tcp_end *end, int error)
{
    if (!end->leaves || (error != -ECANCELED && error != -ENOBUFS))
        tcp_end_close_for(end, reason_of_errno(error));
}

/* ---- receiving ---- */

static void tcp_end_receive_one(struct tcp_end *end)
{
    ring_recv(end->worker->ring, &end->recv_op, end->fd, &end->worker->tcp_group);
}

static uint32_t tcp_end_bulk_chunks(const struct tcp_end *end)
{
    uint64_t room = end->stream.receive_limit - end->unconsumed;
    uint64_t chunks = room / POOL_MEDIUM_SIZE;

    if (chunks < 1)
        return 1;
    return chunks < BULK_CHUNKS ? (uint32_t)chunks : BULK_CHUNKS;
}

/* False: no memory for more than the published chunks give. */
static bool tcp_end_receive_bulk(struct tcp_end *end)
{
    struct vectors *vectors = vectors_take(&end->worker->vectors);
    uint32_t wanted = tcp_end_bulk_chunks(end), count;

    if (!vectors)
        return false;
    for (count = 0; count < wanted; count++) {
        struct chunk *chunk = chunk_take(end->worker->pools, POOL_MEDIUM);

        if (!chunk)
            break;
        vectors->chunks[count] = chunk;
        vectors->pieces[count] = (struct iovec){chunk->data, chunk->size};
    }
    if (!count) {
        vectors_give(&end->worker->vectors, vectors);
        return false;
    }
    vectors->message.msg_iovlen = count;
    end->receiving = vectors;
    ring_recv_now(end->worker->ring, &end->recv_op, end->fd, &vectors->message);
    return true;
}

/* After the peer's FIN nothing is received any more, but a reset must still be noticed. */
static void tcp_end_watch(struct tcp_end *end)
{
    if (tcp_end_is_open(end) && end->ended && !end->finished && !end->recv_op.busy)
        ring_poll(end->worker->ring, &end->recv_op, end->fd, 0);
}

static void tcp_end_late(struct task *task)
{
    struct tcp_end *end = container_of(task, struct tcp_end, late_task);

    if (end->young)
        sock_tcp_keep_alive(end->worker->os, end->fd, end->keepalive_s);
    end->young = false;
    tcp_end_watch(end);
}

void tcp_end_begin_young(struct tcp_end *end, uint32_t keepalive_s)
{
    end->young = true;
    end->keepalive_s = keepalive_s;
    worker_postpone(end->worker, &end->late_task);
}

/* Most ends are closed soon after the peer's FIN: then it is not worth watching. */
static void tcp_end_receive(struct tcp_end *end)
{
    if (!end->started || !tcp_end_is_open(end) || end->recv_op.busy || end->input)
        return;
    if (end->ended && !end->finished)
        worker_postpone(end->worker, &end->late_task);
    else if (!end->ended && end->unconsumed < end->stream.receive_limit &&
             (!end->bulky || !tcp_end_receive_bulk(end)))
        tcp_end_receive_one(end);
}

/* Takes the chunk. */
static void tcp_end_deliver(struct tcp_end *end, struct chunk *chunk, uint32_t length)
{
    struct piece *piece = NULL;

    if ((!tcp_end_is_open(end) && !end->leaves) || !length) {
        chunk_drop(chunk);
        return;
    }
    if (length < SMALL_RECEIVE)
        piece = piece_copy(end->worker->pools, chunk->data, length);
    if (piece)
        chunk_drop(chunk);
    else
        piece = piece_new(chunk, 0, length);
    if (!piece) {
        tcp_end_close_for(end, REASON_NO_MEMORY);
        return;
    }
    end->unconsumed += length;
    end->stream.events->received(&end->stream, piece);
}

/* A send that met a reset has taken the error away, so that receiving ends as if in order. */
static void tcp_end_reached_end(struct tcp_end *end)
{
    if (end->broken) {
        tcp_end_close_for(end, REASON_RESET);
        return;
    }
    end->ended = true;
    end->bulky = false;
    worker_defer(end->worker, &end->task);
    end->stream.events->ended(&end->stream);
}

static void tcp_end_received_one(struct tcp_end *end, struct op_result result)
{
    if (result.res > 0) {
        end->bulky = (uint32_t)result.res == result.chunk->size;
        tcp_end_deliver(end, result.chunk, (uint32_t)result.res);
    } else if (result.res == -ENOBUFS && tcp_end_is_open(end)) {
        worker_wait_for_chunks(end->worker, &end->recv_op);
    } else if (result.res == 0 && tcp_end_is_open(end)) {
        tcp_end_reached_end(end);
    } else if (result.res < 0 && result.res != -EAGAIN && result.res != -EINTR) {
        tcp_end_fail(end, result.res);
    }
}

/* Hands on what was filled and gives the rest back.  True: all of it was filled. */
static bool tcp_end_deliver_all(struct tcp_end *end, struct vectors *vectors, uint32_t length)
{
    size_t count = vectors->message.msg_iovlen;
    bool full = length == count * POOL_MEDIUM_SIZE;

    for (size_t i = 0; i < count; i++) {
        uint32_t part = length < POOL_MEDIUM_SIZE ? length : POOL_MEDIUM_SIZE;

        length -= part;
        tcp_end_deliver(end, vectors->chunks[i], part);
    }
    return full;
}

static void tcp_end_received_bulk(struct tcp_end *end, struct op_result result)
{
    struct vectors *vectors = end->receiving;

    end->receiving = NULL;
    end->bulky = tcp_end_deliver_all(end, vectors, result.res > 0 ? (uint32_t)result.res : 0);
    vectors_give(&end->worker->vectors, vectors);
    if (result.res == 0 && tcp_end_is_open(end))
        tcp_end_reached_end(end);
    else if (result.res < 0 && result.res != -EAGAIN && result.res != -EINTR)
        tcp_end_fail(end, result.res);
}

/* After a loan the poll for it may still end: then receiving says what there is. */
static void tcp_end_polled(struct tcp_end *end, struct op_result result)
{
    int error = 0;
    socklen_t size = sizeof(error);

    if (!end->ended || !tcp_end_is_open(end))
        return;
    if (result.res < 0 && result.res != -EINTR)
        tcp_end_fail(end, result.res);
    if (result.res < 0 || !(result.res & (POLLERR | POLLHUP | POLLNVAL)))
        return;
    end->worker->os->get_option(end->worker->os, end->fd, SOL_SOCKET, SO_ERROR, &error, &size);
    tcp_end_fail(end, error ? -error : -ECONNRESET);
}

static void tcp_end_received(struct op *op, struct op_result result)
{
    struct tcp_end *end = container_of(op, struct tcp_end, recv_op);

    if (op->kind == OP_RECV)
        tcp_end_received_one(end, result);
    else if (op->kind == OP_RECV_NOW)
        tcp_end_received_bulk(end, result);
    else if (end->input && tcp_end_is_open(end))
        end->input->ready(end->input);
    else
        tcp_end_polled(end, result);
    if (tcp_end_is_open(end))
        tcp_end_receive(end);
    else
        worker_defer(end->worker, &end->task);
}

/* ---- sending ---- */

/* Where the peer has ended too, closing follows at once and sends the FIN. */
static void tcp_end_send_fin(struct tcp_end *end)
{
    int rc = end->ended ? 0 : end->worker->os->shutdown(end->worker->os, end->fd, SHUT_WR);

    if (rc)
        tcp_end_close_for(end, REASON_RESET); /* only a broken connection refuses */
    else
        end->finished = true;
}

static void tcp_end_send_pieces(struct tcp_end *end)
{
    struct vectors *vectors = vectors_take(&end->worker->vectors);
    size_t count = 0;

    if (!vectors) {
        tcp_end_close_for(end, REASON_NO_MEMORY);
        return;
    }
    for (struct piece *piece = end->out.first; piece && count < VECTORS_MAX; piece = piece->next)
        vectors->pieces[count++] = (struct iovec){piece_data(piece), piece->length};
    vectors->message.msg_iovlen = count;
    end->sending = vectors;
    ring_sendmsg(end->worker->ring, &end->send_op, end->fd, &vectors->message, MSG_NOSIGNAL);
}

static void tcp_end_send(struct tcp_end *end)
{
    if (end->send_op.busy || end->broken || end->output)
        return;
    if (!queue_empty(&end->out))
        tcp_end_send_pieces(end);
    else if (end->finishing && !end->finished)
        tcp_end_send_fin(end);
}

/* A service may answer, and reset because it wants no more of the question: the answer is in our
 * socket still, and whoever asked shall have it.  What is written goes nowhere then, but is told as
 * drained: a writer that waited for that would rest, and not notice its own peer's reset. */
void tcp_end_send_failed(struct tcp_end *end, int error)
{
    bool reset = error == -EPIPE || error == -ECONNRESET;

    if (error == -EAGAIN || error == -EINTR)
        return;
    if (!reset || end->ended || !end->started) {
        tcp_end_fail(end, error);
        return;
    }
    end->broken = true;
    end->wasted += end->out.length;
    queue_clear(&end->out);
    worker_defer(end->worker, &end->task);
}

static void tcp_end_tell_wasted(struct tcp_end *end)
{
    uint64_t wasted = end->wasted;

    end->wasted = 0;
    if (wasted)
        stream_drained(&end->stream, wasted);
}

static void tcp_end_has_room(struct tcp_end *end)
{
    if (end->output && tcp_end_is_open(end))
        end->output->ready(end->output);
    else
        worker_defer(end->worker, &end->task);
}

static void tcp_end_sent(struct op *op, struct op_result result)
{
    struct tcp_end *end = container_of(op, struct tcp_end, send_op);

    if (op->kind == OP_POLL) {
        tcp_end_has_room(end);
        return;
    }
    vectors_give(&end->worker->vectors, end->sending);
    end->sending = NULL;
    worker_defer(end->worker, &end->task);
    if (!tcp_end_is_open(end))
        return;
    if (result.res >= 0) {
        queue_skip(&end->out, (uint64_t)result.res);
        stream_drained(&end->stream, (uint64_t)result.res);
    } else {
        tcp_end_send_failed(end, result.res);
    }
}

/* ---- life ---- */

/* Frees the end, if its listener does so in closed(). */
static void tcp_end_close(struct tcp_end *end)
{
    struct os *os = end->worker->os;

    if (end->recv_op.busy || end->send_op.busy)
        return;
    if (end->input)
        end->input->recalled(end->input);
    if (end->output)
        end->output->recalled(end->output);
    must(!end->input && !end->output);
    state_move(&tcp_end_states, &end->state, TCP_END_CLOSED);
    if (end->resets)
        sock_reset_on_close(os, end->fd);
    if (!end->leaves) {
        os->close(os, end->fd);
        end->fd = -1;
    }
    queue_clear(&end->out);
    end->stream.events->closed(&end->stream, end->reason);
}

static void tcp_end_settle(struct task *task)
{
    struct tcp_end *end = container_of(task, struct tcp_end, task);

    if (tcp_end_is_open(end)) {
        tcp_end_tell_wasted(end);
        tcp_end_send(end);
        if (end->ended && end->finished)
            tcp_end_close_for(end, REASON_DONE);
        tcp_end_receive(end);
    }
    if (end->state == TCP_END_CLOSING) {
        task_cancel(task);
        tcp_end_close(end);
    }
}

static void tcp_end_start(struct stream *stream)
{
    struct tcp_end *end = tcp_end_of(stream);

    end->started = true;
    worker_defer(end->worker, &end->task);
}

static void tcp_end_write(struct stream *stream, struct piece *piece)
{
    struct tcp_end *end = tcp_end_of(stream);

    must(!end->finishing && !end->output);
    if (!tcp_end_is_open(end) || !piece->length) {
        piece_free(piece);
        return;
    }
    if (end->broken) {
        end->wasted += piece->length;
        piece_free(piece);
    } else {
        queue_push(&end->out, piece);
    }
    worker_defer(end->worker, &end->task);
}

static void tcp_end_consumed(struct stream *stream, uint64_t length)
{
    struct tcp_end *end = tcp_end_of(stream);

    must(length <= end->unconsumed);
    end->unconsumed -= length;
    if (tcp_end_is_open(end) && !end->recv_op.busy)
        worker_defer(end->worker, &end->task);
}

static void tcp_end_finish(struct stream *stream)
{
    struct tcp_end *end = tcp_end_of(stream);

    end->finishing = true;
    if (tcp_end_is_open(end))
        worker_defer(end->worker, &end->task);
}

static void tcp_end_stop(struct stream *stream, enum reason reason)
{
    tcp_end_close_for(tcp_end_of(stream), reason);
}

static void tcp_end_free(struct stream *stream)
{
    struct tcp_end *end = tcp_end_of(stream);

    must(end->state == TCP_END_CLOSED && end->fd < 0);
    mem_free(end);
}

void tcp_end_leave(struct stream *stream)
{
    struct tcp_end *end = tcp_end_of(stream);

    must(queue_empty(&end->out) && !end->finishing && !end->input && !end->output);
    if (!tcp_end_is_open(end))
        return;
    tcp_end_close_for(end, REASON_DONE);
    end->leaves = true;
    end->resets = false;
}

int tcp_end_take(struct stream *stream)
{
    struct tcp_end *end = tcp_end_of(stream);
    int fd = end->fd;

    end->fd = -1;
    return fd;
}

void tcp_end_inherit(struct stream *stream, uint64_t length)
{
    tcp_end_of(stream)->unconsumed = length;
}

const struct stream_ops tcp_end_ops = {
    .start = tcp_end_start,
    .write = tcp_end_write,
    .consumed = tcp_end_consumed,
    .finish = tcp_end_finish,
    .stop = tcp_end_stop,
    .free = tcp_end_free,
};

struct stream *tcp_end_new(struct worker *worker, int fd)
{
    struct tcp_end *end = mem_new(sizeof(*end));

    if (!end) {
        sock_abort(worker->os, fd); /* a FIN would look like an orderly end */
        return NULL;
    }
    end->stream.ops = &tcp_end_ops;
    end->worker = worker;
    end->fd = fd;
    op_init(&end->recv_op, tcp_end_received);
    op_init(&end->send_op, tcp_end_sent);
    task_init(&end->task, tcp_end_settle);
    task_init(&end->late_task, tcp_end_late);
    return &end->stream;
}
