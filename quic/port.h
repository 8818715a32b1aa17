/* quic/port.h - a server's UDP address with a socket per worker, and the way from one worker's ring
 * to another's.  Internal to quic.
 *
 * Owner: who called quic_port_bind.  Thread: seats are set by their worker, the rest is constant
 * after the birth; parcels cross by mail. */
#ifndef QUIC_PORT_H
#define QUIC_PORT_H

#include <stdatomic.h>

#include "quic/quic.h"

enum {
    PARCEL_BYTES = 65536, /* of datagrams, in one message */
    PARCELS_MAX = 16      /* on their way to one worker */
};

struct parcel;
struct stray;

struct port_seat {
    int fd;
    struct quic_endpoint *endpoint;  /* its worker's own business */
    _Atomic(struct worker *) worker; /* NULL: nobody listens yet */
    _Atomic uint32_t parcels;        /* on their way there */
};

struct quic_port {
    struct os *os;
    struct addr addr;
    uint32_t count;
    struct port_seat seats[];
};

/* What an endpoint hands to the other workers at the end of this turn. */
struct port_outbox {
    struct parcel **parcels; /* by worker; NULL where there is nothing */
    struct task task;
};

/* The endpoint takes its worker's seat; no-op without a port.  0 or -ENOMEM. */
int port_join(struct quic_endpoint *endpoint, struct quic_port *port) MUST_CHECK;
void port_leave(struct quic_endpoint *endpoint); /* no-op where it has no seat */
/* Whether the datagram was for another worker: then it has been taken care of. */
bool port_hand_over(struct quic_endpoint *endpoint, const struct stray *stray);

#endif
