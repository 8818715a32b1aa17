#include "bench/stage/bulk.h"

enum { UNDER_WAY = 512 << 10, READ_LIMIT = 256 << 10 };

static void bulk_fill(struct bulk *bulk)
{
    while (bulk->written - bulk->drained < UNDER_WAY) {
        struct piece *piece = piece_new(chunk_share(bulk->chunk), 0, POOL_MEDIUM_SIZE);

        if (!piece)
            return;
        bulk->written += piece->length;
        stream_write(bulk->stream, piece);
    }
}

static void bulk_received(struct stream *stream, struct piece *piece)
{
    struct bulk *bulk = stream->owner;
    uint32_t length = piece->length;

    bulk->end->bytes += length;
    piece_free(piece);
    stream_consumed(stream, length);
}

static void bulk_ended(struct stream *stream)
{
    stream_finish(stream);
}

static void bulk_drained(struct stream *stream, uint64_t length)
{
    struct bulk *bulk = stream->owner;

    bulk->drained += length;
    bulk->end->bytes += length;
    bulk_fill(bulk);
}

static void bulk_closed(struct stream *stream, enum reason reason)
{
    struct bulk *bulk = stream->owner;

    bulk->closed = true;
    bulk->stream = NULL;
    stream_free(stream);
}

static const struct stream_events bulk_events = {bulk_received, bulk_ended, bulk_drained,
                                                 bulk_closed};

static void bulk_own(struct bulk *bulk, struct end *end, struct stream *stream)
{
    *bulk = (struct bulk){.end = end, .stream = stream};
    stream->events = &bulk_events;
    stream->owner = bulk;
    stream->receive_limit = READ_LIMIT;
    stream_start(stream);
}

void bulk_write(struct bulk *bulk, struct end *end, struct stream *stream)
{
    bulk_own(bulk, end, stream);
    bulk->chunk = chunk_take(end->real.worker.pools, POOL_MEDIUM);
    must(bulk->chunk);
    bulk_fill(bulk);
}

void bulk_read(struct bulk *bulk, struct end *end, struct stream *stream)
{
    bulk_own(bulk, end, stream);
}

void bulk_stop(struct bulk *bulk)
{
    if (bulk->stream)
        stream_stop(bulk->stream, REASON_SHUTDOWN);
    if (bulk->end)
        (void)turn_until(&bulk->end->real, bulk->closed);
    if (bulk->chunk)
        chunk_drop(bulk->chunk);
    bulk->chunk = NULL;
}
