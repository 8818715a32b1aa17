/* quic/ahead.h - how much of what travels its writer need not count.  Internal to quic.
 *
 * A writer keeps within a limit of bytes that are written and not drained.  Were they drained only
 * when acknowledged, no stream could send more than that limit in a round trip.  So bytes under way
 * are drained ahead of their acknowledgment: as many as fill the path twice (a window can double in
 * a round trip), as measured, and no more than the windows of the configuration.  They still are
 * kept; bytes that wait for the peer's credit always count.
 *
 * Owner: a connection.  Thread: its worker's. */
#ifndef QUIC_AHEAD_H
#define QUIC_AHEAD_H

#include <ngtcp2/ngtcp2.h>

struct ahead {
    uint64_t since_ns, acknowledged; /* what is being measured */
    uint64_t room;                   /* for all streams together */
    uint64_t lent;                   /* of it */
};

void ahead_acknowledged(struct ahead *ahead, uint64_t length);
/* The connection has read: measures, at most once a round trip. */
void ahead_turn(struct ahead *ahead, const ngtcp2_conn_info *info, uint64_t most, uint64_t now_ns);
/* The room for one that has `lent` of it. */
uint64_t ahead_room(const struct ahead *ahead, uint64_t lent);
void ahead_lend(struct ahead *ahead, uint64_t before, uint64_t lent);

#endif
