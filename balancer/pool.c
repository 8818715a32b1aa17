#include "balancer/pool.h"

#include <errno.h>
#include <stdio.h>

#include "core/mem.h"

struct backend_pool *backend_pool_new(const struct pool_options *options)
{
    struct backend_pool *pool = mem_new(sizeof(*pool));

    if (!pool)
        return NULL;
    snprintf(pool->name, sizeof(pool->name), "%s", options->name);
    pool->options = *options;
    pool->options.name = pool->name;
    if (!pool->options.workers)
        pool->options.workers = 1;
    pool->cursors = mem_new(pool->options.workers * sizeof(struct pool_cursor));
    if (!pool->cursors) {
        mem_free(pool);
        return NULL;
    }
    for (uint32_t i = 0; i < pool->options.workers; i++)
        pool->cursors[i].random = i;
    return pool;
}

void backend_pool_free(struct backend_pool **pool)
{
    struct backend_pool *old = *pool;

    if (!old)
        return;
    while (old->count)
        backend_pool_remove(old, backend_pool_member(old, old->count - 1));
    mem_free(atomic_load(&old->table));
    mem_free(old->cursors);
    mem_free(old);
    *pool = NULL;
}

void backend_pool_discard(struct backend_pool **pool)
{
    struct backend_pool *old = *pool;
    struct pool_table *table = atomic_load(&old->table);

    for (uint32_t i = 0; table && i < table->count; i++) {
        struct member *member = table->members[i];

        mem_free(member->loads);
        member->loads = NULL;
        member->ops->unused(member);
    }
    mem_free(table);
    mem_free(old->cursors);
    mem_free(old);
    *pool = NULL;
}

void backend_pool_adjust(struct backend_pool *pool, const struct pool_options *options)
{
    atomic_store_explicit(&pool->options.balance, options->balance, memory_order_relaxed);
    atomic_store_explicit(&pool->options.eject_after, options->eject_after, memory_order_relaxed);
    atomic_store_explicit(&pool->options.eject_ns, options->eject_ns, memory_order_relaxed);
    atomic_store_explicit(&pool->options.eject_max_ns, options->eject_max_ns, memory_order_relaxed);
}

const char *backend_pool_name(const struct backend_pool *pool)
{
    return pool->name;
}

bool backend_pool_hashes(const struct backend_pool *pool)
{
    return pool->options.balance == BALANCE_SOURCE_HASH;
}

/* ---- tables ---- */

static void table_append(struct pool_table *table, struct member *member)
{
    struct pool_tier *tier = &table->tiers[member->tier];

    if (!tier->count)
        tier->first = table->count;
    else if (member_weight(table->members[tier->first]) != member_weight(member))
        tier->weighted = true;
    tier->count++;
    atomic_store_explicit(&table->members[table->count++], member, memory_order_relaxed);
}

/* The members of `old` that are of that tier now, in the order they came. */
static void table_append_tier(struct pool_table *table, struct pool_table *old,
                              enum member_tier tier)
{
    for (uint32_t i = 0; i < old->count; i++) {
        struct member *member = old->members[i];

        if (member && member->tier == tier)
            table_append(table, member);
    }
}

static void table_passed(struct grace *grace)
{
    mem_free(container_of(grace, struct pool_table, grace));
}

/* Room for the members and `more`. */
static struct pool_table *table_new(const struct backend_pool *pool, uint32_t more)
{
    struct pool_table *table;

    return mem_new(sizeof(*table) + (pool->count + more) * sizeof(table->members[0]));
}

/* Fills `table` from the present one, with `added` (NULL: nobody) behind those of its tier, and
 * puts it in its place. */
static void pool_swap_table(struct backend_pool *pool, struct pool_table *table,
                            struct member *added)
{
    struct pool_table *old = atomic_load(&pool->table);

    for (uint32_t tier = 0; tier < TIER_COUNT; tier++) {
        if (old)
            table_append_tier(table, old, tier);
        if (added && tier == added->tier)
            table_append(table, added);
    }
    atomic_store(&pool->table, table);
    if (old)
        grace_begin(&old->grace, pool->options.owner, table_passed);
}

int backend_pool_add(struct backend_pool *pool, struct member *member)
{
    struct pool_table *table = table_new(pool, 1);

    if (!table || member_enter(member, &pool->options)) {
        mem_free(table);
        return -ENOMEM;
    }
    pool_swap_table(pool, table, member);
    atomic_fetch_add(&pool->count, 1);
    return 0;
}

/* ---- everybody at once ---- */

struct pool_table *backend_pool_reserve(uint32_t count)
{
    struct pool_table *table;

    return mem_new(sizeof(*table) + count * sizeof(table->members[0]));
}

int backend_pool_admit(struct backend_pool *pool, struct member *member)
{
    return member_enter(member, &pool->options);
}

static void pool_remove_strangers(struct pool_table *old)
{
    for (uint32_t i = 0; old && i < old->count; i++) {
        struct member *member = old->members[i];

        if (member && !member->stays)
            member_leave(member);
    }
}

void backend_pool_arrange(struct backend_pool *pool, struct pool_table *table,
                          struct member *const *order, uint32_t count)
{
    struct pool_table *old = atomic_load(&pool->table);

    for (uint32_t tier = 0; tier < TIER_COUNT; tier++)
        for (uint32_t i = 0; i < count; i++)
            if (order[i]->tier == tier)
                table_append(table, order[i]);
    for (uint32_t i = 0; i < count; i++)
        order[i]->stays = true;
    atomic_store(&pool->table, table);
    atomic_store(&pool->count, count);
    pool_remove_strangers(old);
    for (uint32_t i = 0; i < count; i++)
        order[i]->stays = false;
    if (old)
        grace_begin(&old->grace, pool->options.owner, table_passed);
}

int backend_pool_move(struct backend_pool *pool, struct member *member, enum member_tier tier,
                      uint32_t weight)
{
    struct pool_table *table = table_new(pool, 0);

    if (!table)
        return -ENOMEM;
    member->tier = tier;
    atomic_store_explicit(&member->weight, weight, memory_order_relaxed);
    pool_swap_table(pool, table, NULL);
    return 0;
}

void backend_pool_remove(struct backend_pool *pool, struct member *member)
{
    struct pool_table *table = atomic_load(&pool->table);
    uint32_t index = 0;

    while (index < table->count && table->members[index] != member)
        index++;
    must(index < table->count);
    atomic_store(&table->members[index], NULL);
    atomic_fetch_sub(&pool->count, 1);
    member_leave(member);
}

void backend_pool_use(struct backend_pool *pool)
{
    atomic_fetch_add(&pool->users, 1);
}

void backend_pool_disuse(struct backend_pool *pool)
{
    must(atomic_fetch_sub(&pool->users, 1) > 0);
}

bool backend_pool_in_use(const struct backend_pool *pool)
{
    return atomic_load(&pool->users) > 0;
}

uint32_t backend_pool_count(const struct backend_pool *pool)
{
    return atomic_load_explicit(&pool->count, memory_order_relaxed);
}

int backend_pool_visit(const struct backend_pool *pool, member_visit_fn *visit, void *context)
{
    struct pool_table *table = atomic_load_explicit(&pool->table, memory_order_acquire);
    int rc = 0;

    for (uint32_t i = 0; !rc && table && i < table->count; i++) {
        struct member *member = atomic_load_explicit(&table->members[i], memory_order_acquire);

        if (member)
            rc = visit(member, context);
    }
    return rc;
}

struct member *backend_pool_member(const struct backend_pool *pool, uint32_t index)
{
    struct pool_table *table = atomic_load(&pool->table);
    uint32_t at = 0;

    must(index < pool->count);
    while (!table->members[at] || index--)
        at++;
    return table->members[at];
}
