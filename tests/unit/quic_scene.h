/* tests/unit/quic_scene.h - a QUIC server and a client on one real worker, and listeners that
 * remember what they were told.  Owner: the test. */
#ifndef TESTS_UNIT_QUIC_SCENE_H
#define TESTS_UNIT_QUIC_SCENE_H

#include <stdlib.h>
#include <string.h>

#include "core/identity.h"
#include "core/mem.h"
#include "core/tls.h"
#include "quic/quic.h"
#include "tests/unit/certs.h"
#include "tests/unit/real_worker.h"
#include "tests/unit/router.h"

enum { FLOWS = 64 };

/* One end of a stream. */
struct flow {
    struct stream *stream;
    struct side *side;
    bool echo;      /* what comes goes back, a FIN too */
    bool greedy;    /* never consumes */
    bool hold_once; /* hands the stream on after the first 4 bytes */
    uint64_t hold_at;
    uint64_t received, hash, drained, written;
    bool ended, closed;
    enum reason reason;
    uint64_t peer_code;
};

/* One end of the connection. */
struct side {
    struct quic_connection *connection;
    bool ready, closed, refuses, echoes, greedy, holds;
    struct quic_closing closing;
    struct flow flows[FLOWS];
    unsigned flow_count;
    unsigned datagrams;
    uint8_t datagram[2048];
    uint32_t datagram_length;
};

struct scene {
    struct real_worker real;
    struct quic_endpoint *endpoint;
    struct addr bind, addr;
    struct side server, client;
    struct quic_config config;
    bool idle;
};

/* ---- certificates, made once ---- */

struct scene_tls {
    struct certs certs;
    struct tls_context *server, *client, *stranger;
    bool ready;
};
static struct scene_tls scene_tls;

static inline struct tls_context *scene_context(const char *name, const char *ca, bool server)
{
    struct tls_files files = {.cert = certs_path(&scene_tls.certs, name, "crt"),
                              .key = certs_path(&scene_tls.certs, name, "key"),
                              .ca = certs_path(&scene_tls.certs, ca, "crt")};
    char error[256];
    struct tls_context *context =
        server ? tls_server_new(&files, TLS_CLIENT_REQUIRED, error, sizeof(error))
               : tls_client_new(&files, error, sizeof(error));

    if (!context)
        fprintf(stderr, "%s\n", error);
    return context;
}

static inline void scene_tls_close(void)
{
    tls_context_free(&scene_tls.server);
    tls_context_free(&scene_tls.client);
    tls_context_free(&scene_tls.stranger);
    certs_close(&scene_tls.certs);
    tls_global_release();
}

static inline bool scene_tls_open(void)
{
    char error[256];

    if (scene_tls.ready)
        return true;
    if (tls_global_init(&(struct tls_hooks){0}) < 0 || quic_global_init(error, sizeof(error)) < 0 ||
        !certs_open(&scene_tls.certs))
        return false;
    if (!certs_ca(&scene_tls.certs, "ca") || !certs_ca(&scene_tls.certs, "other") ||
        !certs_leaf(&scene_tls.certs, CERT_SERVER, "server", "ca", "tunnel.test", NULL) ||
        !certs_leaf(&scene_tls.certs, CERT_CLIENT, "client", "ca", "pod.test", NULL) ||
        !certs_leaf(&scene_tls.certs, CERT_CLIENT, "stranger", "other", "pod.test", NULL))
        return false;
    scene_tls.server = scene_context("server", "ca", true);
    scene_tls.client = scene_context("client", "ca", false);
    scene_tls.stranger = scene_context("stranger", "ca", false);
    scene_tls.ready = true;
    atexit(scene_tls_close);
    return scene_tls.server && scene_tls.client && scene_tls.stranger;
}

/* ---- turns ---- */

/* turn_until for what goes through a router, which passes things on now and then only. */
#define route_each_until(scene, router, period_ns, condition)                                      \
    ({                                                                                             \
        uint64_t give_up_ns = os_linux.clock_ns(&os_linux) + 8000000000u, passed_ns = 0;           \
        while (!(condition) && os_linux.clock_ns(&os_linux) < give_up_ns) {                        \
            if (os_linux.clock_ns(&os_linux) - passed_ns >= (period_ns)) {                         \
                router_turn(router);                                                               \
                passed_ns = os_linux.clock_ns(&os_linux);                                          \
            }                                                                                      \
            must(worker_turn(&(scene)->real.worker, os_linux.clock_ns(&os_linux) + 200000) == 0);  \
        }                                                                                          \
        (condition);                                                                               \
    })
#define route_until(scene, router, condition) route_each_until(scene, router, 1u, condition)
/* The same on a far path. */
#define FAR_TRIP_NS 20000000u
#define route_far_until(scene, router, condition)                                                  \
    route_each_until(scene, router, FAR_TRIP_NS / 2, condition)

/* ---- flows ---- */

static inline uint64_t hash_bytes(uint64_t hash, const uint8_t *data, uint64_t length)
{
    for (uint64_t i = 0; i < length; i++)
        hash = (hash ^ data[i]) * 0x100000001b3u;
    return hash;
}

static inline void flow_write(struct flow *flow, const void *data, uint32_t length)
{
    struct piece *piece = piece_copy(quic_worker(flow->side->connection)->pools, data, length);

    if (!piece)
        return;
    flow->written += length;
    stream_write(flow->stream, piece);
}

static inline void flow_received(struct stream *stream, struct piece *piece)
{
    struct flow *flow = stream->owner;
    uint32_t length = piece->length;

    if (flow->hold_once && length > 4) {
        flow->hold_once = false;
        flow->hold_at = flow->received;
        piece->start += 4;
        piece->length -= 4;
        quic_stream_hold(stream, piece, 4);
        return;
    }
    flow->received += length;
    flow->hash = hash_bytes(flow->hash, piece_data(piece), length);
    if (flow->echo) {
        flow->written += length;
        stream_write(stream, piece);
    } else {
        piece_free(piece);
    }
    if (!flow->greedy)
        stream_consumed(stream, length);
}

static inline void flow_ended(struct stream *stream)
{
    struct flow *flow = stream->owner;

    flow->ended = true;
    if (flow->echo)
        stream_finish(stream);
}

static inline void flow_drained(struct stream *stream, uint64_t length)
{
    ((struct flow *)stream->owner)->drained += length;
}

static inline void flow_closed(struct stream *stream, enum reason reason)
{
    struct flow *flow = stream->owner;

    flow->closed = true;
    flow->reason = reason;
    flow->peer_code = quic_stream_peer_code(stream);
    flow->stream = NULL;
    stream_free(stream);
}

static const struct stream_events flow_events = {flow_received, flow_ended, flow_drained,
                                                 flow_closed};

static inline struct flow *flow_own(struct side *side, struct stream *stream)
{
    struct flow *flow = &side->flows[side->flow_count++];

    must(side->flow_count <= FLOWS);
    *flow = (struct flow){.stream = stream, .side = side, .hash = 0xcbf29ce484222325u};
    stream->events = &flow_events;
    stream->owner = flow;
    return flow;
}

/* NULL when the peer allows no more. */
static inline struct flow *flow_open(struct side *side)
{
    enum reason reason;
    struct stream *stream = quic_stream_open(side->connection, &reason);
    struct flow *flow = stream ? flow_own(side, stream) : NULL;

    if (flow)
        stream_start(stream);
    return flow;
}

/* ---- connections ---- */

static inline void side_ready(struct quic_connection *connection)
{
    ((struct side *)quic_owner(connection))->ready = true;
}

static inline void side_opened(struct quic_connection *connection, struct stream *stream)
{
    struct side *side = quic_owner(connection);
    struct flow *flow = flow_own(side, stream);

    flow->echo = side->echoes;
    flow->greedy = side->greedy;
    flow->hold_once = side->holds;
    stream_start(stream);
}

static inline void side_datagram(struct quic_connection *connection, const uint8_t *data,
                                 uint32_t length)
{
    struct side *side = quic_owner(connection);

    side->datagrams++;
    side->datagram_length = length;
    if (length <= sizeof(side->datagram))
        memcpy(side->datagram, data, length);
}

static inline void side_closed(struct quic_connection *connection,
                               const struct quic_closing *closing)
{
    struct side *side = quic_owner(connection);

    side->closed = true;
    side->closing = *closing;
    side->connection = NULL;
}

static const struct quic_events side_events = {side_ready, side_opened, side_datagram, side_closed};

static inline bool scene_accepted(void *context, struct quic_connection *connection)
{
    struct scene *scene = context;

    if (scene->server.refuses || scene->server.connection)
        return false;
    scene->server.connection = connection;
    scene->server.closed = scene->server.ready = false;
    quic_own(connection, &side_events, &scene->server);
    return true;
}

static inline void scene_defaults(struct scene *scene)
{
    *scene = (struct scene){
        .bind = loopback_addr(),
        .config = {.alpn = "qmux/2",
                   .handshake_timeout_ns = 5000000000u,
                   .idle_timeout_ns = 30000000000u,
                   .stream_window = 262144,
                   .stream_window_max = 6291456,
                   .connection_window_max = 16777216,
                   .max_streams = 8,
                   .datagram_queue = 64,
                   .mtu = 1350}
    };
}

static inline bool scene_listen(struct scene *scene)
{
    struct quic_acceptor acceptor = {
        .config = scene->config,
        .tls = scene_tls.server,
        .accept = scene_accepted,
        .context = scene,
        .secret = {1, 2, 3}
    };
    int error;

    scene->endpoint = quic_listen(&scene->real.worker, &scene->bind, &acceptor, &error);
    if (!scene->endpoint)
        return false;
    quic_endpoint_addr(scene->endpoint, &scene->addr);
    return true;
}

static inline bool scene_dial_as(struct scene *scene, struct tls_context *tls, const char *name)
{
    const struct quic_dial dial = {
        .peer = scene->addr, .server_name = name, .tls = tls, .config = scene->config};
    int error;

    scene->client.closed = scene->client.ready = false;
    scene->client.connection =
        quic_connect(&scene->real.worker, &dial, &side_events, &scene->client, &error);
    return scene->client.connection != NULL;
}

static inline bool scene_dial(struct scene *scene)
{
    return scene_dial_as(scene, scene_tls.client, "tunnel.test");
}

/* Both sides are ready.  Changes of the defaults go before. */
static inline bool scene_open(struct scene *scene)
{
    return scene_tls_open() && real_worker_open(&scene->real, NULL) && scene_listen(scene) &&
           scene_dial(scene) &&
           turn_until(&scene->real,
                      (scene->client.ready && scene->server.ready) || scene->client.closed) &&
           scene->client.ready;
}

static inline bool scene_dial_routed(struct scene *scene, struct router *router)
{
    if (!scene_tls_open() || !real_worker_open(&scene->real, NULL) || !scene_listen(scene))
        return false;
    router_open(router, &scene->addr);
    scene->addr = router->addr;
    return scene_dial(scene);
}

/* The same with a router between. */
static inline bool scene_open_routed(struct scene *scene, struct router *router)
{
    return scene_dial_routed(scene, router) &&
           route_until(scene, router, scene->client.ready && scene->server.ready);
}

static inline bool scene_open_far(struct scene *scene, struct router *router)
{
    return scene_dial_routed(scene, router) &&
           route_far_until(scene, router, scene->client.ready && scene->server.ready);
}

static inline void scene_idle(void *context)
{
    ((struct scene *)context)->idle = true;
}

/* The server starts again at its old address; the router kept its last words from the client. */
static inline bool scene_restart(struct scene *scene, struct router *router)
{
    struct addr client_side = scene->addr;

    quic_close(scene->server.connection, REASON_SHUTDOWN, 0, "");
    if (!turn_until(&scene->real, !scene->server.connection))
        return false;
    router->most = 1;
    router_turn(router);
    router->most = 0;
    quic_endpoint_stop(scene->endpoint, scene_idle, scene);
    if (!turn_until(&scene->real, scene->idle))
        return false;
    scene->idle = false;
    scene->bind = router->server;
    if (!scene_listen(scene))
        return false;
    scene->addr = client_side;
    return true;
}

/* Ends what still lives; true when everything was given back. */
static inline bool scene_close(struct scene *scene)
{
    struct pools *pools = scene->real.worker.pools;
    bool empty;

    if (scene->client.connection)
        quic_close(scene->client.connection, REASON_SHUTDOWN, 0, "");
    if (scene->server.connection)
        quic_close(scene->server.connection, REASON_SHUTDOWN, 0, "");
    if (!turn_until(&scene->real, !scene->client.connection && !scene->server.connection))
        return false;
    if (scene->endpoint)
        quic_endpoint_stop(scene->endpoint, scene_idle, scene);
    if (scene->endpoint && !turn_until(&scene->real, scene->idle))
        return false;
    empty = pools_busy(pools, POOL_SMALL) == 0 && pools_busy(pools, POOL_LARGE) == 16 &&
            pools_busy(pools, POOL_MEDIUM) == 64;
    worker_release(&scene->real.worker);
    return empty;
}

enum { BULK = 10 << 20, SLICE = 16000 };

/* Keeps half a megabyte under way until BULK bytes and a FIN are written; the hash of all. */
static inline uint64_t write_bulk(struct flow *flow, uint64_t hash)
{
    uint8_t slice[SLICE];

    while (flow->written < BULK && flow->written - flow->drained < 1 << 19) {
        uint64_t left = BULK - flow->written;
        uint32_t length = left < SLICE ? (uint32_t)left : SLICE;

        for (uint32_t i = 0; i < length; i++)
            slice[i] = (uint8_t)((flow->written + i) * 2654435761u >> 13);
        hash = hash_bytes(hash, slice, length);
        flow_write(flow, slice, length);
        if (flow->written == BULK)
            stream_finish(flow->stream);
    }
    return hash;
}

#endif
