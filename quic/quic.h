/* quic/quic.h - the face of the QUIC engine: endpoints, connections, streams, datagrams.
 *
 *   endpoint    a UDP socket: a server's (accepts, by ALPN) or a client's (one per connection, so
 *               that its address may change without others noticing)
 *   connection  ngtcp2 with wolfSSL; identity of the peer from its certificate
 *   stream      a bidirectional stream as a struct stream (core/stream.h)
 *   datagrams   unreliable messages of a connection
 *
 * Thread: all of one endpoint belongs to one worker.  Events are raised only from the worker's
 * loop, never from inside a call of ours; after closed() a connection raises nothing and is gone
 * once closed() has returned.  Its streams are closed (REASON_TUNNEL_LOST) before. */
#ifndef QUIC_QUIC_H
#define QUIC_QUIC_H

#include <stdbool.h>
#include <stdint.h>

#include "core/addr.h"
#include "core/reason.h"
#include "core/stream.h"
#include "core/tls.h"
#include "core/worker.h"

struct quic_endpoint;
struct quic_connection;
struct identity;

enum quic_congestion { QUIC_CUBIC, QUIC_BBR, QUIC_RENO };

struct quic_config {
    char alpn[16]; /* "qmux/2" */
    uint64_t handshake_timeout_ns, idle_timeout_ns;
    uint64_t stream_window, stream_window_max, connection_window_max;
    uint32_t max_streams; /* the peer may have open at once */
    uint32_t datagram_queue;
    uint32_t mtu; /* largest UDP payload; 0: found out by probing */
    enum quic_congestion congestion;
    bool always_retry;
    /* What the peer hears of a stop() whose stream was given no code; NULL: 0. */
    uint64_t (*code_of)(enum reason reason);
};

struct quic_closing {
    enum reason reason;
    uint64_t code; /* application or transport error code, 0 when none */
    bool by_peer;
    bool application; /* code is the application's */
    char text[128];   /* the peer's words, printable, or ours */
};

struct quic_events {
    /* The handshake is complete and ALPN checked; quic_peer_identity is valid. */
    void (*ready)(struct quic_connection *connection);
    /* The peer opened a stream; the owner sets events and owner before it returns, and starts it
     * when it likes. */
    void (*opened)(struct quic_connection *connection, struct stream *stream);
    void (*datagram)(struct quic_connection *connection, const uint8_t *data, uint32_t length);
    void (*closed)(struct quic_connection *connection, const struct quic_closing *closing);
};

/* ---- ports: a UDP address of ours that several workers serve ---- */
/* One socket per worker, bound in order before any is read, for the port's life; the kernel's
 * filter picks the socket by byte 0 of the destination id, and what it got wrong is handed over.
 * Owner: who bound it.  Thread: any.  Free it when every endpoint on it is idle and its workers run
 * no more. */
struct quic_port;
/* NULL: *error is -errno; -EADDRINUSE also where another process would share the port with us. */
struct quic_port *quic_port_bind(struct os *os, const struct addr *addr, uint32_t workers,
                                 int *error) MUST_CHECK;
void quic_port_addr(const struct quic_port *port, struct addr *addr); /* as bound */
void quic_port_free(struct quic_port **port);

/* ---- servers ---- */
/* A new client passed address checks and begins a handshake.  False refuses it; else it has called
 * quic_own on it. */
typedef bool quic_accept_fn(void *context, struct quic_connection *connection);
struct quic_acceptor {
    struct quic_config config;
    struct tls_context *tls; /* borrowed for the endpoint's life, or until another is given */
    quic_accept_fn *accept;
    void *context;
    uint8_t secret[32]; /* for connection ids, reset tokens, Retry: the same after a restart */
    struct quic_port
        *port; /* borrowed until idle: its socket of this worker; NULL: one of its own */
};
/* `addr` counts where there is no port.  NULL: *error is -errno. */
struct quic_endpoint *quic_listen(struct worker *worker, const struct addr *addr,
                                  const struct quic_acceptor *acceptor, int *error) MUST_CHECK;
void quic_endpoint_addr(const struct quic_endpoint *endpoint, struct addr *addr); /* as bound */
/* For handshakes that begin from now on; the old context is the caller's again. */
void quic_endpoint_change(struct quic_endpoint *endpoint, const struct quic_config *config,
                          struct tls_context *tls);
void quic_endpoint_refuse_new(struct quic_endpoint *endpoint); /* draining: no new handshakes */
/* All its connections must be closed; idle is called once, later, when the kernel has let go and
 * the endpoint is freed. */
typedef void quic_idle_fn(void *context);
void quic_endpoint_stop(struct quic_endpoint *endpoint, quic_idle_fn *idle, void *context);

/* ---- clients ---- */
struct quic_dial {
    struct addr peer;
    const char *server_name; /* SNI, and the SAN required; borrowed until return */
    struct tls_context *tls; /* borrowed until closed() */
    struct quic_config config;
    /* Which of so many workers of the server is to answer; 0 workers: any. */
    uint32_t worker, workers;
};
/* Its endpoint is made, owned and ended by the connection; closed() comes after the kernel has let
 * go of it.  NULL: *error is -errno. */
struct quic_connection *quic_connect(struct worker *worker, const struct quic_dial *dial,
                                     const struct quic_events *events, void *owner,
                                     int *error) MUST_CHECK;
/* Moves a client to a new local socket, as when its network changed; streams live on. */
int quic_rebind(struct quic_connection *connection) MUST_CHECK;

/* ---- connections ---- */
void quic_own(struct quic_connection *connection, const struct quic_events *events, void *owner);
void *quic_owner(const struct quic_connection *connection);
struct worker *quic_worker(const struct quic_connection *connection);
void quic_peer_addr(const struct quic_connection *connection, struct addr *addr);
/* NULL where the peer showed no certificate. */
const struct identity *quic_peer_identity(const struct quic_connection *connection);
/* Sends CONNECTION_CLOSE with the application's code and words; closed() follows with `reason`. */
void quic_close(struct quic_connection *connection, enum reason reason, uint64_t code,
                const char *text);
void quic_ping(struct quic_connection *connection);

struct quic_stats {
    uint64_t smoothed_rtt_ns, pto_ns, congestion_window, bytes_in_flight, packets_lost;
    uint64_t bytes_in, bytes_out;
    uint64_t last_heard_ns; /* worker clock, last valid packet */
    uint32_t payload_size;  /* UDP payload of the path, now */
    uint32_t streams;
};
void quic_stats(const struct quic_connection *connection, struct quic_stats *stats);

/* ---- streams ---- */
/* Opens a bidirectional stream: NULL when the peer allows no more for now (REASON_LIMIT) or memory
 * is out.  The caller sets events and owner at once. */
struct stream *quic_stream_open(struct quic_connection *connection, enum reason *reason) MUST_CHECK;
/* Whether any byte written to it was acknowledged yet. */
bool quic_stream_acknowledged(const struct stream *stream);
/* The error code that goes with stop() (RESET_STREAM and STOP_SENDING), and the one the peer sent.
 */
void quic_stream_set_code(struct stream *stream, uint64_t code);
uint64_t quic_stream_peer_code(const struct stream *stream);
/* For a listener that read a preface and hands the stream on: call it from inside received().
 * Nothing more is raised until the next stream_start, which delivers `rest` (taken, may be NULL)
 * first.  The preface's bytes are consumed here: pass their number. */
void quic_stream_hold(struct stream *stream, struct piece *rest, uint64_t preface);

/* ---- datagrams ---- */
/* Queues head + data (both borrowed until return) as one: 0, -EMSGSIZE (larger than the path takes
 * now), -ENOBUFS (queue full, dropped and counted). */
int quic_datagram_send(struct quic_connection *connection, const uint8_t *head,
                       uint32_t head_length, const uint8_t *data, uint32_t length) MUST_CHECK;
uint32_t quic_datagram_room(const struct quic_connection *connection); /* largest that fits now */

/* ---- process ---- */
/* Once, before workers start: chooses packet protection and tests it.  0, or -EIO with a sentence.
 */
int quic_global_init(char *error, size_t error_size) MUST_CHECK;
const char *quic_versions(void); /* "ngtcp2 1.24.0, packets protected by intel-ipsec-mb 2.0" */

#endif
