/* core/timer.h - timers of one worker, a 4-ary heap by deadline.
 * Owner of a timer: whoever embeds it; it must be stopped before that memory goes.  Thread: the
 * worker's.  Timers fire in order of deadline, equal ones in the order they were set. */
#ifndef CORE_TIMER_H
#define CORE_TIMER_H

#include <stdbool.h>
#include <stdint.h>

#include "core/must.h"

struct timer;
typedef void timer_fn(struct timer *timer);
struct timer {
    timer_fn *fired;
    uint64_t at_ns;
    uint64_t order;
    uint32_t slot; /* 1-based place in the heap or among the due; 0 when not set */
};
struct timers {
    struct timer **heap; /* `capacity` places, then as many for the due */
    uint32_t count, capacity;
    uint32_t due_count, due_left; /* taken out by timers_run, and those not yet fired or stopped */
    uint64_t order;
};

void timers_init(struct timers *timers);
void timers_release(struct timers *timers);
static inline void timer_init(struct timer *timer, timer_fn *fired)
{
    *timer = (struct timer){.fired = fired};
}
static inline bool timer_is_set(const struct timer *timer)
{
    return timer->slot != 0;
}
/* Sets or moves it.  0 or -ENOMEM (only when it was not set before). */
int timer_set(struct timers *timers, struct timer *timer, uint64_t at_ns) MUST_CHECK;
void timer_stop(struct timers *timers, struct timer *timer); /* no-op when not set */
uint64_t timers_next(const struct timers *timers);           /* UINT64_MAX: none */
/* Fires all that are due at now_ns; a timer may set or stop any timer meanwhile; one set to a time
 * that is already due fires at the next call.  Not to be called from a timer. */
void timers_run(struct timers *timers, uint64_t now_ns);

#endif
