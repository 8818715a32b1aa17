/* core/worker.h - a worker: one thread, one ring, and all that hangs from it.
 * Owner: cli/relay_thread (or the simulator).  Thread: everything here is the worker's own
 * thread's, except worker_post, which is anybody's.
 *
 * One turn: completions, mail, timers, then tasks, then the ring is entered again.  The clock is
 * read once a turn, after the ring woke and before its first completion (now_ns). */
#ifndef CORE_WORKER_H
#define CORE_WORKER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/buf.h"
#include "core/counter.h"
#include "core/list.h"
#include "core/log.h"
#include "core/os.h"
#include "core/pipe.h"
#include "core/ring.h"
#include "core/sock.h"
#include "core/timer.h"
#include "core/vectors.h"

struct resolver;

/* Something to do at the end of this turn, once however often it was asked for: flush a socket,
 * write a connection's packets.  A task that asks again while it runs comes in the next turn, which
 * then does not sleep. */
struct task;
typedef void task_fn(struct task *task);
struct task {
    task_fn *run;
    struct list link;
};
static inline void task_init(struct task *task, task_fn *run)
{
    task->run = run;
    list_init(&task->link);
}

/* A message to a worker; the sender gives it up until run() is called on the worker's thread. */
struct mail;
typedef void mail_fn(struct mail *mail);
struct mail {
    mail_fn *run;
    struct mail *next;
};

struct worker {
    /* Set by worker_init. */
    struct os *os;
    struct ring *ring;
    struct pools *pools;
    struct counters *counters;
    struct log_source *log, *access; /* NULL: none */
    struct resolver *resolver; /* borrowed; may be NULL where only numeric addresses are used */
    uint32_t index;
    uint64_t spin_ns;
    /* Groups that ends receive from. */
    struct group tcp_group, udp_group;
    /* Changes each turn. */
    uint64_t now_ns;
    struct timers timers;
    struct timer trim_timer; /* set while the pools keep more than their reserve */
    struct list tasks;
    struct list postponed, ripening; /* since the timer last fired, and before */
    struct timer postponed_timer;
    struct vectors_store vectors;
    struct pipes pipes;
    struct tcp_habit tcp_habit;
    uint64_t active_ns;     /* when completions last ran that others wait for: only then it spins */
    uint64_t spin_again_ns; /* its core is shared: it sleeps at once until then */
    uint64_t patient;       /* completions, since the start, that nobody hurries for */
    bool stopping;
    bool burst; /* the next wait is sleep at once */
    bool ebbed; /* much was freed: the next trim gives it back */
    /* Mailbox. */
    _Atomic(struct mail *) mailbox;
    _Atomic bool asleep;
    _Atomic uint32_t posting; /* threads inside worker_post */
    _Atomic uint32_t graces;  /* the snapshot's: mails that are still to come from it */
    int event_fd;
    uint64_t event_value;
    struct op event_op;
};

struct worker_options {
    struct os *os;
    struct ring *ring; /* taken, on failure too */
    struct pool_limits limits;
    struct counters *counters;
    struct log_source *log, *access;
    struct resolver *resolver;
    uint32_t index;
    uint64_t spin_ns;
};
/* Many of something have ended, or not: true makes the next trim, a second from now, a thorough
 * one. */
static inline void worker_note_ebb(struct worker *worker, bool ebbed)
{
    worker->ebbed |= ebbed;
}
/* Many datagrams leave with this turn; who receives them may be on this core, and runs only while
 * the worker sleeps: so it sleeps at once, where it would look for work first. */
static inline void worker_note_burst(struct worker *worker)
{
    worker->burst = true;
}
int worker_init(struct worker *worker, const struct worker_options *options) MUST_CHECK;
void worker_release(struct worker *worker); /* every end stopped and idle before */

void worker_defer(struct worker *worker, struct task *task); /* no-op when already asked for */
/* In 10 to 20 ms: for what most of those who ask will not need by then, and cancel. */
void worker_postpone(struct worker *worker, struct task *task);
/* Of a completion: its flow is bulky and gains by sleeping, since more has then come at the next
 * wake.  The worker does not spin for it. */
static inline void worker_note_patient(struct worker *worker)
{
    worker->patient++;
}
static inline void task_cancel(struct task *task)
{
    list_remove(&task->link);
}
/* ring_wait_for_chunks, counted. */
static inline void worker_wait_for_chunks(struct worker *worker, struct op *op)
{
    counter_add(worker->counters, COUNTER_RECEIVE_DRY, 1);
    ring_wait_for_chunks(worker->ring, op);
}
void worker_post(struct worker *worker,
                 struct mail *mail); /* any thread; mail is taken until run */

/* One turn; sleeps until deadline_ns at most.  0, or -errno when the ring is broken. */
int worker_turn(struct worker *worker, uint64_t deadline_ns) MUST_CHECK;
int worker_run(struct worker *worker) MUST_CHECK; /* turns until worker_stop and nothing is busy */
void worker_stop(struct worker *worker);          /* the worker's own thread */

#endif
