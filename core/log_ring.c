#include "core/log_ring.h"

#include <string.h>

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

void log_ring_init(struct log_ring *ring)
{
    atomic_init(&ring->head, 0);
    atomic_init(&ring->tail, 0);
}

size_t log_ring_put(struct log_ring *ring, const char *line, size_t length)
{
    uint64_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
    size_t waiting = head - atomic_load_explicit(&ring->tail, memory_order_acquire);
    size_t at = head % LOG_RING_SIZE, first = least(length, LOG_RING_SIZE - at);

    if (length > LOG_RING_SIZE - waiting)
        return 0;
    memcpy(ring->bytes + at, line, first);
    memcpy(ring->bytes, line + first, length - first);
    atomic_store(&ring->head, head + length);
    return waiting + length;
}

size_t log_ring_take(struct log_ring *ring, char *to, size_t size)
{
    uint64_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
    size_t waiting = atomic_load_explicit(&ring->head, memory_order_acquire) - tail;
    size_t at = tail % LOG_RING_SIZE, length = least(waiting, size);
    size_t first = least(length, LOG_RING_SIZE - at);

    memcpy(to, ring->bytes + at, first);
    memcpy(to + first, ring->bytes, length - first);
    while (length && to[length - 1] != '\n')
        length--;
    atomic_store_explicit(&ring->tail, tail + length, memory_order_release);
    return length;
}

bool log_ring_empty(struct log_ring *ring)
{
    return atomic_load(&ring->head) == atomic_load(&ring->tail);
}
