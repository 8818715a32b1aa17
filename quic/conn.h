/* quic/conn.h - one QUIC connection.  Internal to quic.
 *
 * Owner: its endpoint's list (servers) or itself (clients); quic_own says who listens.  Thread: its
 * worker's.
 *
 * A turn of a connection is one task (conn.c): what ngtcp2's callbacks noted is told to the owner,
 * packets are written (send.c), the timer is set.  ngtcp2's callbacks tell nobody but the datagram
 * listener; they note and ask for a turn.
 *
 * Life: handshaking -> ready -> closing (CONNECTION_CLOSE must go out) -> ending (ngtcp2 is gone;
 * waits until the kernel has let go) -> closed() and freed. */
#ifndef QUIC_CONN_H
#define QUIC_CONN_H

#include <ngtcp2/ngtcp2.h>

#include "quic/ahead.h"
#include "quic/datagram.h"
#include "quic/endpoint.h"
#include "quic/handshake.h"
#include "quic/path.h"
#include "quic/quic.h"
#include "quic/window.h"

enum connection_state {
    CONNECTION_HANDSHAKING,
    CONNECTION_READY,
    CONNECTION_CLOSING,
    CONNECTION_ENDING,
    CONNECTION_STATES
};

enum { CONNECTION_BATCHES = 4 /* most in flight */ };

struct quic_connection {
    /* Set at birth. */
    struct quic_endpoint *endpoint;
    struct worker *worker;
    const struct quic_events *events;
    void *owner;
    struct quic_config config;
    bool server;
    uint64_t born_ns;
    /* The libraries' side; NULL when ending. */
    ngtcp2_conn *native;
    struct handshake handshake;
    /* Changes while alive. */
    struct cid_set ids; /* that lead here */
    uint8_t state;
    bool announced;   /* ready() was raised */
    bool ping;        /* wanted and not written yet */
    bool starved;     /* no buffer to write into: tried again soon */
    struct list link; /* of the endpoint */
    struct task task;
    struct timer timer;
    uint32_t batches; /* in flight */
    bool was_read;    /* since the last turn */
    bool reset_by_peer;
    bool full; /* the write loop waits for a batch to return */
    uint64_t heard_ns, packets_heard, packets_discarded;
    struct addr peer;
    struct path path;
    /* What it carries. */
    struct list streams; /* all */
    /* Streams with something to send, round robin: before those that have sent a turn's bytes and
     * still have more, those that have not yet; first of all bare FINs. */
    struct list fresh, ready;
    uint32_t fresh_lead; /* bytes that `fresh` has sent beyond its share while others waited */
    bool streams_first;  /* in the next packet; in every other one datagrams are */
    struct list news;    /* streams with something to tell */
    uint32_t stream_count;
    struct window_growth growth;
    struct ahead ahead;
    struct datagram_queue datagrams;
    /* The end. */
    struct quic_closing closing;
    ngtcp2_ccerr close_with;
    bool close_silently;
    bool disowned; /* quic_close: the owner wants to hear no more but closed() */
};

/* new.c: NULL without memory. */
struct connection_birth {
    struct quic_endpoint *endpoint;
    const struct quic_config *config;
    struct tls_context *tls;
    const char *server_name;
    struct addr peer, local;
    uint32_t worker, workers; /* clients: as in quic_dial */
    /* Servers. */
    const ngtcp2_pkt_hd *initial;
    const ngtcp2_cid *original; /* the id the client chose first, when a Retry came between */
};
struct quic_connection *connection_new(const struct connection_birth *birth) MUST_CHECK;
void connection_free(struct quic_connection *connection);
void connection_abandon(struct quic_connection *connection); /* before anyone heard of it */
/* Forgets ids, gives back ngtcp2 and TLS; idempotent. */
void connection_release_native(struct quic_connection *connection);

/* callbacks.c */
void connection_callbacks(ngtcp2_callbacks *callbacks);

/* conn.c */
static inline bool connection_alive(const struct quic_connection *connection)
{
    return connection->state < CONNECTION_CLOSING;
}
void connection_wake(struct quic_connection *connection); /* asks for a turn */
/* ngtcp2 returned `rv`; the first cause counts. */
void connection_fail(struct quic_connection *connection, int rv);
void connection_moved(struct quic_connection *connection, unsigned state);
extern task_fn connection_turn;
extern timer_fn connection_expired;

/* send.c: writes what may be written now. */
void connection_write(struct quic_connection *connection);
void connection_write_close(struct quic_connection *connection); /* and leaves a grave */

#endif
