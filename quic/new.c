/* The birth and death of connections: every limit that ngtcp2 leaves open is set here. */
#include <ngtcp2/ngtcp2_crypto.h>
#include <string.h>

#include "core/mem.h"
#include "quic/conn.h"

enum {
    GLITCH_BURST = 10000,
    GLITCH_RATE = 330,
    ACTIVE_IDS = 4,
    DATAGRAM_FRAME_MAX = 65535,
    WINDOWS_AT_START = 4 /* the connection's window, in streams' */
};

static void *native_malloc(size_t size, void *context)
{
    return mem_raw(size);
}

static void native_free(void *memory, void *context)
{
    mem_free(memory);
}

static void *native_calloc(size_t count, size_t size, void *context)
{
    return mem_new(count * size);
}

static void *native_realloc(void *memory, size_t size, void *context)
{
    return mem_resize(memory, size);
}

static const ngtcp2_mem native_mem = {NULL, native_malloc, native_free, native_calloc,
                                      native_realloc};

static const ngtcp2_cc_algo congestions[] = {[QUIC_CUBIC] = NGTCP2_CC_ALGO_CUBIC,
                                             [QUIC_BBR] = NGTCP2_CC_ALGO_BBR,
                                             [QUIC_RENO] = NGTCP2_CC_ALGO_RENO};

static void connection_settings(struct quic_connection *connection,
                                const struct connection_birth *birth, ngtcp2_settings *settings)
{
    const struct quic_config *config = birth->config;

    ngtcp2_settings_default(settings);
    settings->initial_ts = connection->worker->now_ns;
    settings->cc_algo = congestions[config->congestion];
    settings->handshake_timeout = config->handshake_timeout_ns;
    settings->max_window = config->connection_window_max;
    settings->glitch_ratelim_burst = GLITCH_BURST;
    settings->glitch_ratelim_rate = GLITCH_RATE;
    settings->rand_ctx.native_handle = connection->worker->os;
    if (birth->original) {
        settings->token = birth->initial->token;
        settings->tokenlen = birth->initial->tokenlen;
        settings->token_type = NGTCP2_TOKEN_TYPE_RETRY;
    }
    path_init(&connection->path, settings, config->mtu, connection->worker->os, &birth->peer);
}

static void connection_params(const struct quic_config *config, ngtcp2_transport_params *params)
{
    uint64_t window = config->stream_window * WINDOWS_AT_START;

    ngtcp2_transport_params_default(params);
    params->initial_max_stream_data_bidi_local = config->stream_window;
    params->initial_max_stream_data_bidi_remote = config->stream_window;
    params->initial_max_data =
        window < config->connection_window_max ? window : config->connection_window_max;
    params->initial_max_streams_bidi = config->max_streams;
    params->max_idle_timeout = config->idle_timeout_ns;
    params->active_connection_id_limit = ACTIVE_IDS;
    params->max_datagram_frame_size = DATAGRAM_FRAME_MAX;
    if (config->mtu) /* what we do not send, the peer does not send either */
        params->max_udp_payload_size = path_fixed_payload(config->mtu);
}

/* What only servers say: the ids that the client must find again, and how a reset looks. */
static int connection_server_params(const struct connection_birth *birth, const ngtcp2_cid *own,
                                    ngtcp2_transport_params *params)
{
    params->original_dcid_present = 1;
    params->original_dcid = birth->original ? *birth->original : birth->initial->dcid;
    if (birth->original) {
        params->retry_scid_present = 1;
        params->retry_scid = birth->initial->dcid;
    }
    params->stateless_reset_token_present = 1;
    return token_of_reset(&birth->endpoint->keys, own, params->stateless_reset_token);
}

/* Byte 0 leads to the wanted worker of the server, like that of the ids the server makes. */
static void connection_first_id(const struct quic_connection *connection,
                                const struct connection_birth *birth, ngtcp2_cid *id)
{
    struct os *os = connection->worker->os;

    id->datalen = CID_FIRST_LENGTH;
    os->random(os, id->data, id->datalen);
    if (birth->workers && birth->workers <= CID_SOCKETS_MAX)
        id->data[0] = cid_first_byte((uint8_t)(birth->worker % birth->workers),
                                     (uint8_t)birth->workers, id->data[0]);
}

struct natives {
    ngtcp2_settings settings;
    ngtcp2_transport_params params;
    ngtcp2_callbacks callbacks;
    ngtcp2_path path;
    ngtcp2_cid own;
};

static int connection_native_new(struct quic_connection *connection,
                                 const struct connection_birth *birth, struct natives *with)
{
    ngtcp2_cid first;

    if (connection->server)
        return ngtcp2_conn_server_new(&connection->native, &birth->initial->scid, &with->own,
                                      &with->path, birth->initial->version, &with->callbacks,
                                      &with->settings, &with->params, &native_mem, connection);
    connection_first_id(connection, birth, &first);
    return ngtcp2_conn_client_new(&connection->native, &first, &with->own, &with->path,
                                  NGTCP2_PROTO_VER_V1, &with->callbacks, &with->settings,
                                  &with->params, &native_mem, connection);
}

static int connection_make_native(struct quic_connection *connection,
                                  struct connection_birth *birth)
{
    struct natives with = {
        .path = {.local = {&birth->local.sa, birth->local.length},
                 .remote = {&birth->peer.sa, birth->peer.length}}
    };
    struct cid_set *ids = &connection->ids;
    const struct handshake_options tls = {.tls = birth->tls,
                                          .server = connection->server,
                                          .alpn = birth->config->alpn,
                                          .server_name = birth->server_name};
    struct handshake_options options = tls;

    connection_settings(connection, birth, &with.settings);
    connection_params(birth->config, &with.params);
    connection_callbacks(&with.callbacks);
    endpoint_make_id(birth->endpoint, &with.own);
    if (connection->server && connection_server_params(birth, &with.own, &with.params) < 0)
        return -1;
    if (connection_native_new(connection, birth, &with))
        return -1;
    options.conn = connection->native;
    if (handshake_init(&connection->handshake, &options) < 0)
        return -1;
    if (cid_set_add(ids, with.own.data, with.own.datalen) < 0)
        return -1;
    if (!connection->server)
        return 0;
    return cid_set_add(ids, birth->initial->dcid.data, birth->initial->dcid.datalen);
}

static void connection_enlist(struct quic_connection *connection)
{
    struct quic_endpoint *endpoint = connection->endpoint;

    list_init(&connection->link);
    list_append(connection->server ? &endpoint->handshaking : &endpoint->connections,
                &connection->link);
    if (connection->server)
        endpoint->half_open++;
}

struct quic_connection *connection_new(const struct connection_birth *birth)
{
    struct quic_connection *connection = mem_new(sizeof(*connection));
    struct connection_birth own = *birth;

    if (!connection)
        return NULL;
    connection->endpoint = birth->endpoint;
    connection->worker = birth->endpoint->worker;
    connection->config = *birth->config;
    connection->server = birth->endpoint->server;
    connection->peer = birth->peer;
    connection->heard_ns = connection->worker->now_ns;
    connection->growth = (struct window_growth){.left = birth->config->connection_window_max,
                                                .base = birth->config->stream_window,
                                                .most = birth->config->stream_window_max};
    cid_set_init(&connection->ids, &birth->endpoint->ids, connection);
    list_init(&connection->streams);
    list_init(&connection->fresh);
    list_init(&connection->ready);
    list_init(&connection->news);
    task_init(&connection->task, connection_turn);
    timer_init(&connection->timer, connection_expired);
    ngtcp2_ccerr_default(&connection->close_with);
    connection->born_ns = connection->worker->now_ns;
    connection_enlist(connection);
    if (connection_make_native(connection, &own) < 0 ||
        timer_set(&connection->worker->timers, &connection->timer, UINT64_MAX) < 0) {
        connection_abandon(connection);
        return NULL;
    }
    connection_wake(connection);
    return connection;
}

void connection_release_native(struct quic_connection *connection)
{
    cid_set_release(&connection->ids);
    if (connection->native)
        ngtcp2_conn_del(connection->native);
    connection->native = NULL;
    datagram_queue_release(&connection->datagrams);
}

void connection_free(struct quic_connection *connection)
{
    must(!connection->batches);
    connection_release_native(connection);
    handshake_release(&connection->handshake);
    timer_stop(&connection->worker->timers, &connection->timer);
    task_cancel(&connection->task);
    list_remove(&connection->link);
    mem_free(connection);
}

void connection_abandon(struct quic_connection *connection)
{
    if (connection->server)
        connection->endpoint->half_open--;
    connection_free(connection);
}
