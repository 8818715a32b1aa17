#include "core/worker.h"

#include <errno.h>

#include "core/mem.h"
#include "core/snapshot.h"

enum {
    TCP_CHUNKS = 64, /* published for receives; few enough to stay in the second-level cache */
    UDP_CHUNKS = 16,
    SPIN_WINDOW_NS = 1000000, /* spinning pays only when something happened this lately */
    SPIN_LOST_NS = 1500000,   /* a poll that took so long gave the core away */
    SPIN_REST_NS = 100000000, /* and then others are to have it */
    TRIM_NS = 1000000000,     /* between two looks at what the pools keep for nothing */
    POSTPONE_NS = 10000000,   /* at the least; twice that at the most */
};

static void worker_woke(void *context)
{
    struct worker *worker = context;

    snapshot_wake(); /* completions may read anything */
    worker->now_ns = worker->os->clock_ns(worker->os);
}

static void worker_rang(struct op *op, struct op_result result)
{
    struct worker *worker = container_of(op, struct worker, event_op);

    if (result.final && result.res != -ECANCELED)
        ring_read(worker->ring, op, worker->event_fd, &worker->event_value,
                  sizeof(worker->event_value));
}

static void worker_trim(struct timer *timer)
{
    struct worker *worker = container_of(timer, struct worker, trim_timer);

    pools_trim(worker->pools);
    pipes_trim(&worker->pipes);
    if (worker->ebbed)
        mem_trim();
    worker->ebbed = false;
}

/* Without memory for the timer the next turn tries again. */
static void worker_trim_later(struct worker *worker)
{
    int rc = 0;

    if (!timer_is_set(&worker->trim_timer) &&
        (pools_ample(worker->pools) || worker->pipes.kept || worker->ebbed))
        rc = timer_set(&worker->timers, &worker->trim_timer, worker->now_ns + TRIM_NS);
    must(!rc || rc == -ENOMEM);
}

static void worker_run_postponed(struct timer *timer)
{
    struct worker *worker = container_of(timer, struct worker, postponed_timer);

    list_take_all(&worker->tasks, &worker->ripening);
    list_take_all(&worker->ripening, &worker->postponed);
    if (!list_empty(&worker->ripening) &&
        timer_set(&worker->timers, timer, worker->now_ns + POSTPONE_NS))
        list_take_all(&worker->tasks, &worker->ripening); /* no memory for the timer */
}

static int worker_open_groups(struct worker *worker)
{
    int rc =
        ring_group_open(worker->ring, &worker->tcp_group, worker->pools, POOL_MEDIUM, TCP_CHUNKS);

    if (rc)
        return rc;
    rc = ring_group_open(worker->ring, &worker->udp_group, worker->pools, POOL_LARGE, UDP_CHUNKS);
    if (rc)
        ring_group_close(worker->ring, &worker->tcp_group);
    return rc;
}

static void worker_set(struct worker *worker, const struct worker_options *options)
{
    *worker = (struct worker){
        .os = options->os,
        .ring = options->ring,
        .counters = options->counters,
        .log = options->log,
        .access = options->access,
        .resolver = options->resolver,
        .index = options->index,
        .spin_ns = options->spin_ns,
        .now_ns = options->os->clock_ns(options->os),
    };
    timers_init(&worker->timers);
    timer_init(&worker->trim_timer, worker_trim);
    timer_init(&worker->postponed_timer, worker_run_postponed);
    list_init(&worker->tasks);
    list_init(&worker->postponed);
    list_init(&worker->ripening);
    pipes_init(&worker->pipes, options->os);
    worker->ring->woke = worker_woke;
    worker->ring->woke_context = worker;
}

int worker_init(struct worker *worker, const struct worker_options *options)
{
    int rc = -ENOMEM;

    worker_set(worker, options);
    worker->pools = pools_new(&options->limits);
    if (!worker->pools)
        goto close_ring;
    rc = worker_open_groups(worker);
    if (rc)
        goto free_pools;
    worker->event_fd = worker->os->event(worker->os);
    if (worker->event_fd < 0) {
        rc = worker->event_fd;
        goto close_groups;
    }
    op_init(&worker->event_op, worker_rang);
    ring_read(worker->ring, &worker->event_op, worker->event_fd, &worker->event_value,
              sizeof(worker->event_value));
    return 0;

close_groups:
    ring_group_close(worker->ring, &worker->udp_group);
    ring_group_close(worker->ring, &worker->tcp_group);
free_pools:
    pools_free(&worker->pools);
close_ring:
    ring_close(&worker->ring);
    timers_release(&worker->timers);
    return rc;
}

/* A ring that breaks here still holds our memory: then nothing may be freed, and nothing is. */
static bool worker_drain(struct worker *worker)
{
    ring_cancel(worker->ring, &worker->event_op);
    while (ring_busy(worker->ring))
        if (ring_turn(worker->ring, UINT64_MAX))
            return false;
    return true;
}

void worker_release(struct worker *worker)
{
    if (!worker_drain(worker))
        return;
    must(list_empty(&worker->tasks) && list_empty(&worker->postponed) &&
         list_empty(&worker->ripening));
    while (atomic_load(&worker->posting)) /* its mail ran already; it is about to return */
        worker->os->yield(worker->os);
    worker->os->close(worker->os, worker->event_fd);
    ring_group_close(worker->ring, &worker->udp_group);
    ring_group_close(worker->ring, &worker->tcp_group);
    ring_close(&worker->ring);
    vectors_store_release(&worker->vectors);
    pipes_release(&worker->pipes);
    timers_release(&worker->timers);
    pools_free(&worker->pools);
}

void worker_defer(struct worker *worker, struct task *task)
{
    if (list_empty(&task->link))
        list_append(&worker->tasks, &task->link);
}

void worker_postpone(struct worker *worker, struct task *task)
{
    struct timer *timer = &worker->postponed_timer;

    if (!timer_is_set(timer) && timer_set(&worker->timers, timer, worker->now_ns + POSTPONE_NS))
        worker_defer(worker, task); /* no memory for the timer: soon is fine too */
    else if (list_empty(&task->link))
        list_append(&worker->postponed, &task->link);
}

/* ---- mailbox: a stack that anyone pushes to and the worker empties ---- */

/* The push comes before the look at `asleep`, and the worker raises `asleep` before its last look
 * at the stack: one of the two sees the other. */
void worker_post(struct worker *worker, struct mail *mail)
{
    atomic_fetch_add(&worker->posting, 1);
    mail->next = atomic_load_explicit(&worker->mailbox, memory_order_relaxed);
    while (!atomic_compare_exchange_weak(&worker->mailbox, &mail->next, mail))
        ;
    if (atomic_exchange(&worker->asleep, false))
        worker->os->event_ring(worker->os, worker->event_fd);
    atomic_fetch_sub(&worker->posting, 1);
}

static bool worker_has_mail(struct worker *worker)
{
    return atomic_load(&worker->mailbox) != NULL;
}

static void worker_read_mail(struct worker *worker)
{
    struct mail *mail = NULL, *newest, *next;

    if (!worker_has_mail(worker))
        return;
    for (newest = atomic_exchange(&worker->mailbox, NULL); newest; newest = next) {
        next = newest->next;
        newest->next = mail;
        mail = newest;
    }
    for (; mail; mail = next) {
        next = mail->next;
        mail->run(mail);
    }
}

/* ---- turns ---- */

static void worker_run_tasks(struct worker *worker)
{
    struct list tasks, *node;

    list_init(&tasks);
    list_take_all(&tasks, &worker->tasks);
    while ((node = list_pop(&tasks))) {
        struct task *task = container_of(node, struct task, link);

        task->run(task);
    }
}

static uint64_t worker_deadline(const struct worker *worker, uint64_t deadline_ns)
{
    uint64_t timer_ns = timers_next(&worker->timers);

    if (!list_empty(&worker->tasks) || timer_ns <= worker->now_ns)
        return 0;
    return timer_ns < deadline_ns ? timer_ns : deadline_ns;
}

static uint64_t worker_urgent(const struct worker *worker)
{
    return ring_stats(worker->ring)->completions - worker->patient;
}

/* Where others want the core, whoever yields it gets it back long after it would have been woken.
 */
static void worker_note_poll(struct worker *worker, uint64_t began_ns, uint64_t ended_ns)
{
    if (ended_ns - began_ns > SPIN_LOST_NS)
        worker->spin_again_ns = ended_ns + SPIN_REST_NS;
}

/* Polls for a while before sleeping: being woken costs more than that.  1: completions ran. */
static int worker_spin(struct worker *worker, uint64_t deadline_ns)
{
    uint64_t completions = ring_stats(worker->ring)->completions;
    uint64_t now_ns = worker->os->clock_ns(worker->os), began_ns;
    uint64_t until_ns = now_ns + worker->spin_ns;
    int rc;

    if (now_ns - worker->active_ns > SPIN_WINDOW_NS || now_ns < worker->spin_again_ns)
        return 0;
    if (until_ns > deadline_ns)
        until_ns = deadline_ns;
    do {
        rc = ring_turn(worker->ring, 0);
        if (rc)
            return rc;
        if (ring_stats(worker->ring)->completions != completions || worker_has_mail(worker))
            return 1;
        worker->os->yield(worker->os);
        began_ns = now_ns;
        now_ns = worker->os->clock_ns(worker->os);
        worker_note_poll(worker, began_ns, now_ns);
    } while (now_ns < until_ns);
    return 0;
}

static int worker_sleep(struct worker *worker, uint64_t deadline_ns)
{
    int rc;

    atomic_store(&worker->asleep, true);
    if (worker_has_mail(worker))
        deadline_ns = 0;
    snapshot_sleep();
    rc = ring_turn(worker->ring, deadline_ns);
    snapshot_wake();
    atomic_store(&worker->asleep, false);
    return rc;
}

static int worker_enter(struct worker *worker, uint64_t deadline_ns)
{
    int rc = 0;

    if (deadline_ns == 0)
        return ring_turn(worker->ring, 0);
    if (worker->spin_ns && !worker->burst)
        rc = worker_spin(worker, deadline_ns);
    worker->burst = false;
    if (rc)
        return rc < 0 ? rc : 0;
    return worker_sleep(worker, deadline_ns);
}

int worker_turn(struct worker *worker, uint64_t deadline_ns)
{
    uint64_t before_ns = worker->now_ns, urgent = worker_urgent(worker);
    int rc = worker_enter(worker, worker_deadline(worker, deadline_ns));

    if (rc)
        return rc;
    if (worker->now_ns == before_ns) /* no completion read the clock */
        worker->now_ns = worker->os->clock_ns(worker->os);
    if (worker_urgent(worker) != urgent)
        worker->active_ns = worker->now_ns;
    worker_read_mail(worker);
    timers_run(&worker->timers, worker->now_ns);
    worker_run_tasks(worker);
    worker_trim_later(worker);
    snapshot_turn();
    return 0;
}

static bool worker_is_done(struct worker *worker)
{
    return worker->stopping && ring_busy(worker->ring) == (uint32_t)worker->event_op.busy &&
           list_empty(&worker->tasks) && !worker_has_mail(worker) && !grace_pending(worker);
}

int worker_run(struct worker *worker)
{
    int rc = 0;

    snapshot_join();
    while (!rc && !worker_is_done(worker))
        rc = worker_turn(worker, UINT64_MAX);
    snapshot_leave();
    return rc;
}

void worker_stop(struct worker *worker)
{
    worker->stopping = true;
}
