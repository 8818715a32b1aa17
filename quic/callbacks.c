/* What ngtcp2 calls back.  Nobody is told anything from here, except of datagrams: facts are noted
 * and the connection's turn tells them. */
#include <ngtcp2/ngtcp2_crypto.h>

#include "quic/conn.h"
#include "quic/quic_end.h"

static void random_wanted(uint8_t *to, size_t length, const ngtcp2_rand_ctx *context)
{
    struct os *os = context->native_handle;

    os->random(os, to, length);
}

static int id_wanted(ngtcp2_conn *native, ngtcp2_cid *id, ngtcp2_stateless_reset_token *token,
                     size_t length, void *user)
{
    struct quic_connection *connection = user;
    struct quic_endpoint *endpoint = connection->endpoint;

    must(length == CID_LENGTH);
    endpoint_make_id(endpoint, id);
    if (token_of_reset(&endpoint->keys, id, token->data) < 0 ||
        cid_set_add(&connection->ids, id->data, id->datalen) < 0)
        return NGTCP2_ERR_CALLBACK_FAILURE;
    return 0;
}

static int id_retired(ngtcp2_conn *native, const ngtcp2_cid *id, void *user)
{
    struct quic_connection *connection = user;

    cid_set_remove(&connection->ids, id->data, id->datalen);
    return 0;
}

static int handshake_finished(ngtcp2_conn *native, void *user)
{
    struct quic_connection *connection = user;

    if (connection->server) {
        const ngtcp2_cid *first = ngtcp2_conn_get_client_initial_dcid2(native);

        cid_set_remove(&connection->ids, first->data, first->datalen);
    }
    connection_moved(connection, CONNECTION_READY);
    connection_wake(connection);
    return 0;
}

static int handshake_settled(ngtcp2_conn *native, void *user)
{
    struct quic_connection *connection = user;

    handshake_shrink(&connection->handshake);
    return 0;
}

static int stream_opened(ngtcp2_conn *native, int64_t id, void *user)
{
    struct quic_end *end = quic_end_accept(user, id);

    if (!end)
        return NGTCP2_ERR_CALLBACK_FAILURE;
    ngtcp2_conn_set_stream_user_data(native, id, end);
    return 0;
}

static int stream_received(ngtcp2_conn *native, uint32_t flags, int64_t id, uint64_t offset,
                           const uint8_t *data, size_t length, void *user, void *stream)
{
    return quic_end_arrived(stream, data, (uint32_t)length, flags & NGTCP2_STREAM_DATA_FLAG_FIN);
}

static int stream_acknowledged(ngtcp2_conn *native, int64_t id, uint64_t offset, uint64_t length,
                               void *user, void *stream)
{
    struct quic_connection *connection = user;

    path_acknowledged(&connection->path, connection->worker->now_ns);
    ahead_acknowledged(&connection->ahead, length);
    quic_end_acknowledged(stream, length);
    return 0;
}

static int stream_closed(ngtcp2_conn *native, uint32_t flags, int64_t id, uint64_t code, void *user,
                         void *stream)
{
    if (!ngtcp2_conn_is_local_stream2(native, id))
        ngtcp2_conn_extend_max_streams_bidi(native, 1);
    if (stream)
        quic_end_native_closed(stream);
    return 0;
}

static int stream_reset(ngtcp2_conn *native, int64_t id, uint64_t final_size, uint64_t code,
                        void *user, void *stream)
{
    quic_end_reset(stream, code);
    return 0;
}

static int stream_refused(ngtcp2_conn *native, int64_t id, uint64_t code, void *user, void *stream)
{
    quic_end_reset(stream, code);
    return 0;
}

static int stream_credited(ngtcp2_conn *native, int64_t id, uint64_t most, void *user, void *stream)
{
    quic_end_credited(stream);
    return 0;
}

static int datagram_received(ngtcp2_conn *native, uint32_t flags, const uint8_t *data,
                             size_t length, void *user)
{
    struct quic_connection *connection = user;

    if (connection_alive(connection) && connection->announced)
        connection->events->datagram(connection, data, (uint32_t)length);
    return 0;
}

static int datagram_acknowledged(ngtcp2_conn *native, uint64_t id, void *user)
{
    struct quic_connection *connection = user;

    path_acknowledged(&connection->path, connection->worker->now_ns);
    return 0;
}

static int path_validated(ngtcp2_conn *native, uint32_t flags, const ngtcp2_path *path,
                          const ngtcp2_path *fallback, ngtcp2_path_validation_result result,
                          void *user)
{
    struct quic_connection *connection = user;
    struct addr peer;

    if (result != NGTCP2_PATH_VALIDATION_RESULT_SUCCESS)
        return 0;
    addr_from_sockaddr(&peer, path->remote.addr, path->remote.addrlen);
    if (!addr_equal(&peer, &connection->peer)) {
        connection->peer = peer;
        counter_add(connection->worker->counters, COUNTER_PATHS_CHANGED, 1);
    }
    return 0;
}

static int reset_received(ngtcp2_conn *native, const ngtcp2_pkt_stateless_reset2 *reset, void *user)
{
    struct quic_connection *connection = user;

    connection->reset_by_peer = true;
    return 0;
}

void connection_callbacks(ngtcp2_callbacks *callbacks)
{
    *callbacks = (ngtcp2_callbacks){
        .rand = random_wanted,
        .get_new_connection_id2 = id_wanted,
        .remove_connection_id = id_retired,
        .get_path_challenge_data2 = ngtcp2_crypto_get_path_challenge_data2_cb,
        .handshake_completed = handshake_finished,
        .handshake_confirmed = handshake_settled,
        .stream_open = stream_opened,
        .recv_stream_data = stream_received,
        .acked_stream_data_offset = stream_acknowledged,
        .stream_close = stream_closed,
        .stream_reset = stream_reset,
        .recv_stop_sending = stream_refused,
        .extend_max_stream_data = stream_credited,
        .recv_datagram = datagram_received,
        .ack_datagram = datagram_acknowledged,
        .path_validation = path_validated,
        .recv_stateless_reset2 = reset_received,
    };
    handshake_callbacks(callbacks);
}
