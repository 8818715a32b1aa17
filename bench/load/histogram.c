#include "bench/load/histogram.h"

#include <stdbool.h>
#include <stdio.h>

enum { CELLS = HISTOGRAM_DOUBLINGS * HISTOGRAM_STEPS, STEP_BITS = 5 };

/* Values below the first doubling of steps are their own cell. */
static uint32_t cell_of(uint64_t ns)
{
    uint32_t shift, cell;

    if (ns < HISTOGRAM_STEPS)
        return (uint32_t)ns;
    shift = 63u - STEP_BITS - (uint32_t)__builtin_clzll(ns);
    cell = (shift + 1) * HISTOGRAM_STEPS + (uint32_t)((ns >> shift) - HISTOGRAM_STEPS);
    return cell < CELLS ? cell : CELLS - 1;
}

static uint64_t upper_of(uint32_t cell)
{
    uint32_t shift = cell / HISTOGRAM_STEPS;

    if (!shift)
        return cell;
    return ((uint64_t)(cell % HISTOGRAM_STEPS + HISTOGRAM_STEPS + 1) << (shift - 1)) - 1;
}

void histogram_add(struct histogram *histogram, uint64_t ns)
{
    histogram->cells[cell_of(ns)]++;
    histogram->count++;
    if (ns > histogram->max_ns)
        histogram->max_ns = ns;
}

uint64_t histogram_at(const struct histogram *histogram, double share)
{
    uint64_t wanted = (uint64_t)((double)histogram->count * share + 0.5), passed = 0;

    for (uint32_t cell = 0; cell < CELLS; cell++) {
        passed += histogram->cells[cell];
        if (passed && passed >= wanted)
            return upper_of(cell) < histogram->max_ns ? upper_of(cell) : histogram->max_ns;
    }
    return 0;
}

void histogram_print(const struct histogram *histogram)
{
    bool first = true;

    putchar('[');
    for (uint32_t cell = 0; cell < CELLS; cell++) {
        if (!histogram->cells[cell])
            continue;
        printf("%s[%.2f, %llu]", first ? "" : ", ", (double)upper_of(cell) / 1e3,
               (unsigned long long)histogram->cells[cell]);
        first = false;
    }
    putchar(']');
}
