#include "core/mem.h"
#include "tests/unit/fake_quic_parts.h"

static const struct stream_ops fake_stream_ops;

static struct fake_stream *fake_of(struct stream *stream)
{
    return container_of(stream, struct fake_stream, stream);
}

static struct fake_stream *fake_stream_new(struct quic_connection *connection)
{
    struct fake_stream *fake = mem_new(sizeof(*fake));

    if (!fake)
        return NULL;
    fake->stream.ops = &fake_stream_ops;
    fake->connection = connection;
    connection->stream_count++;
    list_append(&connection->streams, &fake->link);
    return fake;
}

struct stream *quic_stream_open(struct quic_connection *connection, enum reason *reason)
{
    struct fake_stream *fake;

    *reason = REASON_TUNNEL_LOST;
    if (connection->closed)
        return NULL;
    *reason = REASON_NO_MEMORY;
    fake = fake_stream_new(connection);
    if (!fake)
        return NULL;
    fake->announced = true;
    return &fake->stream;
}

static void fake_over(struct fake_stream *fake, enum reason reason)
{
    if (fake->over)
        return;
    fake->over = true;
    fake->reason = reason;
    fake_wake(fake->connection);
}

static void fake_start(struct stream *stream)
{
    fake_of(stream)->started = true;
    fake_wake(fake_of(stream)->connection);
}

static void fake_write(struct stream *stream, struct piece *piece)
{
    struct fake_stream *fake = fake_of(stream);

    if (fake->over || fake->finish || !fake->connection) {
        piece_free(piece);
        return;
    }
    queue_push(&fake->out, piece);
    fake_wake(fake->connection);
}

static void fake_consumed(struct stream *stream, uint64_t length)
{
}

static void fake_finish(struct stream *stream)
{
    fake_of(stream)->finish = true;
    fake_wake(fake_of(stream)->connection);
}

static void fake_stop(struct stream *stream, enum reason reason)
{
    struct fake_stream *fake = fake_of(stream), *other = fake->other;

    if (fake->over || !fake->connection)
        return;
    if (other && fake_reaches(fake->connection)) {
        other->peer_code = fake->code;
        fake_over(other, REASON_RESET);
    }
    fake_over(fake, reason);
}

static void fake_free(struct stream *stream)
{
    struct fake_stream *fake = fake_of(stream);

    must(fake->closed);
    queue_clear(&fake->out);
    queue_clear(&fake->in);
    mem_free(fake);
}

static const struct stream_ops fake_stream_ops = {.start = fake_start,
                                                  .write = fake_write,
                                                  .consumed = fake_consumed,
                                                  .finish = fake_finish,
                                                  .stop = fake_stop,
                                                  .free = fake_free};

bool quic_stream_acknowledged(const struct stream *stream)
{
    return container_of(stream, const struct fake_stream, stream)->acknowledged;
}

void quic_stream_set_code(struct stream *stream, uint64_t code)
{
    fake_of(stream)->code = code;
}

uint64_t quic_stream_peer_code(const struct stream *stream)
{
    return container_of(stream, const struct fake_stream, stream)->peer_code;
}

void quic_stream_hold(struct stream *stream, struct piece *rest, uint64_t preface)
{
    struct fake_stream *fake = fake_of(stream);
    struct queue later = fake->in;

    fake->started = false;
    queue_init(&fake->in);
    if (rest)
        queue_push(&fake->in, rest);
    queue_take_all(&fake->in, &later);
}

void fake_deliver(struct fake_stream *fake)
{
    struct quic_connection *far = fake->connection->other;

    if (fake->over || !fake_reaches(fake->connection) ||
        (queue_empty(&fake->out) && (!fake->finish || fake->finish_sent)))
        return;
    if (!fake->other && !fake->acknowledged) {
        fake->other = fake_stream_new(far);
        if (!fake->other) { /* as if the packet were lost: the next turn tries again */
            fake_wake(fake->connection);
            return;
        }
        fake->other->other = fake;
    }
    fake->acknowledged = true;
    fake->drained += fake->out.length;
    if (fake->other)
        queue_take_all(&fake->other->in, &fake->out);
    queue_clear(&fake->out);
    fake->finish_sent = fake->finish;
    if (fake->other)
        fake->other->in_finished |= fake->finish;
    fake_heard(far);
    fake_heard(fake->connection);
    fake_wake(far);
}

static bool fake_tells(const struct fake_stream *fake)
{
    return fake->started && !fake->over;
}

static void fake_close_stream(struct fake_stream *fake)
{
    fake->closed = true;
    list_remove(&fake->link);
    fake->connection->stream_count--;
    if (fake->other)
        fake->other->other = NULL;
    fake->connection = NULL;
    fake->stream.events->closed(&fake->stream, fake->reason);
}

void fake_tell(struct fake_stream *fake)
{
    uint64_t drained = fake->drained;

    if (!fake->announced) {
        fake->announced = true;
        fake->connection->events->opened(fake->connection, &fake->stream);
    }
    fake->drained = 0;
    if (drained && !fake->over)
        stream_drained(&fake->stream, drained);
    while (fake_tells(fake) && !queue_empty(&fake->in))
        fake->stream.events->received(&fake->stream, queue_pop(&fake->in));
    if (fake_tells(fake) && fake->in_finished && !fake->in_told) {
        fake->in_told = true;
        fake->stream.events->ended(&fake->stream);
    }
    if (fake_tells(fake) && fake->in_told && fake->finish_sent)
        fake_over(fake, REASON_DONE);
    if (fake->over)
        fake_close_stream(fake);
}

void fake_lose(struct fake_stream *fake)
{
    fake->reason = REASON_TUNNEL_LOST;
    fake->over = true;
    if (fake->announced) {
        fake_close_stream(fake);
    } else {
        fake->closed = true;
        list_remove(&fake->link);
        if (fake->other)
            fake->other->other = NULL;
        fake_free(&fake->stream);
    }
}
