/* The one read loop: bursts are taken apart, each datagram goes to the connection that its
 * destination id names.  A burst comes from one address but may hold several connections. */
#include <string.h>

#include "quic/conn.h"

static void packet_invalid(const struct quic_endpoint *endpoint)
{
    counter_add(endpoint->worker->counters, COUNTER_PACKETS_INVALID, 1);
}

/* A packet that no id of the table claims.  A client has one connection: what it gets with an
 * unknown id may be a stateless reset, which only ngtcp2 can tell. */
static struct quic_connection *endpoint_stray(struct quic_endpoint *endpoint,
                                              const struct stray *stray)
{
    bool long_header = stray->data[0] & 0x80;
    struct grave *grave;

    if (!endpoint->server) {
        if (!list_empty(&endpoint->connections) && !long_header)
            return container_of(endpoint->connections.next, struct quic_connection, link);
        packet_invalid(endpoint);
        return NULL;
    }
    grave = cid_table_find(&endpoint->buried, stray->ids.dcid, stray->ids.dcidlen);
    if (grave) {
        grave_answer(grave, stray);
        return NULL;
    }
    if (port_hand_over(endpoint, stray))
        return NULL;
    if (long_header)
        return endpoint_accept(endpoint, stray);
    endpoint_reset_unknown(endpoint, stray);
    return NULL;
}

static struct quic_connection *endpoint_find(struct quic_endpoint *endpoint, struct stray *stray)
{
    struct quic_connection *connection;
    int rv = ngtcp2_pkt_decode_version_cid(&stray->ids, stray->data, stray->length, CID_LENGTH);

    if (rv == NGTCP2_ERR_VERSION_NEGOTIATION && endpoint->server) {
        endpoint_negotiate_version(endpoint, stray);
        return NULL;
    }
    if (rv) {
        packet_invalid(endpoint);
        return NULL;
    }
    connection = cid_table_find(&endpoint->ids, stray->ids.dcid, stray->ids.dcidlen);
    return connection ? connection : endpoint_stray(endpoint, stray);
}

/* Short headers of one burst nearly always name the same connection. */
static bool same_id(const uint8_t *data, uint32_t length, const uint8_t *id)
{
    return id && length > CID_LENGTH && !(data[0] & 0x80) && !memcmp(data + 1, id, CID_LENGTH);
}

/* The address that the packet came to, as ngtcp2 is to know it. */
static struct addr endpoint_local(const struct quic_endpoint *endpoint,
                                  const struct quic_socket *socket, const struct datagram_in *in)
{
    struct addr local = *socket_local(socket);

    if (endpoint->wildcard && in->local.length) {
        local = in->local;
        addr_set_port(&local, addr_port(&endpoint->local));
    }
    return local;
}

/* One packet, or a coalesced datagram, of this connection. */
static void connection_read(struct quic_connection *connection, struct datagram_in *in,
                            const uint8_t *data, uint32_t length)
{
    ngtcp2_path path = {
        .local = {&in->local.sa, in->local.length},
          .remote = {&in->peer.sa,  in->peer.length }
    };
    ngtcp2_pkt_info info = {.ecn = in->ecn};
    int rv;

    if (!connection_alive(connection))
        return;
    connection->was_read = true;
    rv = ngtcp2_conn_read_pkt(connection->native, &path, &info, data, length,
                              connection->worker->now_ns);
    if (rv)
        connection_fail(connection, rv);
    connection_wake(connection);
}

void endpoint_received(void *owner, struct quic_socket *socket, const struct datagram_in *in)
{
    struct quic_endpoint *endpoint = owner;
    struct datagram_in each = *in;
    struct quic_connection *connection = NULL;
    const uint8_t *id = NULL;
    uint32_t segment = in->segment ? in->segment : in->length;
    uint32_t count = 0;

    each.local = endpoint_local(endpoint, socket, in);
    for (uint32_t at = 0; at < in->length; at += segment, count++) {
        uint32_t length = in->length - at < segment ? in->length - at : segment;
        struct stray stray = {.data = in->data + at,
                              .length = length,
                              .peer = &each.peer,
                              .local = &each.local,
                              .ecn = in->ecn};

        if (!same_id(stray.data, length, id)) {
            connection = endpoint_find(endpoint, &stray);
            id = connection && !(stray.data[0] & 0x80) ? stray.data + 1 : NULL;
        }
        if (connection)
            connection_read(connection, &each, stray.data, length);
    }
    counter_add(endpoint->worker->counters, COUNTER_PACKETS_IN, count);
    counter_add(endpoint->worker->counters, COUNTER_BATCHES_IN, 1);
    if (!count)
        packet_invalid(endpoint);
}

void endpoint_take_handed(struct quic_endpoint *endpoint, struct stray *stray)
{
    struct datagram_in in = {.peer = *stray->peer, .local = *stray->local, .ecn = stray->ecn};
    struct quic_connection *connection = endpoint_find(endpoint, stray);

    if (connection)
        connection_read(connection, &in, stray->data, stray->length);
}
