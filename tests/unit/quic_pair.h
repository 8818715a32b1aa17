/* tests/unit/quic_pair.h - a client and a server connection of ngtcp2, face to face in memory, with
 * the handshake of quic/handshake.h: no sockets, no clock but its own.  Owner: the test. */
#ifndef TESTS_UNIT_QUIC_PAIR_H
#define TESTS_UNIT_QUIC_PAIR_H

#include <arpa/inet.h>
#include <string.h>

#include "core/mem.h"
#include "quic/handshake.h"

enum { PAIR_PACKETS = 256, PAIR_PACKET_SIZE = 1452 };

struct pair_end {
    ngtcp2_conn *conn;
    struct handshake handshake;
    ngtcp2_path_storage path;
    bool completed;
    bool close_tried;
    int rv; /* the first error of a read or write */
    bool closed_by_peer;
    ngtcp2_ccerr peer_error;
    uint32_t ids; /* connection ids made */
};

struct pair {
    struct pair_end client, server;
    struct tls_context *client_tls, *server_tls; /* borrowed */
    const char *client_alpn, *server_alpn, *server_name;
    uint64_t now, random;
    ngtcp2_recv_crypto_data recv_crypto_data; /* instead of the handshake's own, when set */
    uint64_t trace;                           /* hash of every byte sent */
    uint64_t packets, bytes;
};

static inline int pair_completed(ngtcp2_conn *conn, void *user_data)
{
    struct pair_end *end = user_data;

    end->completed = true;
    return 0;
}

static inline void pair_random(uint8_t *to, size_t length, const ngtcp2_rand_ctx *context)
{
    struct pair *pair = context->native_handle;

    for (size_t i = 0; i < length; i++) {
        pair->random = pair->random * 6364136223846793005ULL + 1442695040888963407ULL;
        to[i] = (uint8_t)(pair->random >> 56);
    }
}

/* get_new_connection_id and path challenges have no random context: a counter will do. */
static inline int pair_new_id(ngtcp2_conn *conn, ngtcp2_cid *id,
                              ngtcp2_stateless_reset_token *token, size_t length, void *user_data)
{
    struct pair_end *end = user_data;

    memset(id->data, end->handshake.server ? 0x51 : 0xc1, length);
    end->ids++;
    memcpy(id->data + 1, &end->ids, sizeof(end->ids));
    id->datalen = length;
    memset(token->data, 7, sizeof(token->data));
    return 0;
}

static inline int pair_challenge(ngtcp2_conn *conn, ngtcp2_path_challenge_data *data,
                                 void *user_data)
{
    memset(data->data, 9, sizeof(data->data));
    return 0;
}

static inline ngtcp2_callbacks pair_callbacks(const struct pair *pair)
{
    ngtcp2_callbacks callbacks = {
        .handshake_completed = pair_completed,
        .rand = pair_random,
        .get_new_connection_id2 = pair_new_id,
        .get_path_challenge_data2 = pair_challenge,
    };

    handshake_callbacks(&callbacks);
    if (pair->recv_crypto_data)
        callbacks.recv_crypto_data = pair->recv_crypto_data;
    return callbacks;
}

static inline void pair_path(ngtcp2_path_storage *storage, uint16_t local, uint16_t remote)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(local)};
    struct sockaddr_in b = {.sin_family = AF_INET, .sin_port = htons(remote)};

    a.sin_addr.s_addr = b.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ngtcp2_path_storage_init(storage, (struct sockaddr *)&a, sizeof(a), (struct sockaddr *)&b,
                             sizeof(b), NULL);
}

static inline void *pair_malloc(size_t size, void *context)
{
    return mem_raw(size);
}
static inline void pair_free(void *memory, void *context)
{
    mem_free(memory);
}
static inline void *pair_calloc(size_t count, size_t size, void *context)
{
    return mem_new(count * size);
}
static inline void *pair_realloc(void *memory, size_t size, void *context)
{
    return mem_resize(memory, size);
}

static inline ngtcp2_mem *pair_mem(void)
{
    static ngtcp2_mem mem = {NULL, pair_malloc, pair_free, pair_calloc, pair_realloc};

    return &mem;
}

static inline void pair_settings(struct pair *pair, ngtcp2_settings *settings,
                                 ngtcp2_transport_params *params)
{
    ngtcp2_settings_default(settings);
    settings->initial_ts = pair->now;
    settings->rand_ctx.native_handle = pair;
    settings->max_tx_udp_payload_size = PAIR_PACKET_SIZE;
    settings->no_pmtud = 1;
    ngtcp2_transport_params_default(params);
    params->initial_max_data = 1 << 20;
    params->initial_max_streams_bidi = 4;
    params->initial_max_stream_data_bidi_remote = params->initial_max_stream_data_bidi_local =
        1 << 18;
}

static inline int pair_client_open(struct pair *pair)
{
    ngtcp2_callbacks callbacks = pair_callbacks(pair);
    ngtcp2_settings settings;
    ngtcp2_transport_params params;
    ngtcp2_cid dcid =
                   {
                       18, {1, 2, 3, 4, 5, 6, 7, 8}
    },
               scid = {17, {0xc0}};
    struct handshake_options options = {
        .tls = pair->client_tls, .alpn = pair->client_alpn, .server_name = pair->server_name};
    int rv;

    pair_settings(pair, &settings, &params);
    pair_path(&pair->client.path, 1111, 2222);
    rv = ngtcp2_conn_client_new(&pair->client.conn, &dcid, &scid, &pair->client.path.path,
                                NGTCP2_PROTO_VER_V1, &callbacks, &settings, &params, pair_mem(),
                                &pair->client);
    if (rv != 0)
        return rv;
    options.conn = pair->client.conn;
    return handshake_init(&pair->client.handshake, &options) == 0 ? 0 : NGTCP2_ERR_NOMEM;
}

static inline int pair_server_open(struct pair *pair, const uint8_t *packet, size_t length)
{
    ngtcp2_callbacks callbacks = pair_callbacks(pair);
    ngtcp2_settings settings;
    ngtcp2_transport_params params;
    ngtcp2_pkt_hd header;
    ngtcp2_cid scid = {17, {0x50}};
    struct handshake_options options = {
        .tls = pair->server_tls, .server = true, .alpn = pair->server_alpn};
    int rv = ngtcp2_accept(&header, packet, length);

    if (rv != 0)
        return rv;
    pair_settings(pair, &settings, &params);
    params.original_dcid = header.dcid;
    params.original_dcid_present = 1;
    pair_path(&pair->server.path, 2222, 1111);
    rv = ngtcp2_conn_server_new(&pair->server.conn, &header.scid, &scid, &pair->server.path.path,
                                NGTCP2_PROTO_VER_V1, &callbacks, &settings, &params, pair_mem(),
                                &pair->server);
    if (rv != 0)
        return rv;
    options.conn = pair->server.conn;
    return handshake_init(&pair->server.handshake, &options) == 0 ? 0 : NGTCP2_ERR_NOMEM;
}

static inline void pair_trace(struct pair *pair, const uint8_t *data, size_t length)
{
    for (size_t i = 0; i < length; i++)
        pair->trace = (pair->trace ^ data[i]) * 1099511628211ULL;
    pair->packets++;
    pair->bytes += length;
}

static inline void pair_read(struct pair *pair, struct pair_end *to, const uint8_t *data,
                             size_t length)
{
    int rv = 0;

    if (to->rv)
        return;
    if (!to->conn)
        rv = pair_server_open(pair, data, length);
    if (rv == 0)
        rv = ngtcp2_conn_read_pkt(to->conn, &to->path.path, NULL, data, length, pair->now);
    to->rv = rv;
    if (rv == NGTCP2_ERR_DRAINING) {
        to->closed_by_peer = true;
        to->peer_error = *ngtcp2_conn_get_ccerr2(to->conn);
    }
}

/* Everything `from` has to say, or its CONNECTION_CLOSE when it failed. */
static inline unsigned pair_flush(struct pair *pair, struct pair_end *from, struct pair_end *to)
{
    uint8_t packet[PAIR_PACKET_SIZE];
    ngtcp2_ccerr error;
    ngtcp2_ssize length;
    unsigned count = 0;

    if (!from->conn || from->closed_by_peer)
        return 0;
    while (from->rv == 0) {
        length = ngtcp2_conn_write_pkt(from->conn, NULL, NULL, packet, sizeof(packet), pair->now);
        if (length < 0)
            from->rv = (int)length;
        if (length <= 0)
            break;
        pair_trace(pair, packet, (size_t)length);
        pair_read(pair, to, packet, (size_t)length);
        count++;
    }
    if (from->rv == 0 || from->close_tried)
        return count;
    from->close_tried = true;
    handshake_ccerr(&from->handshake, from->rv, &error);
    length = ngtcp2_conn_write_connection_close(from->conn, NULL, NULL, packet, sizeof(packet),
                                                &error, pair->now);
    if (length > 0) {
        pair_trace(pair, packet, (size_t)length);
        pair_read(pair, to, packet, (size_t)length);
    }
    return count + 1;
}

/* Until both are silent. */
static inline void pair_run(struct pair *pair)
{
    unsigned moved;

    if (pair_client_open(pair) != 0)
        return;
    do {
        moved = pair_flush(pair, &pair->client, &pair->server);
        moved += pair_flush(pair, &pair->server, &pair->client);
        pair->now += 1000000;
    } while (moved && pair->packets < PAIR_PACKETS);
}

static inline void pair_close(struct pair *pair)
{
    struct pair_end *ends[] = {&pair->client, &pair->server};

    for (int i = 0; i < 2; i++) {
        ngtcp2_conn_del(ends[i]->conn);
        handshake_release(&ends[i]->handshake);
    }
}

#endif
