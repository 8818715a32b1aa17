/* What workers say of a member, and how it ends: removed, a grace period passed, nobody on it. */
#include <errno.h>
#include <string.h>

#include "balancer/pool.h"
#include "core/mem.h"

static uint32_t member_workers(const struct member *member)
{
    return member->options->workers;
}

static uint64_t load_read(const _Atomic uint64_t *word)
{
    return atomic_load_explicit(word, memory_order_acquire);
}

/* Its only writer adds one. */
static void load_count(_Atomic uint64_t *word)
{
    uint64_t old = atomic_load_explicit(word, memory_order_relaxed);

    atomic_store_explicit(word, old + 1, memory_order_release);
}

/* Drops are read before holds: where the sums are equal, nobody was on it at a moment between. */
uint32_t member_active(const struct member *member)
{
    uint64_t held = 0, dropped = 0;

    for (uint32_t i = 0; i < member_workers(member); i++)
        dropped += load_read(&member->loads[i].dropped);
    for (uint32_t i = 0; i < member_workers(member); i++)
        held += load_read(&member->loads[i].held);
    return (uint32_t)(held - dropped);
}

uint64_t member_total(const struct member *member)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < member_workers(member); i++)
        sum += load_read(&member->loads[i].held);
    return sum;
}

uint64_t member_failures(const struct member *member)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < member_workers(member); i++)
        sum += load_read(&member->loads[i].failures);
    return sum;
}

int member_enter(struct member *member, const struct pool_options *options)
{
    member->loads = mem_new(options->workers * sizeof(struct member_load));
    if (!member->loads)
        return -ENOMEM;
    member->options = options;
    member->hash = 0;
    for (const char *at = member->name; *at; at++)
        member->hash = pool_mix(member->hash + (uint8_t)*at + 1);
    return 0;
}

/* ---- its end ---- */

/* A worker that drops it may look at it until its turn is over, hence the second grace period; and
 * a mail that is on its way comes first. */
static void member_end(struct member *member)
{
    if (atomic_load(&member->asked))
        return;
    mem_free(member->loads);
    member->loads = NULL;
    member->ops->unused(member);
}

static void member_ended(struct grace *grace)
{
    struct member *member = container_of(grace, struct member, grace);

    member->life = MEMBER_ENDED;
    member_end(member);
}

static void member_look(struct member *member)
{
    if (member->life != MEMBER_LEFT || member_active(member))
        return;
    member->life = MEMBER_ENDING;
    grace_begin(&member->grace, member->options->owner, member_ended);
}

static void member_asked(struct mail *mail)
{
    struct member *member = container_of(mail, struct member, mail);

    atomic_store(&member->asked, false);
    if (member->life == MEMBER_ENDED)
        member_end(member);
    else
        member_look(member);
}

static void member_left(struct grace *grace)
{
    struct member *member = container_of(grace, struct member, grace);

    member->life = MEMBER_LEFT;
    member_look(member);
}

void member_leave(struct member *member)
{
    atomic_store(&member->state, MEMBER_GONE);
    grace_begin(&member->grace, member->options->owner, member_left);
}

static uint32_t member_most(const struct member *member)
{
    return atomic_load_explicit(&member->max_conn, memory_order_relaxed);
}

void member_hold(struct member *member, struct worker *worker)
{
    load_count(&member->loads[worker->index].held);
    if (member_most(member))
        atomic_fetch_add(&member->taken, 1);
}

/* A drop that does not see it gone yet is seen after the first grace period. */
void member_drop(struct member *member, struct worker *worker)
{
    struct member_load *load = &member->loads[worker->index];
    struct worker *owner = member->options->owner;

    must(load_read(&load->held) > load_read(&load->dropped));
    if (member_most(member))
        atomic_fetch_sub(&member->taken, 1);
    load_count(&load->dropped);
    if (atomic_load(&member->state) != MEMBER_GONE)
        return;
    if (!owner || owner == worker) {
        member_look(member);
    } else if (!atomic_exchange(&member->asked, true)) {
        member->mail.run = member_asked;
        worker_post(owner, &member->mail);
    }
}

bool member_set_down(struct member *member, bool down)
{
    enum member_state from = down ? MEMBER_FIT : MEMBER_DOWN;

    return atomic_compare_exchange_strong(&member->state, &from, down ? MEMBER_DOWN : MEMBER_FIT);
}

bool member_take(struct member *member, struct worker *worker)
{
    uint32_t taken = atomic_load_explicit(&member->taken, memory_order_relaxed);
    uint32_t most = member_most(member);

    while (most) {
        if (taken >= most)
            return false;
        if (atomic_compare_exchange_weak(&member->taken, &taken, taken + 1))
            break;
    }
    load_count(&member->loads[worker->index].held);
    return true;
}
