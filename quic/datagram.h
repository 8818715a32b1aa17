/* quic/datagram.h - datagrams of a connection that wait for the write loop: bounded, drops when
 * full.  Internal to quic.  Owner: the connection.  Thread: its worker's.  The ring of slots is
 * made at the first datagram, chunks are held only while something waits. */
#ifndef QUIC_DATAGRAM_H
#define QUIC_DATAGRAM_H

#include <stdbool.h>
#include <stdint.h>

#include "core/buf.h"

struct datagram_queue {
    struct chunk **slots;
    uint32_t size, first, count;
};

static inline bool datagram_queue_empty(const struct datagram_queue *queue)
{
    return !queue->count;
}
/* The oldest; chunk->used is its length. */
static inline struct chunk *datagram_queue_first(const struct datagram_queue *queue)
{
    return queue->slots[queue->first];
}
void datagram_queue_pop(struct datagram_queue *queue);
void datagram_queue_release(struct datagram_queue *queue);

#endif
