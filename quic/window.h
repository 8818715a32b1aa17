/* quic/window.h - how much the peer may send ahead of who reads it.  Internal to quic.
 *
 * A stream has a window of its own, and what nobody reads of it stops no other: bytes that arrive
 * are credited to the connection at once.  A window begins as configured.  One that its reader took
 * whole within a few round trips doubles, out of what all streams of the connection may grow by
 * together; never by more than half of what is left, so that others may grow as well.
 *
 * Owner: a stream, and a connection for the growth.  Thread: the connection's worker's.
 * Life: begin -> read, often -> end, which gives the growth back. */
#ifndef QUIC_WINDOW_H
#define QUIC_WINDOW_H

#include <ngtcp2/ngtcp2.h>
#include <stdbool.h>

struct window_growth {
    uint64_t left;       /* bytes that windows may still grow by */
    uint64_t base, most; /* of one window */
};

struct window {
    uint64_t size;           /* bytes that may be sent and not read */
    uint64_t read, since_ns; /* of this window's worth, and since when */
    uint64_t owed;           /* credit that was not worth a frame yet */
};

void window_begin(struct window *window, const struct window_growth *growth, uint64_t now_ns);
/* So much was read: how much more the peer is to hear that it may send; often 0. */
uint64_t window_read(struct window *window, struct window_growth *growth, uint64_t length,
                     const ngtcp2_conn *native, uint64_t now_ns);
void window_end(struct window *window, struct window_growth *growth);

#endif
