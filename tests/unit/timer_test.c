#include "core/timer.h"

#include <errno.h>
#include <string.h>

#include "core/mem.h"
#include "tests/unit/test.h"

enum { FIRED_MAX = 100000 };
static struct {
    struct timer *timers[FIRED_MAX];
    uint32_t count;
} fired;
static struct timers timers;

static void note(struct timer *timer)
{
    fired.timers[fired.count++] = timer;
}

static void begin(void)
{
    timers_init(&timers);
    fired.count = 0;
}

TEST(timers_fire_in_order_of_deadline_and_equal_ones_as_they_were_set)
{
    struct timer timer[5];
    const uint64_t at[5] = {30, 10, 20, 10, 30};
    const int order[5] = {1, 3, 2, 0, 4};

    begin();
    for (int i = 0; i < 5; i++) {
        timer_init(&timer[i], note);
        check(!timer_is_set(&timer[i]));
        check(timer_set(&timers, &timer[i], at[i]) == 0);
        check(timer_is_set(&timer[i]));
    }
    check(timers_next(&timers) == 10);
    timers_run(&timers, 9);
    check(fired.count == 0);
    timers_run(&timers, 30);
    check(fired.count == 5);
    for (int i = 0; i < 5; i++) {
        check(fired.timers[i] == &timer[order[i]]);
        check(!timer_is_set(&timer[i]));
    }
    check(timers_next(&timers) == UINT64_MAX);
    timers_release(&timers);
}

TEST(a_timer_set_again_moves_behind_its_equals)
{
    struct timer a, b;

    begin();
    timer_init(&a, note);
    timer_init(&b, note);
    check(timer_set(&timers, &a, 5) == 0 && timer_set(&timers, &b, 5) == 0);
    check(timer_set(&timers, &a, 5) == 0);
    timers_run(&timers, 5);
    check(fired.count == 2 && fired.timers[0] == &b && fired.timers[1] == &a);
    timers_release(&timers);
}

TEST(a_stopped_timer_does_not_fire_and_stopping_twice_is_once)
{
    struct timer timer;

    begin();
    timer_init(&timer, note);
    timer_stop(&timers, &timer);
    check(timer_set(&timers, &timer, 5) == 0);
    timer_stop(&timers, &timer);
    timer_stop(&timers, &timer);
    timers_run(&timers, 100);
    check(fired.count == 0);
    timers_release(&timers);
}

static struct timer one, two;

static void set_again_overdue(struct timer *timer)
{
    note(timer);
    if (timer_set(&timers, timer, 0))
        fired.count = FIRED_MAX;
}

TEST(a_timer_that_sets_itself_overdue_fires_at_the_next_run)
{
    begin();
    timer_init(&one, set_again_overdue);
    timer_init(&two, note);
    check(timer_set(&timers, &one, 1) == 0 && timer_set(&timers, &two, 2) == 0);
    timers_run(&timers, 2);
    check(fired.count == 2 && fired.timers[1] == &two);
    timers_run(&timers, 2);
    check(fired.count == 3 && fired.timers[2] == &one);
    timer_stop(&timers, &one);
    timers_release(&timers);
}

static void stop_other(struct timer *timer)
{
    note(timer);
    timer_stop(&timers, timer == &one ? &two : &one);
}

TEST(a_timer_stopped_by_another_in_the_same_run_does_not_fire)
{
    begin();
    timer_init(&one, stop_other);
    timer_init(&two, stop_other);
    check(timer_set(&timers, &one, 1) == 0 && timer_set(&timers, &two, 2) == 0);
    timers_run(&timers, 5);
    check(fired.count == 1 && fired.timers[0] == &one && !timer_is_set(&two));
    timers_release(&timers);
}

static struct timer crowd[300];

static void set_crowd_and_move_two(struct timer *timer)
{
    note(timer);
    for (int i = 0; i < 300; i++) {
        timer_init(&crowd[i], note);
        if (timer_set(&timers, &crowd[i], 0))
            fired.count = FIRED_MAX;
    }
    mem_fail_at(1); /* `two` is set: moving it may not need memory */
    if (timer_set(&timers, &two, 50))
        fired.count = FIRED_MAX;
    mem_fail_at(0);
}

TEST(the_heap_may_grow_while_timers_fire)
{
    static struct timer three;

    begin();
    timer_init(&one, set_crowd_and_move_two);
    timer_init(&two, note);
    timer_init(&three, note);
    check(timer_set(&timers, &one, 1) == 0 && timer_set(&timers, &two, 2) == 0);
    check(timer_set(&timers, &three, 3) == 0);
    timers_run(&timers, 5);
    check(fired.count == 2 && fired.timers[1] == &three);
    check(timer_is_set(&two) && timers_next(&timers) == 0);
    timers_run(&timers, 5);
    check(fired.count == 302);
    timers_run(&timers, 50);
    check(fired.count == 303 && fired.timers[302] == &two);
    timers_release(&timers);
}

TEST(setting_a_timer_without_memory_says_so_and_leaves_it_unset)
{
    struct timer timer;

    begin();
    timer_init(&timer, note);
    mem_fail_at(1);
    check(timer_set(&timers, &timer, 5) == -ENOMEM);
    mem_fail_at(0);
    check(!timer_is_set(&timer) && timers_next(&timers) == UINT64_MAX);
    timers_release(&timers);
}

/* ---- against a model: an array searched for the least (deadline, order) ---- */

enum { MODEL_COUNT = 200 };
static struct model_timer {
    struct timer timer;
    bool set;
    uint64_t at, order;
} models[MODEL_COUNT];
static uint64_t model_order, model_run_order, model_now, model_seed;
static bool model_agrees, model_running;

static uint32_t model_random(uint32_t below)
{
    model_seed = model_seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((model_seed >> 33) * below >> 31);
}

static struct model_timer *model_first(void)
{
    struct model_timer *first = NULL;

    for (int i = 0; i < MODEL_COUNT; i++) {
        struct model_timer *model = &models[i];

        if (!model->set || (model_running && model->order >= model_run_order))
            continue;
        if (!first || model->at < first->at ||
            (model->at == first->at && model->order < first->order))
            first = model;
    }
    return first;
}

static void model_act(void)
{
    struct model_timer *model = &models[model_random(MODEL_COUNT)];

    if (model_random(3) == 0) {
        timer_stop(&timers, &model->timer);
        model->set = false;
        return;
    }
    model->at = model_now + model_random(60) - (model_now > 10 ? 10 : model_now);
    model->order = model_order++;
    model->set = true;
    model_agrees &= timer_set(&timers, &model->timer, model->at) == 0;
}

static void model_fired(struct timer *timer)
{
    struct model_timer *model = container_of(timer, struct model_timer, timer);

    model_agrees &= model == model_first() && model->at <= model_now && !timer_is_set(timer);
    model->set = false;
    for (uint32_t count = model_random(4); count; count--)
        model_act();
}

static void model_step(void)
{
    struct model_timer *first;

    for (uint32_t count = model_random(10); count; count--)
        model_act();
    first = model_first();
    model_agrees &= timers_next(&timers) == (first ? first->at : UINT64_MAX);
    model_now += model_random(20);
    model_run_order = model_order;
    model_running = true;
    timers_run(&timers, model_now);
    first = model_first(); /* of those set before the run */
    model_agrees &= !first || first->at > model_now;
    model_running = false;
}

TEST(the_heap_agrees_with_a_searched_array)
{
    for (uint32_t seed = 1; seed <= 40; seed++) {
        begin();
        memset(models, 0, sizeof(models));
        for (int i = 0; i < MODEL_COUNT; i++)
            timer_init(&models[i].timer, model_fired);
        model_order = model_now = 0;
        model_seed = seed;
        model_agrees = true;
        for (int i = 0; i < 1000 && model_agrees; i++)
            model_step();
        check(model_agrees);
        for (int i = 0; i < MODEL_COUNT; i++)
            check(timer_is_set(&models[i].timer) == models[i].set);
        timers_release(&timers);
    }
}
