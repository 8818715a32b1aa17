/* core/ring_probe.h - which accelerators a ring uses, and why a kernel refuses to make one.
 * For ring_uring.c and its tests.  Thread: any. */
#ifndef CORE_RING_PROBE_H
#define CORE_RING_PROBE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What the 6.1 floor does not promise, or what can be done without: one row each in ring_probe.c.
 */
enum accelerator {
    ACCELERATOR_SUBMIT_ALL,   /* a failed request does not stop the ones behind it */
    ACCELERATOR_TASKRUN_FLAG, /* polling sees from user space whether entering would help */
    ACCELERATOR_RING_FD,      /* entering skips the descriptor table */
    ACCELERATOR_NO_IOWAIT,    /* sleeping is not accounted as waiting for a disk */
    ACCELERATOR_COUNT
};

/* Bits of those not named in `without` (comma-separated, or "all"; NULL: none).  A name that no
 * row has is ignored. */
uint32_t accelerators_wanted(const char *without);

/* What io_uring_setup's refusal means and what to do about it.  disabled: the sysctl
 * kernel.io_uring_disabled, -1 when there is none. */
void ring_explain(int error, const char *release, int disabled, char *text, size_t size);
void ring_explain_here(int error, char *text, size_t size); /* for the running kernel */

#endif
