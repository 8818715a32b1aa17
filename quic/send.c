/* The one write loop.  A batch is as many full packets as the send quantum, 64 KB and the kernel's
 * segment limit allow; vectors span chunks, so that no packet is short before the data ends, which
 * would end the batch.  One full batch a turn: then the next connection. */
#include "quic/conn.h"
#include "quic/quic_end.h"

_Static_assert((int)BATCH_BYTES >= (int)PATH_LARGEST, "a batch holds the largest packet");

static struct quic_end *first_of(const struct list *list)
{
    return list_empty(list) ? NULL : container_of(list->next, struct quic_end, ready_link);
}

/* A FIN without bytes needs no credit of the connection, and stands before all who do. */
static struct quic_end *next_end(const struct quic_connection *connection)
{
    struct quic_end *end = first_of(&connection->fresh), *waits = first_of(&connection->ready);
    bool led = connection->fresh_lead >= QUIC_END_FRESH_SHARE * QUIC_END_TURN;

    if (!end || (end->unsent && waits && led))
        end = waits;
    if (!end)
        return NULL;
    if (end->unsent && !ngtcp2_conn_get_max_data_left2(connection->native))
        return NULL;
    return end;
}

struct packet {
    ngtcp2_path *path;
    ngtcp2_pkt_info *info;
    uint8_t *to;
    size_t size;
    ngtcp2_tstamp now;
};

static ngtcp2_ssize packet_add_datagram(struct quic_connection *connection,
                                        const struct packet *packet)
{
    struct chunk *chunk = datagram_queue_first(&connection->datagrams);
    ngtcp2_vec bytes = {chunk->data, chunk->used};
    int accepted = 0;
    ngtcp2_ssize rv;

    if (chunk->used > quic_datagram_room(connection)) { /* the path shrank meanwhile */
        counter_add(connection->worker->counters, COUNTER_DATAGRAM_TOO_LARGE, 1);
        datagram_queue_pop(&connection->datagrams);
        return NGTCP2_ERR_WRITE_MORE;
    }
    rv = ngtcp2_conn_writev_datagram(connection->native, packet->path, packet->info, packet->to,
                                     packet->size, &accepted, NGTCP2_WRITE_DATAGRAM_FLAG_MORE, 0,
                                     &bytes, 1, packet->now);
    if (accepted)
        datagram_queue_pop(&connection->datagrams);
    return rv;
}

static ngtcp2_ssize packet_add_stream(struct quic_connection *connection, struct quic_end *end,
                                      const struct packet *packet)
{
    struct quic_end_load load;
    ngtcp2_ssize accepted = -1;
    ngtcp2_ssize rv;

    quic_end_load(end, packet->size, &load);
    rv = ngtcp2_conn_writev_stream(
        connection->native, packet->path, packet->info, packet->to, packet->size, &accepted,
        NGTCP2_WRITE_STREAM_FLAG_MORE | (load.finish ? NGTCP2_WRITE_STREAM_FLAG_FIN : 0), end->id,
        load.vectors, load.count, packet->now);
    if (accepted >= 0)
        quic_end_sent(end, &load, (uint64_t)accepted);
    if (rv == NGTCP2_ERR_STREAM_DATA_BLOCKED || rv == NGTCP2_ERR_STREAM_SHUT_WR ||
        rv == NGTCP2_ERR_STREAM_NOT_FOUND) {
        quic_end_blocked(end);
        return NGTCP2_ERR_WRITE_MORE;
    }
    return rv;
}

/* One packet: datagrams and streams, then whatever ngtcp2 has to say.  A flood of either leaves the
 * other every second packet.  Its length, 0 (nothing, or not now), or an error of ngtcp2. */
static ngtcp2_ssize packet_write(ngtcp2_conn *native, ngtcp2_path *path, ngtcp2_pkt_info *info,
                                 uint8_t *to, size_t size, ngtcp2_tstamp now, void *user)
{
    struct quic_connection *connection = user;
    const struct packet packet = {path, info, to, size, now};
    ngtcp2_ssize rv = NGTCP2_ERR_WRITE_MORE;

    while (rv == NGTCP2_ERR_WRITE_MORE) {
        struct quic_end *end = next_end(connection);
        bool datagram = !datagram_queue_empty(&connection->datagrams);

        if (datagram && !(end && connection->streams_first))
            rv = packet_add_datagram(connection, &packet);
        else if (end)
            rv = packet_add_stream(connection, end, &packet);
        else
            rv = ngtcp2_conn_write_pkt(native, path, info, to, size, now);
    }
    if (rv > 0)
        connection->streams_first = !connection->streams_first;
    return rv;
}

static void batch_returned(struct batch *batch)
{
    struct quic_connection *connection = batch->owner;

    connection->batches--;
    if (connection->full || connection->state == CONNECTION_ENDING) {
        connection->full = false;
        connection_wake(connection);
    }
}

static struct batch *connection_batch(struct quic_connection *connection, enum pool_size size)
{
    struct batch *batch = batch_take(connection->endpoint->socket, size);

    if (batch) {
        batch->done = batch_returned;
        batch->owner = connection;
    }
    return batch;
}

static void connection_send(struct quic_connection *connection, struct batch *batch,
                            const ngtcp2_path *path, const ngtcp2_pkt_info *info)
{
    batch->ecn = info->ecn;
    if (connection->server) {
        addr_from_sockaddr(&batch->peer, path->remote.addr, path->remote.addrlen);
        if (connection->endpoint->wildcard)
            addr_from_sockaddr(&batch->local, path->local.addr, path->local.addrlen);
    }
    connection->batches++;
    batch_send(batch);
}

static size_t batch_packets(const struct quic_connection *connection)
{
    size_t packets = ngtcp2_conn_get_send_quantum2(connection->native) /
                     path_payload(&connection->path, connection->native);

    if (!packets)
        return 1;
    return packets < BATCH_SEGMENTS ? packets : BATCH_SEGMENTS;
}

/* Fills a batch: its length, 0, or an error of ngtcp2.  A capped connection writes packets one by
 * one, since the aggregate writer knows only the path's full size. */
static ngtcp2_ssize batch_write(struct quic_connection *connection, struct batch *batch,
                                ngtcp2_path *path, ngtcp2_pkt_info *info)
{
    uint64_t now = connection->worker->now_ns;
    size_t segment = 0;
    ngtcp2_ssize length;

    if (connection->path.capped) {
        length = packet_write(connection->native, path, info, batch->chunk->data, PATH_SAFE, now,
                              connection);
        segment = length > 0 ? (size_t)length : 0;
    } else {
        length = ngtcp2_conn_write_aggregate_pkt2(connection->native, path, info,
                                                  batch->chunk->data, BATCH_BYTES, &segment,
                                                  packet_write, batch_packets(connection), now);
    }
    if (length <= 0)
        return length;
    batch->length = (uint32_t)length;
    batch->segment = (uint32_t)segment;
    ngtcp2_conn_update_pkt_tx_time(connection->native, now);
    return length;
}

/* Writes one batch: its length, 0 when there is nothing to send now. */
static size_t connection_write_batch(struct quic_connection *connection)
{
    struct batch *batch = connection_batch(connection, POOL_LARGE);
    ngtcp2_path_storage storage;
    ngtcp2_pkt_info info = {0};
    ngtcp2_ssize length;

    connection->starved = !batch;
    if (!batch)
        return 0;
    ngtcp2_path_storage_zero(&storage);
    length = batch_write(connection, batch, &storage.path, &info);
    if (length > 0) {
        connection_send(connection, batch, &storage.path, &info);
        return (size_t)length;
    }
    batch_cancel(batch);
    if (length < 0)
        connection_fail(connection, (int)length);
    return 0;
}

/* ngtcp2 pings when a keep-alive is due: so one falls due now. */
static void connection_set_ping(struct quic_connection *connection, bool on)
{
    if (connection->ping)
        ngtcp2_conn_set_keep_alive_timeout(connection->native, on ? 1 : UINT64_MAX);
}

/* Small batches (a probe, the flights of a handshake) go on at once; after a full one the other
 * connections have their turn. */
void connection_write(struct quic_connection *connection)
{
    size_t quantum = ngtcp2_conn_get_send_quantum2(connection->native);
    size_t written = 0, length = 1;

    path_turn(&connection->path, connection->native, connection->worker->now_ns);
    connection_set_ping(connection, true);
    if (quantum > BATCH_BYTES / 2)
        quantum = BATCH_BYTES / 2;
    while (length && written < quantum && connection->batches < CONNECTION_BATCHES) {
        length = connection_write_batch(connection);
        written += length;
    }
    connection_set_ping(connection, false);
    connection->ping = connection->ping && !written;
    if (!length)
        return;
    if (connection->batches < CONNECTION_BATCHES)
        connection_wake(connection);
    else
        connection->full = true;
}

static void connection_bury(struct quic_connection *connection, const uint8_t *packet,
                            uint32_t length)
{
    if (connection->server)
        grave_dig(connection->endpoint, &connection->ids, packet, length,
                  3 * ngtcp2_conn_get_pto2(connection->native));
}

void connection_write_close(struct quic_connection *connection)
{
    struct batch *batch =
        connection->close_silently ? NULL : connection_batch(connection, POOL_SMALL);
    ngtcp2_path_storage storage;
    ngtcp2_pkt_info info = {0};
    ngtcp2_ssize length;

    if (!batch) {
        connection_bury(connection, NULL, 0);
        return;
    }
    ngtcp2_path_storage_zero(&storage);
    length = ngtcp2_conn_write_connection_close(
        connection->native, &storage.path, &info, batch->chunk->data, batch->chunk->size,
        &connection->close_with, connection->worker->now_ns);
    if (length <= 0) {
        batch_cancel(batch);
        return;
    }
    connection_bury(connection, batch->chunk->data, (uint32_t)length);
    batch->length = batch->segment = (uint32_t)length;
    connection_send(connection, batch, &storage.path, &info);
}
