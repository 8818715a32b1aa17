/* core/log_ring.h - finished lines on their way from one thread to another; log.c's own.
 *
 * Owner: the log.  Thread: one puts (the source's), one takes (the log's); neither waits. */
#ifndef CORE_LOG_RING_H
#define CORE_LOG_RING_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/must.h"

enum { LOG_RING_SIZE = 256 << 10 }; /* a power of two */

struct log_ring {
    _Alignas(64) _Atomic uint64_t head; /* bytes ever put, whole lines */
    _Alignas(64) _Atomic uint64_t tail; /* bytes ever taken */
    char bytes[LOG_RING_SIZE];
};

void log_ring_init(struct log_ring *ring);
/* The bytes waiting then, or 0 when there was no room. */
size_t log_ring_put(struct log_ring *ring, const char *line, size_t length) MUST_CHECK;
/* As many whole lines as `size` holds; returns their length. */
size_t log_ring_take(struct log_ring *ring, char *to, size_t size) MUST_CHECK;
/* Either thread.  Ordered (seq_cst) after what the caller stored before, as a put is before what
 * the caller loads after it. */
bool log_ring_empty(struct log_ring *ring);

#endif
