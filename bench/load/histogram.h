/* bench/load/histogram.h - counts of durations, log-linear: 32 steps to each doubling, so a value
 * is known to 3 %.  Owner: who embeds it.  Thread: one. */
#ifndef BENCH_LOAD_HISTOGRAM_H
#define BENCH_LOAD_HISTOGRAM_H

#include <stdint.h>

enum { HISTOGRAM_STEPS = 32, HISTOGRAM_DOUBLINGS = 40 };

struct histogram {
    uint64_t count, max_ns;
    uint64_t cells[HISTOGRAM_DOUBLINGS * HISTOGRAM_STEPS];
};

void histogram_add(struct histogram *histogram, uint64_t ns);
/* The duration that `share` (0..1) of all did not exceed; 0 when empty. */
uint64_t histogram_at(const struct histogram *histogram, double share);
/* [[microseconds, count], …] as JSON, without empty cells. */
void histogram_print(const struct histogram *histogram);

#endif
