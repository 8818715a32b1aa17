#include "core/buf.h"

#include <errno.h>
#include <string.h>

#include "core/buf_memory.h"
#include "core/mem.h"

/* Chunks returned between two looks at how many were never needed: about 128 MB of medium ones. */
enum { TRIM_EVERY = 8192 };
enum { PACK_MAX = 1024 }; /* longer ones are half of a small chunk at least */

static const uint32_t pool_bytes[POOL_COUNT] = {
    [POOL_SMALL] = POOL_SMALL_SIZE,
    [POOL_MEDIUM] = POOL_MEDIUM_SIZE,
    [POOL_LARGE] = POOL_LARGE_SIZE,
};
/* Idle chunks worth keeping for ever: as much of each size as stays in the L2 cache. */
static const uint32_t pool_reserve[POOL_COUNT] = {
    [POOL_SMALL] = 64,
    [POOL_MEDIUM] = 64,
    [POOL_LARGE] = 8,
};

struct pool {
    struct chunk *free;
    uint32_t idle;        /* on `free` */
    uint32_t idle_lowest; /* since the last trim: so many were not needed */
    uint32_t count;       /* chunks that exist */
    uint32_t returned;    /* since the last trim */
    uint32_t limit, size, reserve;
    struct pools *pools;
};

struct pools {
    struct pool pool[POOL_COUNT];
    struct piece *spare;
    uint32_t spare_count;
};

/* ---- chunks ---- */

static struct chunk *pool_grow(struct pool *pool)
{
    struct chunk *chunk;

    if (pool->count >= pool->limit)
        return NULL;
    chunk = mem_new(sizeof(*chunk));
    if (!chunk)
        return NULL;
    chunk->data = buf_memory_new(pool->size);
    if (!chunk->data) {
        mem_free(chunk);
        return NULL;
    }
    chunk->pool = pool;
    chunk->size = pool->size;
    pool->count++;
    return chunk;
}

static void pool_destroy(struct pool *pool, struct chunk *chunk)
{
    pool->count--;
    buf_memory_free(chunk->data, chunk->size);
    mem_free(chunk);
}

static struct chunk *pool_pop(struct pool *pool)
{
    struct chunk *chunk = pool->free;

    pool->free = chunk->next;
    pool->idle--;
    if (pool->idle < pool->idle_lowest)
        pool->idle_lowest = pool->idle;
    return chunk;
}

static void pool_trim(struct pool *pool)
{
    uint32_t unneeded = pool->idle_lowest;

    if (unneeded > pool->reserve) {
        for (uint32_t count = (unneeded - pool->reserve + 1) / 2; count; count--)
            pool_destroy(pool, pool_pop(pool));
    }
    pool->idle_lowest = pool->idle;
    pool->returned = 0;
}

static void pool_put(struct pool *pool, struct chunk *chunk)
{
    if (!buf_memory_hide(chunk->data, chunk->size)) {
        pool_destroy(pool, chunk);
        return;
    }
    chunk->next = pool->free;
    pool->free = chunk;
    pool->idle++;
    if (++pool->returned >= TRIM_EVERY)
        pool_trim(pool);
}

struct chunk *chunk_take(struct pools *pools, enum pool_size size)
{
    struct pool *pool = &pools->pool[size];
    struct chunk *chunk;

    if (!pool->free) {
        chunk = pool_grow(pool);
        if (!chunk)
            return NULL;
    } else {
        chunk = pool_pop(pool);
        if (!buf_memory_show(chunk->data, chunk->size)) {
            pool_destroy(pool, chunk);
            return NULL;
        }
    }
    chunk->references = 1;
    chunk->used = 0;
    return chunk;
}

void chunk_drop(struct chunk *chunk)
{
    must(chunk->references > 0);
    if (--chunk->references == 0)
        pool_put(chunk->pool, chunk);
}

/* ---- pools ---- */

struct pools *pools_new(const struct pool_limits *limits)
{
    struct pools *pools = mem_new(sizeof(*pools));

    if (!pools)
        return NULL;
    for (int i = 0; i < POOL_COUNT; i++) {
        pools->pool[i].pools = pools;
        pools->pool[i].limit = limits->count[i];
        pools->pool[i].size = pool_bytes[i];
        pools->pool[i].reserve = pool_reserve[i];
    }
    return pools;
}

void pools_free(struct pools **pools)
{
    struct pools *old = *pools;
    struct piece *piece;

    if (!old)
        return;
    for (int i = 0; i < POOL_COUNT; i++) {
        must(pools_busy(old, i) == 0);
        while (old->pool[i].free)
            pool_destroy(&old->pool[i], pool_pop(&old->pool[i]));
    }
    while ((piece = old->spare)) {
        old->spare = piece->next;
        mem_free(piece);
    }
    mem_free(old);
    *pools = NULL;
}

uint32_t pools_busy(const struct pools *pools, enum pool_size size)
{
    return pools->pool[size].count - pools->pool[size].idle;
}

uint32_t pools_idle(const struct pools *pools, enum pool_size size)
{
    return pools->pool[size].idle;
}

bool pools_ample(const struct pools *pools)
{
    for (int i = 0; i < POOL_COUNT; i++) {
        if (pools->pool[i].idle > pools->pool[i].reserve)
            return true;
    }
    return false;
}

void pools_trim(struct pools *pools)
{
    for (int i = 0; i < POOL_COUNT; i++)
        pool_trim(&pools->pool[i]);
}

/* ---- pieces ---- */

struct piece *piece_new(struct chunk *chunk, uint32_t start, uint32_t length)
{
    struct pools *pools = chunk->pool->pools;
    struct piece *piece = pools->spare;

    if (piece) {
        pools->spare = piece->next;
        pools->spare_count--;
    } else {
        piece = mem_raw(sizeof(*piece));
        if (!piece) {
            chunk_drop(chunk);
            return NULL;
        }
    }
    piece->next = NULL;
    piece->chunk = chunk;
    piece->start = start;
    piece->length = length;
    return piece;
}

struct piece *piece_share(const struct piece *piece)
{
    return piece_new(chunk_share(piece->chunk), piece->start, piece->length);
}

struct piece *piece_copy(struct pools *pools, const void *data, uint32_t length)
{
    struct chunk *chunk;

    must(length <= POOL_MEDIUM_SIZE);
    chunk = chunk_take(pools, length <= POOL_SMALL_SIZE ? POOL_SMALL : POOL_MEDIUM);
    if (!chunk)
        return NULL;
    memcpy(chunk->data, data, length);
    chunk->used = length;
    return piece_new(chunk, 0, length);
}

void piece_free(struct piece *piece)
{
    struct pools *pools = piece->chunk->pool->pools;

    chunk_drop(piece->chunk);
    if (pools->spare_count == PIECES_KEPT) {
        mem_free(piece);
        return;
    }
    piece->next = pools->spare;
    pools->spare = piece;
    pools->spare_count++;
}

/* ---- queues ---- */

void queue_push(struct queue *queue, struct piece *piece)
{
    piece->next = NULL;
    if (queue->last)
        queue->last->next = piece;
    else
        queue->first = piece;
    queue->last = piece;
    queue->length += piece->length;
}

struct piece *queue_pop(struct queue *queue)
{
    struct piece *piece = queue->first;

    if (!piece)
        return NULL;
    queue->first = piece->next;
    if (!queue->first)
        queue->last = NULL;
    queue->length -= piece->length;
    piece->next = NULL;
    return piece;
}

void queue_take_all(struct queue *to, struct queue *from)
{
    if (!from->first)
        return;
    if (to->last)
        to->last->next = from->first;
    else
        to->first = from->first;
    to->last = from->last;
    to->length += from->length;
    queue_init(from);
}

void queue_skip(struct queue *queue, uint64_t length)
{
    struct piece *first;

    must(length <= queue->length);
    while ((first = queue->first) && first->length <= length) {
        length -= first->length;
        piece_free(queue_pop(queue));
    }
    if (!first)
        return;
    first->start += (uint32_t)length;
    first->length -= (uint32_t)length;
    queue->length -= length;
}

void queue_clear(struct queue *queue)
{
    struct piece *piece;

    while ((piece = queue_pop(queue)))
        piece_free(piece);
}

static uint32_t queue_tail_room(const struct queue *queue)
{
    const struct piece *last = queue->last;

    if (!last || last->chunk->references != 1)
        return 0;
    return last->chunk->size - last->start - last->length;
}

static void queue_fill_tail(struct queue *queue, const uint8_t *data, uint32_t length)
{
    struct piece *last = queue->last;

    memcpy(piece_data(last) + last->length, data, length);
    last->length += length;
    last->chunk->used = last->start + last->length;
    queue->length += length;
}

void queue_pack(struct queue *queue, struct piece *piece)
{
    uint32_t room = queue_tail_room(queue);

    if (!room || piece->length > room || piece->length > PACK_MAX) {
        queue_push(queue, piece);
        return;
    }
    queue_fill_tail(queue, piece_data(piece), piece->length);
    piece_free(piece);
}

/* Copies into new chunks; all or nothing. */
static int queue_fill_new(struct queue *queue, struct pools *pools, enum pool_size size,
                          const uint8_t *data, uint32_t length)
{
    while (length) {
        struct chunk *chunk = chunk_take(pools, size);
        struct piece *piece = chunk ? piece_new(chunk, 0, 0) : NULL;
        uint32_t part = length < pool_bytes[size] ? length : pool_bytes[size];

        if (!piece) {
            queue_clear(queue);
            return -ENOMEM;
        }
        queue_push(queue, piece);
        queue_fill_tail(queue, data, part);
        data += part;
        length -= part;
    }
    return 0;
}

int queue_append(struct queue *queue, struct pools *pools, enum pool_size size, const void *data,
                 uint32_t length)
{
    uint32_t room = queue_tail_room(queue);
    struct queue more;
    int rc;

    if (length <= room) {
        if (length)
            queue_fill_tail(queue, data, length);
        return 0;
    }
    queue_init(&more);
    rc = queue_fill_new(&more, pools, size, (const uint8_t *)data + room, length - room);
    if (rc)
        return rc;
    if (room)
        queue_fill_tail(queue, data, room);
    queue_take_all(queue, &more);
    return 0;
}
