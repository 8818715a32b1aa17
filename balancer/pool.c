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
