/* quic/quic_end.h - a bidirectional QUIC stream as an end of a relay (core/stream.h).  Internal to
 * quic.
 *
 * Out: pieces are referenced until the peer acknowledged them; `unsent` is where the write loop
 * goes on.  In: bytes of one turn gather in `in` and are told at its end.  Credit goes to the peer
 * on consumed() only; receive_limit is not looked at, the stream's window is the limit.
 *
 * Owner: whoever listens, until stream_free; and ngtcp2, until its stream_close: the later of the
 * two frees it.  closed() is raised without waiting for ngtcp2: it may still hold pieces for the
 * time of a round trip, and gives them back by itself.  Thread: the connection's worker's. */
#ifndef QUIC_QUIC_END_H
#define QUIC_QUIC_END_H

#include <ngtcp2/ngtcp2.h>

#include "core/stream.h"
#include "quic/conn.h"

enum {
    QUIC_END_VECTORS = 16,
    QUIC_END_TURN = 16384,   /* bytes before the next stream's turn */
    QUIC_END_FRESH_SHARE = 4 /* times what those who wait behind send */
};

struct quic_end {
    struct stream stream;
    struct quic_connection *connection; /* NULL once it is gone */
    int64_t id;
    /* Out. */
    struct queue out;     /* not acknowledged yet */
    struct piece *unsent; /* the piece where sending goes on; NULL: all was sent */
    uint32_t unsent_at;   /* place in that piece's chunk */
    uint32_t turn_bytes;  /* sent since it last went to the end of the list */
    uint64_t unsent_length;
    uint64_t undrained; /* what the writer still counts */
    uint64_t lent;      /* what it does not count, though it is in `out` (ahead.h) */
    /* In. */
    struct queue in; /* not told yet */
    uint64_t unconsumed;
    struct window window;
    /* Lists of the connection. */
    struct list link, ready_link, news_link;
    /* Codes and how it ends. */
    uint64_t code, peer_code;
    uint16_t reason;    /* enum reason, when over */
    bool announced : 1; /* opened() was raised, or we opened it */
    bool started : 1;
    bool acknowledged : 1; /* any byte of ours */
    bool finish : 1;       /* a FIN goes behind the last byte */
    bool finish_sent : 1;
    bool fresh : 1;       /* in that list of the connection, when in one */
    bool in_finished : 1; /* the peer's FIN arrived */
    bool in_told : 1;     /* ended() was raised */
    bool over : 1;        /* closed() is due, or was raised */
    bool aborted : 1;     /* over, whatever bytes are left */
    bool closed : 1;      /* closed() was raised */
    bool native : 1;      /* ngtcp2 knows it */
    bool owned : 1;       /* stream_free is to come */
};

static inline struct quic_end *quic_end_of(struct stream *stream)
{
    return container_of(stream, struct quic_end, stream);
}

/* A stream that the peer opened; NULL without memory. */
struct quic_end *quic_end_accept(struct quic_connection *connection, int64_t id) MUST_CHECK;

/* ---- the write loop's side ---- */
struct quic_end_load {
    ngtcp2_vec vectors[QUIC_END_VECTORS];
    size_t count;
    uint64_t length;
    bool finish; /* the FIN goes with it */
};
/* What goes next, at least `enough` bytes where there are so many. */
void quic_end_load(const struct quic_end *end, uint64_t enough, struct quic_end_load *load);
/* The write loop sent `length` of the load's bytes. */
void quic_end_sent(struct quic_end *end, const struct quic_end_load *load, uint64_t length);
void quic_end_blocked(struct quic_end *end); /* until the peer gives more credit */

/* ---- notes of ngtcp2's callbacks ---- */
int quic_end_arrived(struct quic_end *end, const uint8_t *data, uint32_t length, bool finished);
void quic_end_acknowledged(struct quic_end *end, uint64_t length);
void quic_end_credited(struct quic_end *end);
void quic_end_reset(struct quic_end *end, uint64_t code);
void quic_end_native_closed(struct quic_end *end); /* may free it */

/* ---- the turn's side ---- */
void quic_end_tell(struct quic_end *end); /* what was noted; may free it */
/* The connection is gone: closed(REASON_TUNNEL_LOST) for all streams.  ngtcp2 holds nothing more.
 */
void quic_ends_lose(struct quic_connection *connection);

/* ---- turns.c ---- */
void quic_end_queue(struct quic_end *end); /* among those who have something to send */
void quic_end_count_turn(struct quic_end *end, uint32_t length);

#endif
