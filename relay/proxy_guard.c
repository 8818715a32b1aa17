#include "relay/proxy_guard.h"

#include <errno.h>
#include <string.h>

#include "core/mem.h"
#include "relay/proxy_in.h"

enum { TELLING = 12 }; /* bytes of the longest beginning */

struct proxy_guard {
    struct stream stream;
    struct stream *inner;
    struct worker *worker;
    struct queue held;
    uint8_t bytes[TELLING];
    uint32_t length;
    bool decided, refused, stopped;
};

static struct proxy_guard *proxy_guard_of(struct stream *stream)
{
    return container_of(stream, struct proxy_guard, stream);
}

/* ---- towards the user ---- */

static void proxy_guard_start(struct stream *stream)
{
    struct proxy_guard *guard = proxy_guard_of(stream);

    guard->inner->receive_limit = stream->receive_limit;
    stream_start(guard->inner);
}

static void proxy_guard_write(struct stream *stream, struct piece *piece)
{
    stream_write(proxy_guard_of(stream)->inner, piece);
}

static void proxy_guard_consumed(struct stream *stream, uint64_t length)
{
    struct proxy_guard *guard = proxy_guard_of(stream);

    guard->inner->receive_limit = stream->receive_limit;
    stream_consumed(guard->inner, length);
}

static void proxy_guard_finish(struct stream *stream)
{
    stream_finish(proxy_guard_of(stream)->inner);
}

static void proxy_guard_stop(struct stream *stream, enum reason reason)
{
    struct proxy_guard *guard = proxy_guard_of(stream);

    guard->stopped = true;
    stream_stop(guard->inner, reason);
}

static void proxy_guard_free(struct stream *stream)
{
    struct proxy_guard *guard = proxy_guard_of(stream);

    stream_free(guard->inner);
    queue_clear(&guard->held);
    mem_free(guard);
}

static const struct stream_ops proxy_guard_ops = {
    .start = proxy_guard_start,
    .write = proxy_guard_write,
    .consumed = proxy_guard_consumed,
    .finish = proxy_guard_finish,
    .stop = proxy_guard_stop,
    .free = proxy_guard_free,
};

/* ---- from the user ---- */

static void proxy_guard_release(struct proxy_guard *guard)
{
    struct stream *stream = &guard->stream;
    struct piece *piece;

    guard->decided = true;
    while (!guard->stopped && (piece = queue_pop(&guard->held)))
        stream->events->received(stream, piece);
}

static void proxy_guard_refuse(struct proxy_guard *guard)
{
    counter_add(guard->worker->counters, COUNTER_PROXY_REFUSED, 1);
    guard->decided = guard->refused = true;
    queue_clear(&guard->held);
    stream_stop(guard->inner, REASON_PROXY_SPOOFED);
}

static void proxy_guard_look(struct proxy_guard *guard, struct piece *piece)
{
    uint32_t room = TELLING - guard->length;
    uint32_t length = piece->length < room ? piece->length : room;

    memcpy(guard->bytes + guard->length, piece_data(piece), length);
    guard->length += length;
    queue_push(&guard->held, piece);
    switch (proxy_in_begins(guard->bytes, guard->length)) {
    case PROXY_BEGIN_NO:
        proxy_guard_release(guard);
        break;
    case PROXY_BEGIN_YES:
        proxy_guard_refuse(guard);
        break;
    case PROXY_BEGIN_MAYBE:
        break; /* the next bytes tell */
    }
}

static void proxy_guard_received(struct stream *inner, struct piece *piece)
{
    struct proxy_guard *guard = inner->owner;

    if (guard->refused)
        piece_free(piece);
    else if (guard->decided)
        guard->stream.events->received(&guard->stream, piece);
    else
        proxy_guard_look(guard, piece);
}

static void proxy_guard_ended(struct stream *inner)
{
    struct proxy_guard *guard = inner->owner;

    if (guard->refused)
        return;
    if (!guard->decided)
        proxy_guard_release(guard);
    if (!guard->stopped)
        guard->stream.events->ended(&guard->stream);
}

static void proxy_guard_drained(struct stream *inner, uint64_t length)
{
    struct proxy_guard *guard = inner->owner;

    guard->stream.events->drained(&guard->stream, length);
}

static void proxy_guard_closed(struct stream *inner, enum reason reason)
{
    struct proxy_guard *guard = inner->owner;

    guard->stream.events->closed(&guard->stream, guard->refused ? REASON_PROXY_SPOOFED : reason);
}

static const struct stream_events proxy_guard_events = {
    .received = proxy_guard_received,
    .ended = proxy_guard_ended,
    .drained = proxy_guard_drained,
    .closed = proxy_guard_closed,
};

int proxy_guard_put(struct worker *worker, struct stream **stream)
{
    struct proxy_guard *guard = mem_new(sizeof(*guard));

    if (!guard)
        return -ENOMEM;
    guard->stream.ops = &proxy_guard_ops;
    guard->stream.receive_limit = (*stream)->receive_limit;
    guard->worker = worker;
    guard->inner = *stream;
    guard->inner->events = &proxy_guard_events;
    guard->inner->owner = guard;
    *stream = &guard->stream;
    return 0;
}
