/* core/datagram.h - one end of a UDP relay: a user behind a listening socket, a connected socket to
 * a service, a session inside a QUIC connection.
 *
 * Datagrams are delivered whole or dropped and counted; nothing blocks and nothing is queued
 * without a bound.  Thread: one worker's. send() borrows the bytes until it returns.  received()
 * lends them until it returns. stop() ends it; closed() follows once, last, never from inside
 * stop(); then datagram_free. */
#ifndef CORE_DATAGRAM_H
#define CORE_DATAGRAM_H

#include <stdint.h>

#include "core/reason.h"

struct datagram_end;

struct datagram_ops {
    void (*send)(struct datagram_end *end, const uint8_t *data, uint32_t length);
    void (*stop)(struct datagram_end *end, enum reason reason);
    void (*free)(struct datagram_end *end); /* only after closed() */
};

struct datagram_events {
    void (*received)(struct datagram_end *end, const uint8_t *data, uint32_t length);
    void (*closed)(struct datagram_end *end, enum reason reason);
};

struct datagram_end {
    const struct datagram_ops *ops;
    const struct datagram_events *events;
    void *owner;
};

static inline void datagram_send(struct datagram_end *end, const uint8_t *data, uint32_t length)
{
    end->ops->send(end, data, length);
}
static inline void datagram_stop(struct datagram_end *end, enum reason reason)
{
    end->ops->stop(end, reason);
}
static inline void datagram_free(struct datagram_end *end)
{
    end->ops->free(end);
}

#endif
