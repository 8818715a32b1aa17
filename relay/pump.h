/* relay/pump.h - moves bytes both ways between two streams until both have ended.
 *
 * What one end receives is written to the other; what the other has let go of (drained) is consumed
 * at the first, so that at most the first one's receive_limit is between them.  FIN travels as FIN,
 * a reset as a reset.  The pump knows no transport.
 *
 * Owner: who embeds it.  Thread: the worker's.
 * Life: pump_start -> done, once, never from inside pump_start or pump_stop; both streams are
 * closed and freed by then. */
#ifndef RELAY_PUMP_H
#define RELAY_PUMP_H

#include <stdbool.h>
#include <stdint.h>

#include "core/stream.h"
#include "core/traffic.h"
#include "core/worker.h"

struct pump;
typedef void pump_done_fn(struct pump *pump, enum reason reason);

struct pump_limits {
    uint64_t idle_timeout_ns, half_close_timeout_ns; /* 0: none */
};

struct pump {
    /* Set by pump_start. */
    struct worker *worker;
    struct stream *client, *backend; /* taken; NULL once closed and freed */
    pump_done_fn *done;
    const struct pump_limits *limits; /* borrowed until done */
    /* Where a session counts what moves, as it moves: its listener and its member, or both NULL. */
    struct traffic *listener_traffic, *member_traffic;
    /* Changes while running. */
    uint64_t client_bytes, backend_bytes; /* received from each */
    uint64_t active_ns;                   /* when a byte last moved */
    struct timer timer;
    enum reason reason; /* the first thing that went wrong, else REASON_DONE */
    bool client_ended, backend_ended;
};

/* Takes both streams, started or not, and starts them.  Bytes received from the client and written
 * to the backend before are known to the two streams alone: their drained() counts here as well. */
void pump_start(struct pump *pump, struct worker *worker, struct stream *client,
                struct stream *backend, const struct pump_limits *limits, pump_done_fn *done);
void pump_stop(struct pump *pump, enum reason reason);

/* For who stands in front of a pump (splice.h), or heard the user's end before it began: what it
 * hears of its streams, whose owner it is, and its account of bytes that went past it. */
void pump_received(struct stream *stream, struct piece *piece);
void pump_ended(struct stream *stream);
void pump_drained(struct stream *stream, uint64_t length);
void pump_closed(struct stream *stream, enum reason reason);
void pump_moved(struct pump *pump, const struct stream *from, uint64_t length);

#endif
