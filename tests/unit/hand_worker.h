/* tests/unit/hand_worker.h - a worker without a ring, which the test turns by hand, with a clock of
 * the test's own.  Owner: the test. */
#ifndef TESTS_UNIT_HAND_WORKER_H
#define TESTS_UNIT_HAND_WORKER_H

#include <string.h>

#include "core/option.h"
#include "core/worker.h"

struct hand_worker {
    struct worker worker;
    struct counters counters;
};

static inline void hand_worker_open(struct hand_worker *hand)
{
    struct pool_limits limits = {
        {256, 64, 4}
    };

    memset(hand, 0, sizeof(*hand));
    hand->worker.os = &os_linux;
    hand->worker.counters = &hand->counters;
    hand->worker.pools = pools_new(&limits);
    hand->worker.now_ns = OPTION_SECOND;
    timers_init(&hand->worker.timers);
    list_init(&hand->worker.tasks);
}

static inline void hand_worker_close(struct hand_worker *hand)
{
    timers_release(&hand->worker.timers);
    pools_free(&hand->worker.pools);
}

/* What is due, and what that makes due, some steps far. */
static inline void hand_worker_turn(struct hand_worker *hand)
{
    struct list tasks, *node;

    for (int i = 0; i < 20; i++) {
        timers_run(&hand->worker.timers, hand->worker.now_ns);
        list_init(&tasks);
        list_take_all(&tasks, &hand->worker.tasks);
        while ((node = list_pop(&tasks)))
            container_of(node, struct task, link)->run(container_of(node, struct task, link));
    }
}

/* Time goes by, ten milliseconds at a time. */
static inline void hand_worker_pass(struct hand_worker *hand, uint32_t ms)
{
    for (uint32_t passed = 0; passed < ms; passed += 10) {
        hand->worker.now_ns += 10 * OPTION_MS;
        hand_worker_turn(hand);
    }
}

#endif
