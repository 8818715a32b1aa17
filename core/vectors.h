/* core/vectors.h - a message with room for many pieces, borrowed while a send or a receive is in
 * flight, so that an idle stream carries none of it.
 * Owner: the worker's store keeps a few for reuse.  Thread: the worker's. */
#ifndef CORE_VECTORS_H
#define CORE_VECTORS_H

#include <stdint.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "core/buf.h"

enum { VECTORS_MAX = 64, VECTORS_KEPT = 64 };

struct vectors {
    struct vectors *next; /* in the store */
    struct msghdr message;
    struct iovec pieces[VECTORS_MAX];
    struct chunk *chunks[16]; /* receives: whose memory the first pieces name */
};

struct vectors_store {
    struct vectors *first;
    uint32_t count;
};

/* An empty message (no pieces), or NULL without memory. */
struct vectors *vectors_take(struct vectors_store *store) MUST_CHECK;
void vectors_give(struct vectors_store *store, struct vectors *vectors);
void vectors_store_release(struct vectors_store *store);

#endif
