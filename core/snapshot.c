#include "core/snapshot.h"

#include <stdalign.h>

enum { READERS_MAX = 256 };

/* liburcu orders what threads do, but sanitizers do not see into it: they are told by these words,
 * which each reader stores between turns and the end of a grace period loads. */
static struct reader {
    alignas(128) _Atomic uint64_t turns;
    _Atomic bool taken;
} readers[READERS_MAX];
static _Atomic uint32_t reader_count;
static _Thread_local struct reader *self;
static _Thread_local bool asleep;

void snapshot_join(void)
{
    uint32_t i = 0;

    must(!self);
    while (i < READERS_MAX && atomic_exchange(&readers[i].taken, true))
        i++;
    must(i < READERS_MAX);
    self = &readers[i];
    urcu_qsbr_register_thread();
    atomic_fetch_add(&reader_count, 1); /* before the first look at anything */
}

static void reader_passes(void)
{
    uint64_t turns = atomic_load_explicit(&self->turns, memory_order_relaxed);

    atomic_store_explicit(&self->turns, turns + 1, memory_order_release);
}

void snapshot_turn(void)
{
    if (!self)
        return;
    reader_passes();
    urcu_qsbr_quiescent_state();
}

void snapshot_sleep(void)
{
    if (!self)
        return;
    reader_passes();
    urcu_qsbr_thread_offline();
    asleep = true;
}

/* For one that is awake it would be a turn that tells nobody: who waits for it would go on. */
void snapshot_wake(void)
{
    if (!asleep)
        return;
    asleep = false;
    urcu_qsbr_thread_online();
}

void snapshot_leave(void)
{
    reader_passes();
    atomic_fetch_sub(&reader_count, 1);
    urcu_qsbr_unregister_thread();
    atomic_store(&self->taken, false);
    self = NULL;
}

static void grace_arrived(struct mail *mail)
{
    struct grace *grace = container_of(mail, struct grace, mail);

    atomic_fetch_sub(&atomic_load(&grace->owner)->graces, 1);
    grace->passed(grace);
}

static void grace_passed(struct rcu_head *head)
{
    struct grace *grace = container_of(head, struct grace, head);
    struct worker *owner = atomic_load(&grace->owner);

    for (uint32_t i = 0; i < READERS_MAX; i++)
        (void)atomic_load_explicit(&readers[i].turns, memory_order_acquire);
    worker_post(owner, &grace->mail);
}

void grace_begin(struct grace *grace, struct worker *owner, grace_fn *passed)
{
    if (atomic_load(&reader_count) == (self ? 1 : 0)) {
        passed(grace);
        return;
    }
    grace->passed = passed;
    grace->mail.run = grace_arrived;
    atomic_store(&grace->owner, owner);
    atomic_fetch_add(&owner->graces, 1);
    urcu_qsbr_call_rcu(&grace->head, grace_passed);
}

bool grace_pending(const struct worker *owner)
{
    return atomic_load(&owner->graces) > 0;
}
