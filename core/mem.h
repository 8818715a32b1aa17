/* core/mem.h - every allocation of ours, and of ngtcp2, goes through here, so that a test can
 * fail the n-th one.  Thread: any; the failure switch belongs to single-threaded tests.
 *
 * mem_new returns zeroed memory or NULL; the caller owns it and gives it to mem_free. */
#ifndef CORE_MEM_H
#define CORE_MEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/must.h"

void *mem_new(size_t size) MUST_CHECK;                   /* zeroed */
void *mem_raw(size_t size) MUST_CHECK;                   /* not zeroed */
void *mem_aligned(size_t align, size_t size) MUST_CHECK; /* not zeroed; size a multiple of align */
void *mem_resize(void *old, size_t size) MUST_CHECK;     /* on failure old stays valid */
char *mem_text(const char *text) MUST_CHECK;             /* a copy of a string */
void mem_free(void *memory);                             /* accepts NULL */

/* The allocator keeps what a peak needed.  Whoever counts many things of a kind tells each count;
 * true when it has ebbed to an eighth of a high tide, once: time for mem_trim, soon. */
enum { MEM_TIDE_HIGH = 1024 };
struct mem_tide {
    uint32_t high; /* the most since the last turn */
};
bool mem_tide_turns(struct mem_tide *tide, uint32_t count);
void mem_trim(void); /* free memory goes back to the system; may take a millisecond or two */

/* Tests only: the n-th allocation from now (1 is the next) fails once; 0 turns this off. */
void mem_fail_at(uint64_t n);
bool mem_failed(void);  /* whether that failure was met */
int64_t mem_live(void); /* blocks not yet freed, counted only after mem_count(true) */
void mem_count(bool on);

#endif
