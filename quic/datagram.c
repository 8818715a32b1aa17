#include "quic/datagram.h"

#include <errno.h>
#include <string.h>

#include "core/mem.h"
#include "quic/conn.h"

/* The largest payload of a DATAGRAM frame beside a short header (1 + id + 4), the AEAD tag and the
 * frame's own type and length. */
enum { DATAGRAM_OVERHEAD = 1 + CID_MAX + 4 + 16 + 3 };

void datagram_queue_pop(struct datagram_queue *queue)
{
    chunk_drop(queue->slots[queue->first]);
    queue->first = (queue->first + 1) % queue->size;
    queue->count--;
}

void datagram_queue_release(struct datagram_queue *queue)
{
    while (queue->count)
        datagram_queue_pop(queue);
    mem_free(queue->slots);
    *queue = (struct datagram_queue){0};
}

static int datagram_queue_push(struct datagram_queue *queue, uint32_t size, struct chunk *chunk)
{
    if (!queue->slots) {
        queue->slots = mem_new(size * sizeof(*queue->slots));
        if (!queue->slots)
            return -ENOBUFS;
        queue->size = size;
    }
    if (queue->count == queue->size)
        return -ENOBUFS;
    queue->slots[(queue->first + queue->count) % queue->size] = chunk;
    queue->count++;
    return 0;
}

static struct chunk *datagram_chunk(struct pools *pools, uint32_t length)
{
    static const struct {
        uint32_t most;
        enum pool_size size;
    } fits[] = {
        {2048,       POOL_SMALL },
        {16384,      POOL_MEDIUM},
        {UINT32_MAX, POOL_LARGE }
    };
    unsigned i = 0;

    while (length > fits[i].most)
        i++;
    return chunk_take(pools, fits[i].size);
}

uint32_t quic_datagram_room(const struct quic_connection *connection)
{
    const ngtcp2_transport_params *params;
    uint64_t room, most;

    if (!connection_alive(connection))
        return 0;
    params = ngtcp2_conn_get_remote_transport_params2(connection->native);
    if (!params || params->max_datagram_frame_size < DATAGRAM_OVERHEAD)
        return 0;
    room = path_payload(&connection->path, connection->native) - DATAGRAM_OVERHEAD;
    most = params->max_datagram_frame_size - 9; /* type, and the longest length */
    return (uint32_t)(room < most ? room : most);
}

int quic_datagram_send(struct quic_connection *connection, const uint8_t *head,
                       uint32_t head_length, const uint8_t *data, uint32_t length)
{
    struct worker *worker = connection->worker;
    struct chunk *chunk;

    if (head_length + length > quic_datagram_room(connection)) {
        counter_add(worker->counters, COUNTER_DATAGRAM_TOO_LARGE, 1);
        return -EMSGSIZE;
    }
    chunk = datagram_chunk(worker->pools, head_length + length);
    if (!chunk)
        goto dropped;
    if (head_length)
        memcpy(chunk->data, head, head_length);
    if (length)
        memcpy(chunk->data + head_length, data, length);
    chunk->used = head_length + length;
    if (datagram_queue_push(&connection->datagrams, connection->config.datagram_queue, chunk) < 0) {
        chunk_drop(chunk);
        goto dropped;
    }
    connection_wake(connection);
    return 0;

dropped:
    counter_add(worker->counters, COUNTER_LIMIT_DATAGRAM_QUEUE, 1);
    return -ENOBUFS;
}
