/* quic/endpoint.h - a UDP address of ours and the connections behind it.  Internal to quic.
 *
 * A server's endpoint lives until quic_endpoint_stop; a client's belongs to its one connection.
 * Owner: who made it.  Thread: its worker's.
 *
 * Datagrams are dispatched by destination id (receive.c).  What belongs to no connection is a new
 * client (accept.c), a version to negotiate, an id of ours that nobody has any more (a stateless
 * reset), or garbage. */
#ifndef QUIC_ENDPOINT_H
#define QUIC_ENDPOINT_H

#include <ngtcp2/ngtcp2.h>

#include "core/list.h"
#include "core/ring.h"
#include "quic/cid.h"
#include "quic/grave.h"
#include "quic/limit.h"
#include "quic/port.h"
#include "quic/quic.h"
#include "quic/socket.h"
#include "quic/token.h"

enum {
    HALF_OPEN_MAX = 100,      /* more are asked to prove their address (Retry) */
    HALF_OPEN_LIMIT = 1000,   /* for one more the oldest is given up, once it had its time, */
    HALF_OPEN_TIME_MS = 2000, /* else that one is refused */
    HANDSHAKE_RATE = 200,     /* a second and source prefix */
    HANDSHAKE_BURST = 1000,
    RETRY_RATE = 5000, /* a second: a tenth of a worker's time */
    RETRY_BURST = 5000,
    ANSWER_RATE = 100, /* of each kind, a second */
    ANSWER_BURST = 100
};
/* What strangers are told; each kind has its own allowance, so that none keeps another unsaid. */
enum answer { ANSWER_RESET, ANSWER_VERSIONS, ANSWER_REFUSAL, ANSWER_KINDS };

struct quic_endpoint {
    /* Set at birth. */
    struct worker *worker;
    struct addr local; /* as bound */
    bool server, wildcard;
    struct quic_acceptor acceptor; /* servers */
    struct port_outbox outbox;     /* servers on a port: datagrams for other workers */
    struct cid_codec codec;
    struct token_keys keys;
    /* Changes while open. */
    struct quic_socket *socket;
    uint32_t sockets; /* not idle yet, replaced ones too */
    struct cid_table ids;
    struct list connections;
    struct list handshaking; /* a server's connections before, the oldest first */
    struct cid_table buried; /* ids of graves */
    struct list graves;
    uint32_t grave_count;
    uint32_t half_open; /* in `handshaking` */
    bool refusing;
    struct bucket answers[ANSWER_KINDS], retries;
    struct prefix_limit *handshakes; /* servers */
    /* The end. */
    bool stopping;
    quic_idle_fn *idle;
    void *context;
};

/* A client's.  NULL: *error is -errno. */
struct quic_endpoint *endpoint_connect(struct worker *worker, const struct addr *peer,
                                       int *error) MUST_CHECK;
/* Replaces a client's socket by one with a new port. */
int endpoint_rebind(struct quic_endpoint *endpoint, const struct addr *peer) MUST_CHECK;
void endpoint_make_id(const struct quic_endpoint *endpoint, ngtcp2_cid *id);

/* receive.c: takes a burst apart. */
void endpoint_received(void *endpoint, struct quic_socket *socket, const struct datagram_in *in);

/* accept.c: answers to packets of no connection. */
struct stray {
    const uint8_t *data;
    uint32_t length;
    const struct addr *peer, *local;
    bool handed; /* over by another worker: it goes no further */
    uint8_t ecn;
    ngtcp2_version_cid ids;
};
/* receive.c: a datagram that another worker handed over. */
void endpoint_take_handed(struct quic_endpoint *endpoint, struct stray *stray);
/* The connection that the packet begins, NULL when it was answered or dropped. */
struct quic_connection *endpoint_accept(struct quic_endpoint *endpoint, const struct stray *stray);
void endpoint_negotiate_version(struct quic_endpoint *endpoint, const struct stray *stray);
void endpoint_reset_unknown(struct quic_endpoint *endpoint, const struct stray *stray);
/* A batch that goes back to where the packet came from; NULL without memory. */
struct batch *stray_answer(struct quic_endpoint *endpoint, const struct stray *stray);

#endif
