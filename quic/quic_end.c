#include "quic/quic_end.h"

#include "core/mem.h"

_Static_assert(sizeof(struct quic_end) <= 300, "an idle stream costs little");

static const struct stream_ops quic_end_ops;

static void quic_end_note(struct quic_end *end)
{
    if (list_empty(&end->news_link))
        list_append(&end->connection->news, &end->news_link);
    connection_wake(end->connection);
}

static bool quic_end_has_load(const struct quic_end *end)
{
    return end->unsent || (end->finish && !end->finish_sent);
}

static void quic_end_make_ready(struct quic_end *end)
{
    if (!end->native || end->over || !quic_end_has_load(end))
        return;
    if (list_empty(&end->ready_link))
        quic_end_queue(end);
    connection_wake(end->connection);
}

/* Closes what is noted; the first cause counts.  Orderly ends wait until all bytes are told. */
static void quic_end_over(struct quic_end *end, enum reason reason, bool aborted)
{
    if (end->over)
        return;
    end->over = true;
    end->aborted = aborted;
    end->reason = (uint16_t)reason;
    list_remove(&end->ready_link);
    quic_end_note(end);
}

static void quic_end_shut(struct quic_end *end, enum reason reason)
{
    if (!end->code && end->connection->config.code_of)
        end->code = end->connection->config.code_of(reason);
    if (end->native)
        (void)ngtcp2_conn_shutdown_stream(end->connection->native, 0, end->id, end->code);
}

/* ---- birth and death ---- */

static struct quic_end *quic_end_new(struct quic_connection *connection)
{
    struct quic_end *end = mem_new(sizeof(*end));

    if (!end)
        return NULL;
    end->stream.ops = &quic_end_ops;
    end->connection = connection;
    end->native = true;
    window_begin(&end->window, &connection->growth, connection->worker->now_ns);
    list_init(&end->link);
    list_init(&end->ready_link);
    list_init(&end->news_link);
    list_append(&connection->streams, &end->link);
    connection->stream_count++;
    return end;
}

static void quic_end_set_lent(struct quic_end *end, uint64_t lent)
{
    ahead_lend(&end->connection->ahead, end->lent, lent);
    end->lent = lent;
}

static void quic_end_forget(struct quic_end *end)
{
    if (!end->connection)
        return;
    list_remove(&end->link);
    list_remove(&end->ready_link);
    list_remove(&end->news_link);
    window_end(&end->window, &end->connection->growth);
    quic_end_set_lent(end, 0);
    end->connection->stream_count--;
    end->connection = NULL;
}

static void quic_end_free_unused(struct quic_end *end)
{
    if (end->native || end->owned)
        return;
    quic_end_forget(end);
    queue_clear(&end->out);
    queue_clear(&end->in);
    mem_free(end);
}

struct quic_end *quic_end_accept(struct quic_connection *connection, int64_t id)
{
    struct quic_end *end = quic_end_new(connection);

    if (!end)
        return NULL;
    end->id = id;
    quic_end_note(end);
    return end;
}

static enum reason quic_end_open_refusal(int rv)
{
    return rv == NGTCP2_ERR_NOMEM ? REASON_NO_MEMORY : REASON_LIMIT;
}

struct stream *quic_stream_open(struct quic_connection *connection, enum reason *reason)
{
    struct quic_end *end;
    int rv;

    *reason = REASON_TUNNEL_LOST;
    if (!connection_alive(connection))
        return NULL;
    *reason = REASON_NO_MEMORY;
    end = quic_end_new(connection);
    if (!end)
        return NULL;
    rv = ngtcp2_conn_open_bidi_stream(connection->native, &end->id, end);
    if (rv) {
        *reason = quic_end_open_refusal(rv);
        if (*reason == REASON_LIMIT)
            counter_add(connection->worker->counters, COUNTER_LIMIT_MAX_STREAMS, 1);
        end->native = false;
        quic_end_free_unused(end);
        return NULL;
    }
    end->announced = end->owned = true;
    return &end->stream;
}

/* ---- struct stream ---- */

static void quic_end_start(struct stream *stream)
{
    struct quic_end *end = quic_end_of(stream);

    end->started = true;
    if (end->connection)
        quic_end_note(end);
}

/* Small receives share a packed chunk, so that a quiet stream does not hold 16 KB for 100 bytes,
 * and one that gets them byte by byte not 2 KB for each. */
static bool quic_end_packs(const struct quic_end *end, const struct piece *piece)
{
    if (piece->chunk->size > POOL_SMALL_SIZE)
        return piece->length < POOL_SMALL_SIZE;
    return end->out.last && piece->length <= POOL_SMALL_SIZE / 2;
}

static bool quic_end_pack(struct quic_end *end, const struct piece *piece)
{
    struct piece *last = end->out.last;
    uint32_t at = last ? last->start + last->length : 0;

    if (!quic_end_packs(end, piece) ||
        queue_append(&end->out, end->connection->worker->pools, POOL_SMALL, piece_data(piece),
                     piece->length) < 0)
        return false;
    if (end->unsent)
        return true;
    if (last && last->start + last->length > at) {
        end->unsent = last;
        end->unsent_at = at;
    } else {
        end->unsent = last ? last->next : end->out.first;
        end->unsent_at = end->unsent->start;
    }
    return true;
}

static void quic_end_write(struct stream *stream, struct piece *piece)
{
    struct quic_end *end = quic_end_of(stream);

    if (!end->connection || end->over || end->finish || !piece->length) {
        piece_free(piece);
        return;
    }
    end->undrained += piece->length;
    end->unsent_length += piece->length;
    if (quic_end_pack(end, piece)) {
        piece_free(piece);
    } else {
        queue_push(&end->out, piece);
        if (!end->unsent) {
            end->unsent = piece;
            end->unsent_at = piece->start;
        }
    }
    quic_end_make_ready(end);
}

static void quic_end_consumed(struct stream *stream, uint64_t length)
{
    struct quic_end *end = quic_end_of(stream);
    struct quic_connection *connection = end->connection;
    uint64_t credit;

    must(length <= end->unconsumed);
    end->unconsumed -= length;
    if (!connection || !connection_alive(connection) || !end->native)
        return;
    credit = window_read(&end->window, &connection->growth, length, connection->native,
                         connection->worker->now_ns);
    if (!credit)
        return;
    (void)ngtcp2_conn_extend_max_stream_offset(connection->native, end->id, credit);
    connection_wake(connection);
}

static void quic_end_finish(struct stream *stream)
{
    struct quic_end *end = quic_end_of(stream);

    end->finish = true;
    if (end->connection)
        quic_end_make_ready(end);
}

static void quic_end_stop(struct stream *stream, enum reason reason)
{
    struct quic_end *end = quic_end_of(stream);

    if (!end->connection || end->closed || end->aborted)
        return;
    if (end->over) { /* in order, but with bytes that nobody wants to hear of */
        end->aborted = true;
        quic_end_note(end);
        return;
    }
    quic_end_shut(end, reason);
    quic_end_over(end, reason, true);
}

static void quic_end_free(struct stream *stream)
{
    struct quic_end *end = quic_end_of(stream);

    must(end->closed && end->owned);
    end->owned = false;
    quic_end_free_unused(end);
}

static const struct stream_ops quic_end_ops = {.start = quic_end_start,
                                               .write = quic_end_write,
                                               .consumed = quic_end_consumed,
                                               .finish = quic_end_finish,
                                               .stop = quic_end_stop,
                                               .free = quic_end_free};

void quic_stream_hold(struct stream *stream, struct piece *rest, uint64_t preface)
{
    struct quic_end *end = quic_end_of(stream);
    struct queue later = end->in;

    end->started = false;
    queue_init(&end->in);
    if (rest)
        queue_push(&end->in, rest);
    queue_take_all(&end->in, &later);
    quic_end_consumed(stream, preface);
}

/* Of what is under way so much need not be counted as there is room for. */
static uint64_t quic_end_ahead(const struct quic_end *end)
{
    const struct quic_connection *connection = end->connection;
    uint64_t flight = end->out.length - end->unsent_length;
    uint64_t room = ahead_room(&connection->ahead, end->lent);

    if (room > connection->config.stream_window_max)
        room = connection->config.stream_window_max;
    return flight < room ? flight : room;
}

/* ---- the write loop's side ---- */

void quic_end_load(const struct quic_end *end, uint64_t enough, struct quic_end_load *load)
{
    const struct piece *piece = end->unsent;
    uint32_t at = end->unsent_at;

    load->count = 0;
    load->length = 0;
    for (; piece && load->length < enough && load->count < QUIC_END_VECTORS; piece = piece->next) {
        size_t length = piece->start + piece->length - at;

        load->vectors[load->count++] = (ngtcp2_vec){piece->chunk->data + at, length};
        load->length += length;
        at = piece->next ? piece->next->start : 0;
    }
    load->finish = !piece && end->finish;
}

void quic_end_sent(struct quic_end *end, const struct quic_end_load *load, uint64_t length)
{
    quic_end_count_turn(end, (uint32_t)length);
    end->unsent_length -= length;
    if (load->finish && length == load->length)
        end->finish_sent = true;
    while (end->unsent) {
        uint64_t left = end->unsent->start + end->unsent->length - end->unsent_at;

        if (length < left) {
            end->unsent_at += (uint32_t)length;
            break;
        }
        length -= left;
        end->unsent = end->unsent->next;
        end->unsent_at = end->unsent ? end->unsent->start : 0;
    }
    if (end->lent < quic_end_ahead(end))
        quic_end_note(end);
    if (quic_end_has_load(end) && end->turn_bytes < QUIC_END_TURN)
        return;
    list_remove(&end->ready_link);
    if (quic_end_has_load(end))
        quic_end_queue(end);
    else
        end->turn_bytes = 0; /* it has nothing in bulk: no message of it waits behind others */
}

void quic_end_blocked(struct quic_end *end)
{
    list_remove(&end->ready_link);
}

/* ---- notes of ngtcp2's callbacks ---- */

int quic_end_arrived(struct quic_end *end, const uint8_t *data, uint32_t length, bool finished)
{
    struct worker *worker = end->connection->worker;

    ngtcp2_conn_extend_max_offset(end->connection->native, length);
    end->unconsumed += length;
    if (end->over)
        return 0;
    if (length && queue_append(&end->in, worker->pools, POOL_MEDIUM, data, length) < 0) {
        counter_add(worker->counters, COUNTER_POOL_EMPTY, 1);
        quic_end_shut(end, REASON_NO_MEMORY);
        quic_end_over(end, REASON_NO_MEMORY, true);
        return 0;
    }
    end->in_finished |= finished;
    quic_end_note(end);
    return 0;
}

void quic_end_acknowledged(struct quic_end *end, uint64_t length)
{
    queue_skip(&end->out, length);
    end->acknowledged |= length > 0;
    if (length && !end->over)
        quic_end_note(end);
}

void quic_end_credited(struct quic_end *end)
{
    quic_end_make_ready(end);
}

/* RESET_STREAM or STOP_SENDING: either way the peer gave up, which a relay carries as a reset. */
void quic_end_reset(struct quic_end *end, uint64_t code)
{
    if (end->over)
        return;
    end->peer_code = code;
    end->code = code;
    quic_end_shut(end, REASON_RESET);
    quic_end_over(end, REASON_RESET, true);
}

void quic_end_native_closed(struct quic_end *end)
{
    if (!end->over)
        quic_end_over(end, REASON_DONE, false);
    end->native = false;
    end->unsent = NULL;
    end->unsent_length = 0;
    queue_clear(&end->out);
    quic_end_free_unused(end);
}

/* ---- the turn's side ---- */

static bool quic_end_tells(const struct quic_end *end)
{
    return end->started && !end->aborted && !end->closed;
}

static void quic_end_tell_drained(struct quic_end *end)
{
    uint64_t counts = end->out.length - quic_end_ahead(end);
    uint64_t drained = end->undrained > counts ? end->undrained - counts : 0;

    end->undrained -= drained;
    quic_end_set_lent(end, end->out.length - end->undrained);
    if (drained)
        stream_drained(&end->stream, drained);
}

static void quic_end_tell_bytes(struct quic_end *end)
{
    quic_end_tell_drained(end);
    while (quic_end_tells(end) && !queue_empty(&end->in))
        end->stream.events->received(&end->stream, queue_pop(&end->in));
    if (quic_end_tells(end) && end->in_finished && !end->in_told) {
        end->in_told = true;
        end->stream.events->ended(&end->stream);
    }
}

static void quic_end_close(struct quic_end *end)
{
    queue_clear(&end->in);
    end->closed = true;
    end->stream.events->closed(&end->stream, (enum reason)end->reason);
}

static void quic_end_announce(struct quic_end *end)
{
    end->announced = end->owned = true;
    end->connection->events->opened(end->connection, &end->stream);
}

/* The listener may free the stream in closed(), which is therefore the last thing done with it. */
void quic_end_tell(struct quic_end *end)
{
    if (!end->announced && end->aborted) { /* reset before anyone heard of it */
        end->closed = true;
        quic_end_free_unused(end);
        return;
    }
    if (!end->announced)
        quic_end_announce(end);
    if (quic_end_tells(end))
        quic_end_tell_bytes(end);
    if (end->over && !end->closed &&
        (end->aborted ||
         (end->started && queue_empty(&end->in) && (end->in_told || !end->in_finished))))
        quic_end_close(end);
}

void quic_ends_lose(struct quic_connection *connection)
{
    struct list *link;

    while ((link = list_pop(&connection->streams))) {
        struct quic_end *end = container_of(link, struct quic_end, link);

        quic_end_forget(end);
        end->native = false;
        end->unsent = NULL;
        queue_clear(&end->out);
        queue_clear(&end->in);
        if (end->owned && !end->closed) {
            end->over = end->aborted = end->closed = true;
            end->stream.events->closed(&end->stream, REASON_TUNNEL_LOST);
        } else {
            quic_end_free_unused(end);
        }
    }
}
