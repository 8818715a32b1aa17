/* quic/initial.h - whether a packet that would begin a connection is what it looks like, told
 * before anything is made for it.  Its keys follow from the id in it, so that whoever speaks QUIC
 * can seal one; noise that only has the form of one cannot.  Internal to quic.  Thread: the
 * worker's. */
#ifndef QUIC_INITIAL_H
#define QUIC_INITIAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pools;

/* Of a datagram that ngtcp2_accept takes, the first packet: false where it does not open, or memory
 * is out. */
bool initial_opens(struct pools *pools, const uint8_t *data, size_t length);

#endif
