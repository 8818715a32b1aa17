/* Passive ejection.  A probe moves the end of the ejection on by its length, so that one session at
 * a time tries and one that never tells how it went blocks nobody for good. */
#include "balancer/pool.h"

static uint64_t option_read(const _Atomic uint64_t *option)
{
    return atomic_load_explicit(option, memory_order_relaxed);
}

static uint32_t eject_after(const struct member *member)
{
    return atomic_load_explicit(&member->options->eject_after, memory_order_relaxed);
}

static uint64_t eject_length_ns(const struct member *member)
{
    uint64_t length_ns = option_read(&member->options->eject_ns);
    uint64_t max_ns = option_read(&member->options->eject_max_ns);

    for (uint32_t i = atomic_load(&member->ejected); i > 1 && length_ns < max_ns; i--)
        length_ns *= 2;
    return length_ns < max_ns ? length_ns : max_ns;
}

bool member_is_out(const struct member *member, uint64_t now_ns)
{
    return atomic_load_explicit(&member->out_until_ns, memory_order_relaxed) > now_ns;
}

bool member_probe(struct member *member, uint64_t now_ns)
{
    uint64_t until_ns = atomic_load_explicit(&member->out_until_ns, memory_order_relaxed);

    if (!until_ns)
        return true;
    if (until_ns > now_ns || !atomic_compare_exchange_strong(&member->out_until_ns, &until_ns,
                                                             now_ns + eject_length_ns(member)))
        return false;
    atomic_store(&member->probed, true);
    return true;
}

/* Sessions that began before an ejection and fail during it say nothing new: only failures that are
 * as many again lengthen it, or the one of a probe. */
bool member_failed(struct member *member, struct worker *worker, enum reason reason)
{
    struct member_load *load = &member->loads[worker->index];
    uint32_t after = eject_after(member);
    bool enough;

    if (reason_is_ours(reason))
        return false;
    atomic_store_explicit(&load->failures,
                          atomic_load_explicit(&load->failures, memory_order_relaxed) + 1,
                          memory_order_relaxed);
    if (!after)
        return false;
    enough = atomic_fetch_add(&member->failed, 1) + 1 >= after;
    if (!atomic_exchange(&member->probed, false) && !enough)
        return false;
    atomic_store(&member->failed, 0);
    atomic_fetch_add(&member->ejected, 1);
    atomic_fetch_add(&member->ejections, 1);
    atomic_store(&member->out_until_ns, worker->now_ns + eject_length_ns(member));
    return true;
}

bool member_succeeded(struct member *member)
{
    if (!eject_after(member))
        return false;
    if (atomic_load_explicit(&member->failed, memory_order_relaxed))
        atomic_store(&member->failed, 0);
    if (!atomic_load_explicit(&member->ejected, memory_order_relaxed) ||
        !atomic_exchange(&member->ejected, 0))
        return false;
    atomic_store(&member->out_until_ns, 0);
    atomic_store(&member->probed, false);
    return true;
}
