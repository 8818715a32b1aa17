/* core/buf_memory.h - where chunks get their bytes; buf.c's own.
 *
 * Plain: small chunks come from the heap; the others are mapped one by one, so that giving one back
 * gives its pages back to the system whatever lies beside it.
 * POOL_GUARD: all are mapped, and inaccessible between buf_memory_hide and buf_memory_show.
 * Pages are touched by whoever fills them first. */
#ifndef CORE_BUF_MEMORY_H
#define CORE_BUF_MEMORY_H

#include <stdbool.h>
#include <stdint.h>

#include "core/must.h"

uint8_t *buf_memory_new(uint32_t size) MUST_CHECK; /* accessible; NULL: no memory */
void buf_memory_free(uint8_t *data, uint32_t size);

#ifdef POOL_GUARD
enum { PIECES_KEPT = 0 };                                      /* spare pieces per worker */
bool buf_memory_show(uint8_t *data, uint32_t size) MUST_CHECK; /* false: the kernel refused */
bool buf_memory_hide(uint8_t *data, uint32_t size) MUST_CHECK;
#else
enum { PIECES_KEPT = 2048 };
static inline bool buf_memory_show(uint8_t *data, uint32_t size)
{
    return true;
}
static inline bool buf_memory_hide(uint8_t *data, uint32_t size)
{
    return true;
}
#endif

#endif
