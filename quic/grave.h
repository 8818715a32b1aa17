/* quic/grave.h - what is left of a server's connection for three PTOs after its end: its ids, so
 * that late packets are not taken for an unknown connection's, and the CONNECTION_CLOSE, said again
 * to a peer that goes on talking (at its 1st, 2nd, 4th, … packet).  Internal to quic.
 *
 * Owner: the endpoint.  Thread: its worker's.  Life: grave_dig -> its timer, or graves_clear. */
#ifndef QUIC_GRAVE_H
#define QUIC_GRAVE_H

#include <stdint.h>

#include "core/addr.h"
#include "core/list.h"
#include "core/timer.h"
#include "quic/cid.h"

struct quic_endpoint;
struct stray;

enum { GRAVES_MAX = 1000, GRAVE_PACKET_MAX = 256 };

struct grave {
    struct quic_endpoint *endpoint;
    struct list link; /* of the endpoint */
    struct timer timer;
    struct cid_set ids;
    uint32_t heard;
    uint16_t length; /* 0: nothing to say */
    uint8_t packet[GRAVE_PACKET_MAX];
};

/* Moves a connection's ids to a grave with its last words (borrowed).  Without memory, or with too
 * many graves, there is none and a stateless reset answers. */
void grave_dig(struct quic_endpoint *endpoint, struct cid_set *ids, const uint8_t *packet,
               uint32_t length, uint64_t life_ns);
void grave_answer(struct grave *grave, const struct stray *stray);
void graves_clear(struct quic_endpoint *endpoint);

#endif
