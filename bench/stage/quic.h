/* bench/stage/quic.h - one end of a QUIC connection that carries a bulk stream.
 * Owner: the stage.  Thread: that of `worker`. */
#ifndef BENCH_STAGE_QUIC_H
#define BENCH_STAGE_QUIC_H

#include "bench/stage/bulk.h"
#include "quic/quic.h"

struct quic_side {
    uint32_t mtu;
    struct end *end;
    struct worker *worker;
    struct quic_endpoint *endpoint; /* of the listening one */
    struct quic_connection *connection;
    struct bulk bulk;
    bool ready, closed, idle;
};

/* `bound` learns the address.  The stream that the peer opens is read. */
bool quic_side_listen(struct quic_side *side, const struct addr *bind, struct addr *bound);
void quic_side_unlisten(struct quic_side *side); /* then turn until idle */
bool quic_side_dial(struct quic_side *side, const struct addr *peer);

#endif
