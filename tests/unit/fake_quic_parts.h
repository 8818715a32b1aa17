/* tests/unit/fake_quic_parts.h - what the connections and the streams of the QUIC in memory know of
 * each other; for its own files only. */
#ifndef TESTS_UNIT_FAKE_QUIC_PARTS_H
#define TESTS_UNIT_FAKE_QUIC_PARTS_H

#include "tests/unit/fake_quic.h"

struct quic_connection {
    struct worker *worker;
    struct quic_connection *other; /* NULL: nobody, or gone */
    const struct quic_events *events;
    void *owner;
    struct list link, streams, datagrams;
    struct task task;
    struct timer timer; /* handshake */
    struct quic_closing closing;
    const struct identity *identity; /* the peer's */
    struct addr addr;
    uint64_t heard_ns;
    uint32_t stream_count;
    bool ready_due, closed, cut;
};

struct fake_stream {
    struct stream stream;
    struct fake_stream *other; /* NULL until the far end knows it, and once that is gone */
    struct quic_connection *connection;
    struct list link;
    struct queue out, in;
    uint64_t drained, code, peer_code;
    enum reason reason;
    bool announced, started, acknowledged, finish, finish_sent, in_finished, in_told, over, closed;
};

void fake_wake(struct quic_connection *connection);
bool fake_reaches(const struct quic_connection *connection);
void fake_heard(struct quic_connection *connection);

/* A stream's turn: what it has written reaches the far end, which hears of the stream then. */
void fake_deliver(struct fake_stream *fake);
/* And its owner is told what came; it may be gone afterwards. */
void fake_tell(struct fake_stream *fake);
/* The connection is lost, and the stream with it. */
void fake_lose(struct fake_stream *fake);

#endif
