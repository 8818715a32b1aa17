/* bench/stage/memory_ring.h - a ring driver and a struct os without a kernel: two UDP sockets in
 * one process whose datagrams cross at once, whole GSO batches as the loopback carries them.
 * Nothing is lost, the clock is counted, randomness is a sequence: the same run costs the same
 * instructions.
 *
 * Owner: the stage; one in a process.  Thread: one. */
#ifndef BENCH_STAGE_MEMORY_RING_H
#define BENCH_STAGE_MEMORY_RING_H

#include "core/os.h"
#include "core/ring.h"

extern struct os os_memory;

/* NULL without memory. */
struct ring *memory_ring_open(void) MUST_CHECK;

#endif
