#include "core/worker.h"

#include <pthread.h>
#include <sched.h>

#include "core/mem.h"
#include "tests/unit/real_worker.h"

struct note {
    struct mail mail;
    struct real_worker *real;
    int *order, count;
};

static void note_read(struct mail *mail)
{
    struct note *note = container_of(mail, struct note, mail);

    note->count = ++*note->order;
}

struct postman {
    struct real_worker *real;
    struct note notes[3];
};

/* Waits for the worker to be asleep, so that it is the event that wakes it. */
static void *postman_run(void *argument)
{
    struct postman *postman = argument;

    while (!atomic_load(&postman->real->worker.asleep))
        sched_yield();
    for (int i = 0; i < 3; i++)
        worker_post(&postman->real->worker, &postman->notes[i].mail);
    return NULL;
}

BOTH(mail_from_another_thread_wakes_a_sleeping_worker_and_is_read_in_order)
{
    struct real_worker real;
    struct postman postman = {.real = &real};
    pthread_t thread;
    int order = 0;

    check(real_worker_open(&real, without));
    for (int i = 0; i < 3; i++) {
        postman.notes[i].mail.run = note_read;
        postman.notes[i].order = &order;
    }
    check(pthread_create(&thread, NULL, postman_run, &postman) == 0);
    check(turn_until(&real, order == 3));
    pthread_join(thread, NULL);
    for (int i = 0; i < 3; i++)
        check(postman.notes[i].count == i + 1);
    worker_release(&real.worker);
}

static void *flood(void *argument)
{
    struct postman *postman = argument;

    for (int i = 0; i < 3; i++)
        worker_post(&postman->real->worker, &postman->notes[i].mail);
    return NULL;
}

TEST(no_mail_is_lost_while_worker_and_senders_race)
{
    enum { SENDERS = 8, ROUNDS = 50 };
    static struct postman postmen[SENDERS];
    pthread_t threads[SENDERS];
    struct real_worker real;

    check(real_worker_open(&real, NULL));
    for (int round = 0; round < ROUNDS; round++) {
        int order = 0;

        for (int i = 0; i < SENDERS; i++) {
            postmen[i].real = &real;
            for (int j = 0; j < 3; j++)
                postmen[i].notes[j] = (struct note){.mail.run = note_read, .order = &order};
            check(pthread_create(&threads[i], NULL, flood, &postmen[i]) == 0);
        }
        check(turn_until(&real, order == SENDERS * 3));
        for (int i = 0; i < SENDERS; i++)
            pthread_join(threads[i], NULL);
    }
    worker_release(&real.worker);
}

struct again {
    struct task task;
    struct worker *worker;
    int runs;
};

static void again_run(struct task *task)
{
    struct again *again = container_of(task, struct again, task);

    if (++again->runs == 1)
        worker_defer(again->worker, task);
}

TEST(a_task_that_asks_again_runs_in_the_next_turn_which_does_not_sleep)
{
    struct again again = {0};
    struct real_worker real;

    check(real_worker_open(&real, NULL));
    again.worker = &real.worker;
    task_init(&again.task, again_run);
    worker_defer(&real.worker, &again.task);
    worker_defer(&real.worker, &again.task);
    check(worker_turn(&real.worker, UINT64_MAX) == 0);
    check(again.runs == 1);
    check(worker_turn(&real.worker, UINT64_MAX) == 0);
    check(again.runs == 2);
    worker_release(&real.worker);
}

BOTH(a_task_that_was_postponed_runs_soon_or_not_at_all_once_cancelled)
{
    struct again kept = {0}, cancelled = {0};
    struct real_worker real;
    uint64_t asked_ns;

    check(real_worker_open(&real, without));
    kept.worker = cancelled.worker = &real.worker;
    task_init(&kept.task, again_run);
    task_init(&cancelled.task, again_run);
    asked_ns = real.worker.now_ns;
    worker_postpone(&real.worker, &cancelled.task);
    worker_postpone(&real.worker, &kept.task);
    worker_postpone(&real.worker, &kept.task);
    task_cancel(&cancelled.task);
    while (!kept.runs)
        check(worker_turn(&real.worker, UINT64_MAX) == 0);
    check(real.worker.now_ns - asked_ns >= 10000000);
    check(worker_turn(&real.worker, UINT64_MAX) == 0);
    check(kept.runs == 2 && cancelled.runs == 0);
    worker_release(&real.worker);
}

struct alarm {
    struct timer timer;
    struct worker *worker;
    uint64_t fired_ns;
};

static void alarm_fired(struct timer *timer)
{
    struct alarm *alarm = container_of(timer, struct alarm, timer);

    alarm->fired_ns = alarm->worker->now_ns;
}

BOTH(a_timer_ends_the_sleep_and_not_too_early)
{
    struct alarm alarm = {0};
    struct real_worker real;
    uint64_t at_ns;

    check(real_worker_open(&real, without));
    alarm.worker = &real.worker;
    timer_init(&alarm.timer, alarm_fired);
    at_ns = real.worker.now_ns + 20000000;
    check(timer_set(&real.worker.timers, &alarm.timer, at_ns) == 0);
    check(turn_until(&real, alarm.fired_ns));
    check(alarm.fired_ns >= at_ns);
    worker_release(&real.worker);
}

struct stopper {
    struct op op;
    struct worker *worker;
    uint64_t seen_ns;
};

static void stopper_done(struct op *op, struct op_result result)
{
    struct stopper *stopper = container_of(op, struct stopper, op);

    stopper->seen_ns = stopper->worker->now_ns;
    worker_stop(stopper->worker);
}

static void *poke_when_asleep(void *argument)
{
    struct stopper *stopper = argument;

    while (!atomic_load(&stopper->worker->asleep))
        sched_yield();
    os_linux.event_ring(&os_linux, stopper->op.fd);
    return NULL;
}

BOTH(completions_see_the_time_at_which_the_worker_woke)
{
    struct stopper stopper = {0};
    struct real_worker real;
    pthread_t thread;
    uint64_t value, began_ns;
    int event = os_linux.event(&os_linux);

    check(real_worker_open(&real, without));
    stopper.worker = &real.worker;
    op_init(&stopper.op, stopper_done);
    ring_read(real.worker.ring, &stopper.op, event, &value, sizeof(value));
    began_ns = real.worker.now_ns;
    check(pthread_create(&thread, NULL, poke_when_asleep, &stopper) == 0);
    check(worker_run(&real.worker) == 0);
    pthread_join(thread, NULL);
    check(stopper.seen_ns > began_ns && stopper.seen_ns == real.worker.now_ns);
    close(event);
    worker_release(&real.worker);
}

TEST(a_worker_that_spins_still_sleeps_and_wakes)
{
    struct alarm alarm = {0};
    struct real_worker real;

    check(real_worker_open(&real, NULL));
    real.worker.spin_ns = 50000;
    alarm.worker = &real.worker;
    timer_init(&alarm.timer, alarm_fired);
    check(timer_set(&real.worker.timers, &alarm.timer, real.worker.now_ns + 5000000) == 0);
    check(turn_until(&real, alarm.fired_ns));
    worker_release(&real.worker);
}

/* A kernel in which somebody else has the core for a while whenever it is yielded. */
struct crowd {
    struct os os;
    uint64_t others_ns;
    unsigned yields;
};

static void crowd_yield(struct os *os)
{
    struct crowd *crowd = container_of(os, struct crowd, os);
    uint64_t until_ns = os_linux.clock_ns(&os_linux) + crowd->others_ns;

    crowd->yields++;
    while (os_linux.clock_ns(&os_linux) < until_ns)
        ;
}

static unsigned crowd_yields(struct real_worker *real, uint64_t others_ns)
{
    struct crowd crowd = {.os = os_linux, .others_ns = others_ns};

    crowd.os.yield = crowd_yield;
    real->worker.os = &crowd.os;
    for (int i = 0; i < 5; i++) {
        real->worker.active_ns = os_linux.clock_ns(&os_linux);
        must(worker_turn(&real->worker, real->worker.active_ns + 2000000) == 0);
    }
    real->worker.os = &os_linux;
    return crowd.yields;
}

TEST(a_worker_whose_core_others_want_does_not_spin_for_a_while)
{
    struct real_worker real;
    uint64_t began_ns;

    check(real_worker_open(&real, NULL));
    real.worker.spin_ns = 50000;
    began_ns = os_linux.clock_ns(&os_linux);
    check(crowd_yields(&real, 3000000) > 0); /* a slice of the scheduler */
    check(real.worker.spin_again_ns > began_ns + 3000000);
    real.worker.spin_again_ns = UINT64_MAX;
    check(crowd_yields(&real, 0) == 0);
    real.worker.spin_again_ns = began_ns;
    check(crowd_yields(&real, 0) > 0);
    worker_release(&real.worker);
}

TEST(opening_a_worker_survives_any_failed_allocation)
{
    struct real_worker real;

    for (unsigned n = 1;; n++) {
        bool opened;

        mem_count(true);
        mem_fail_at(n);
        opened = real_worker_open(&real, NULL);
        if (opened)
            worker_release(&real.worker);
        check(mem_live() == 0);
        if (!mem_failed())
            break;
    }
    mem_fail_at(0);
    mem_count(false);
}

TEST(an_idle_worker_gives_back_chunks_that_it_no_longer_needs)
{
    struct real_worker real;
    struct chunk *chunks[500];

    check(real_worker_open(&real, NULL));
    for (int i = 0; i < 500; i++) {
        chunks[i] = chunk_take(real.worker.pools, POOL_SMALL);
        check(chunks[i]);
    }
    for (int i = 0; i < 500; i++)
        chunk_drop(chunks[i]);
    turn_some(&real); /* the end of a turn is where it is noticed */
    check(turn_until(&real, pools_idle(real.worker.pools, POOL_SMALL) < 500));
    worker_release(&real.worker);
}
