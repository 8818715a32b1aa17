/* core/buf.h - the memory that bytes travel in.
 *
 *   chunk   one counted buffer of a pool (2 KB, 16 KB or 68 KB: enum pool_size)
 *   pool    the chunks of one size of one worker; last in, first out, so that they stay hot
 *   piece   a run of bytes inside a chunk; what streams pass to each other
 *   queue   pieces in order
 *   group   chunks published to the kernel, which fills one per receive (a provided buffer ring)
 *
 * Owner: the worker (pools, groups).  Thread: that worker's.
 * Life: a piece is one small object that owns one reference to its chunk; piece_free gives both
 * back.  Chunks and pieces that come back are kept for the next taker; what a pool did not need for
 * a while goes back to the system (pools_trim).  In debug builds (POOL_GUARD) a chunk's memory is
 * inaccessible while it is in the pool, so that a kernel write into a retired buffer fails with
 * EFAULT instead of corrupting silently; pieces are not kept then, so that ASan sees late uses. */
#ifndef CORE_BUF_H
#define CORE_BUF_H

#include <stdbool.h>
#include <stdint.h>

#include "core/list.h"
#include "core/must.h"

enum pool_size {
    POOL_SMALL,  /* 2 KB: what a quiet stream keeps until it is acknowledged */
    POOL_MEDIUM, /* 16 KB: TCP receives, relayed bytes */
    POOL_LARGE,  /* 68 KB: a whole UDP GRO or GSO batch */
    POOL_COUNT
};

#define POOL_SMALL_SIZE  2048u
#define POOL_MEDIUM_SIZE (16u << 10)
#define POOL_LARGE_SIZE  (68u << 10)

struct pool;
struct chunk {
    uint8_t *data;
    struct pool *pool;
    struct chunk *next; /* while free, in its pool */
    uint32_t size;
    uint32_t references; /* 0 while in the pool */
    uint32_t used;       /* for whoever fills it piece by piece (queue_append) */
};

struct pool_limits {
    uint32_t count[POOL_COUNT]; /* most chunks of each size that may exist */
};

struct pools;
/* NULL without memory.  pools_free must find every chunk returned (a test checks the count). */
struct pools *pools_new(const struct pool_limits *limits) MUST_CHECK;
void pools_free(struct pools **pools);
uint32_t pools_busy(const struct pools *pools, enum pool_size size); /* chunks outside the pool */
uint32_t pools_idle(const struct pools *pools, enum pool_size size); /* chunks kept inside it */
/* Frees half of the idle chunks, above a small reserve, that nobody needed since the last call. The
 * worker calls it once a second while pools_ample; a pool in use also does it every few thousand
 * chunks. */
void pools_trim(struct pools *pools);
bool pools_ample(const struct pools *pools); /* more is idle than the reserve */

/* A chunk with one reference, or NULL when the pool is at its limit or memory is out. */
struct chunk *chunk_take(struct pools *pools, enum pool_size size) MUST_CHECK;
static inline struct chunk *chunk_share(struct chunk *chunk)
{
    chunk->references++;
    return chunk;
}
void chunk_drop(struct chunk *chunk); /* the last reference returns it to its pool */

struct piece {
    struct piece *next;
    struct chunk *chunk;
    uint32_t start, length; /* bytes chunk->data[start .. start + length) */
};

static inline uint8_t *piece_data(const struct piece *piece)
{
    return piece->chunk->data + piece->start;
}
/* Takes one reference to the chunk, on failure too (NULL, chunk dropped). */
struct piece *piece_new(struct chunk *chunk, uint32_t start, uint32_t length) MUST_CHECK;
/* The same bytes, one reference more. */
struct piece *piece_share(const struct piece *piece) MUST_CHECK;
/* At most 16 KB, into the smallest chunk that holds them. */
struct piece *piece_copy(struct pools *pools, const void *data, uint32_t length) MUST_CHECK;
void piece_free(struct piece *piece);

struct queue {
    struct piece *first, *last;
    uint64_t length; /* bytes */
};

static inline void queue_init(struct queue *queue)
{
    *queue = (struct queue){0};
}
static inline bool queue_empty(const struct queue *queue)
{
    return !queue->first;
}
void queue_push(struct queue *queue, struct piece *piece); /* taken */
/* The same, but a small one is copied into the room behind the last one, where the queue is its
 * chunk's only holder: so a peer that sends byte by byte costs no chunk for each.  What the last
 * piece held stays where it is, for a send that may be in flight. */
void queue_pack(struct queue *queue, struct piece *piece); /* taken */
struct piece *queue_pop(struct queue *queue);              /* the caller's; NULL when empty */
void queue_take_all(struct queue *to, struct queue *from);
void queue_skip(struct queue *queue, uint64_t length); /* frees that many bytes off the front */
void queue_clear(struct queue *queue);
/* Copies bytes to the end: into the room left in the last chunk when the queue is its only holder,
 * else into new chunks of that size.  0 or -ENOMEM (nothing added). */
int queue_append(struct queue *queue, struct pools *pools, enum pool_size size, const void *data,
                 uint32_t length) MUST_CHECK;

/* Chunks handed to the kernel for receives.  The ring publishes and takes; see ring.h. */
struct ring;
struct group {
    struct ring *ring;
    struct pools *pools;
    enum pool_size size;
    uint16_t id;          /* buffer group id in the ring */
    uint16_t count;       /* slots, a power of two */
    uint16_t published;   /* chunks now with the kernel */
    struct chunk **slots; /* by buffer id */
    void *driver;         /* the ring driver's own */
    struct list dry;      /* ops that met an empty group: told when it refills (ring.h) */
    struct list link;     /* the ring's, while the group is short of chunks */
};

#endif
