/* core/stream.h - one end of a relay: a TCP socket, a QUIC stream, later a TLS session.
 *
 * Whoever made the end is its owner until it hands it on by setting `events` and `owner`; at any
 * moment exactly one listens.  Thread: one worker's, for life.
 *
 * Bytes in: after stream_start, received() gives pieces (taken by the listener).  The end stops
 * receiving when receive_limit bytes are unconsumed; consumed() says how many have left.  ended()
 * is the peer's FIN, once, after the last byte.
 * Bytes out: write() takes pieces and never fails or blocks; the writer keeps within bounds by
 * drained(), which reports bytes that no longer need storage here (sent to the kernel, or
 * acknowledged by the peer).  finish() sends a FIN behind the last byte.
 * The end of all: closed(), once, last, when the kernel and the libraries hold nothing of it: with
 * REASON_DONE when both directions ended in order, else with what went wrong (a reset from the peer
 * is REASON_RESET).  In closed() or later the listener calls stream_free. stop() aborts: unsent
 * bytes are dropped, the peer sees a reset (a FIN if both directions had already ended); closed()
 * follows, never from inside stop().  stop() twice is once. No event is raised from inside write,
 * consumed, finish, start or stop. */
#ifndef CORE_STREAM_H
#define CORE_STREAM_H

#include <stdint.h>

#include "core/buf.h"
#include "core/reason.h"

struct stream;

struct stream_ops {
    void (*start)(struct stream *stream);
    void (*write)(struct stream *stream, struct piece *piece); /* taken */
    void (*consumed)(struct stream *stream, uint64_t length);
    void (*finish)(struct stream *stream);
    void (*stop)(struct stream *stream, enum reason reason);
    void (*free)(struct stream *stream); /* only after closed() */
};

struct stream_events {
    void (*received)(struct stream *stream, struct piece *piece); /* taken */
    void (*ended)(struct stream *stream);
    void (*drained)(struct stream *stream, uint64_t length);
    void (*closed)(struct stream *stream, enum reason reason);
};

struct stream {
    const struct stream_ops *ops;
    const struct stream_events *events; /* set, with owner, by who listens */
    void *owner;
    uint64_t receive_limit; /* most unconsumed bytes; may be raised while running */
    uint64_t preamble;      /* bytes written ahead of the relay's own, which drained() leaves out */
};

static inline void stream_start(struct stream *stream)
{
    stream->ops->start(stream);
}
static inline void stream_write(struct stream *stream, struct piece *piece)
{
    stream->ops->write(stream, piece);
}
static inline void stream_consumed(struct stream *stream, uint64_t length)
{
    stream->ops->consumed(stream, length);
}
static inline void stream_finish(struct stream *stream)
{
    stream->ops->finish(stream);
}
static inline void stream_stop(struct stream *stream, enum reason reason)
{
    stream->ops->stop(stream, reason);
}
static inline void stream_free(struct stream *stream)
{
    stream->ops->free(stream);
}
/* For ends: reports drained bytes, less the preamble. */
static inline void stream_drained(struct stream *stream, uint64_t length)
{
    uint64_t own = length < stream->preamble ? length : stream->preamble;

    stream->preamble -= own;
    if (length > own)
        stream->events->drained(stream, length - own);
}

#endif
