#include "core/timer.h"

#include <errno.h>
#include <string.h>

#include "core/mem.h"

/* A set timer lies in the heap, or, while timers_run has taken it out, among the due: that is a
 * sorted run behind the heap's places, so that what a timer sets cannot fire in the same call. */
enum { CHILDREN = 4, FIRST_CAPACITY = 64, PLACE_SIZE = sizeof(void *) };
#define SLOT_DUE (1u << 31)

void timers_init(struct timers *timers)
{
    *timers = (struct timers){0};
}

void timers_release(struct timers *timers)
{
    mem_free(timers->heap);
    timers_init(timers);
}

static inline bool timer_before(const struct timer *a, const struct timer *b)
{
    return a->at_ns != b->at_ns ? a->at_ns < b->at_ns : a->order < b->order;
}

static inline void heap_place(struct timers *timers, uint32_t index, struct timer *timer)
{
    timers->heap[index] = timer;
    timer->slot = index + 1;
}

static void heap_rise(struct timers *timers, uint32_t index, struct timer *timer)
{
    while (index) {
        uint32_t parent = (index - 1) / CHILDREN;

        if (!timer_before(timer, timers->heap[parent]))
            break;
        heap_place(timers, index, timers->heap[parent]);
        index = parent;
    }
    heap_place(timers, index, timer);
}

/* The earliest child of `index`, or 0 when it has none. */
static uint32_t heap_first_child(const struct timers *timers, uint32_t index)
{
    uint32_t child = index * CHILDREN + 1, best = child, end = child + CHILDREN;

    if (child >= timers->count)
        return 0;
    if (end > timers->count)
        end = timers->count;
    while (++child < end) {
        if (timer_before(timers->heap[child], timers->heap[best]))
            best = child;
    }
    return best;
}

static void heap_sink(struct timers *timers, uint32_t index, struct timer *timer)
{
    uint32_t child;

    while ((child = heap_first_child(timers, index))) {
        if (!timer_before(timers->heap[child], timer))
            break;
        heap_place(timers, index, timers->heap[child]);
        index = child;
    }
    heap_place(timers, index, timer);
}

/* Puts `timer` where one that was earlier or later stood. */
static void heap_settle(struct timers *timers, uint32_t index, struct timer *timer)
{
    if (index && timer_before(timer, timers->heap[(index - 1) / CHILDREN]))
        heap_rise(timers, index, timer);
    else
        heap_sink(timers, index, timer);
}

static void heap_remove(struct timers *timers, struct timer *timer)
{
    uint32_t index = timer->slot - 1;
    struct timer *last = timers->heap[--timers->count];

    timer->slot = 0;
    if (last != timer)
        heap_settle(timers, index, last);
}

static void due_remove(struct timers *timers, struct timer *timer)
{
    timers->heap[timers->capacity + (timer->slot & ~SLOT_DUE) - 1] = NULL;
    timers->due_left--;
    timer->slot = 0;
}

static int timers_grow(struct timers *timers)
{
    uint32_t capacity = timers->capacity ? timers->capacity * 2 : FIRST_CAPACITY;
    struct timer **heap;

    if (capacity >= SLOT_DUE)
        return -ENOMEM;
    heap = mem_resize(timers->heap, (size_t)capacity * 2 * PLACE_SIZE);
    if (!heap)
        return -ENOMEM;
    if (timers->due_count)
        memmove(heap + capacity, heap + timers->capacity, (size_t)timers->due_count * PLACE_SIZE);
    timers->heap = heap;
    timers->capacity = capacity;
    return 0;
}

int timer_set(struct timers *timers, struct timer *timer, uint64_t at_ns)
{
    int rc;

    if (timer->slot && !(timer->slot & SLOT_DUE)) {
        timer->at_ns = at_ns;
        timer->order = timers->order++;
        heap_settle(timers, timer->slot - 1, timer);
        return 0;
    }
    if (timer->slot) {
        due_remove(timers, timer); /* its place in the heap was kept: cannot fail */
    } else if (timers->count + timers->due_left >= timers->capacity) {
        rc = timers_grow(timers);
        if (rc)
            return rc;
    }
    timer->at_ns = at_ns;
    timer->order = timers->order++;
    heap_rise(timers, timers->count++, timer);
    return 0;
}

void timer_stop(struct timers *timers, struct timer *timer)
{
    if (!timer->slot)
        return;
    if (timer->slot & SLOT_DUE)
        due_remove(timers, timer);
    else
        heap_remove(timers, timer);
}

uint64_t timers_next(const struct timers *timers)
{
    return timers->count ? timers->heap[0]->at_ns : UINT64_MAX;
}

static void timers_collect_due(struct timers *timers, uint64_t now_ns)
{
    while (timers->count && timers->heap[0]->at_ns <= now_ns) {
        struct timer *timer = timers->heap[0];

        heap_remove(timers, timer);
        timers->heap[timers->capacity + timers->due_count++] = timer;
        timer->slot = timers->due_count | SLOT_DUE;
    }
    timers->due_left = timers->due_count;
}

void timers_run(struct timers *timers, uint64_t now_ns)
{
    must(!timers->due_count);
    if (timers_next(timers) > now_ns)
        return;
    timers_collect_due(timers, now_ns);
    for (uint32_t i = 0; i < timers->due_count; i++) {
        struct timer *timer = timers->heap[timers->capacity + i];

        if (!timer)
            continue;
        due_remove(timers, timer);
        timer->fired(timer);
    }
    timers->due_count = 0;
}
