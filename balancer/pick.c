#include "balancer/pool.h"

/* How willingly a member is taken; one rank is looked through in all tiers before the next. */
enum rank { RANK_READY, RANK_SUSPECT, RANK_OUT, RANK_COUNT, RANK_NEVER };

struct search {
    const struct pool_table *table;
    const struct pool_tier *tier;
    struct pick *pick;
    struct pool_cursor *cursor;
    uint32_t *next; /* of the cursor: where this tier's search begins */
    enum rank rank;
};

static enum rank member_rank(const struct member *member, uint64_t now_ns)
{
    enum member_state state = atomic_load_explicit(&member->state, memory_order_relaxed);

    if (state == MEMBER_GONE || state == MEMBER_DOWN)
        return RANK_NEVER;
    if (member_is_out(member, now_ns))
        return RANK_OUT;
    return state == MEMBER_FIT ? RANK_READY : RANK_SUSPECT;
}

/* The member at an index of the tier; NULL: not one to take now. */
static struct member *search_at(const struct search *search, uint32_t index)
{
    struct member *member = atomic_load_explicit(
        &search->table->members[search->tier->first + index], memory_order_acquire);

    if (!member || member_rank(member, search->pick->worker->now_ns) != search->rank)
        return NULL;
    if (search->pick->here && !member_is_at(member, search->pick->worker->index))
        return NULL;
    if (member->max_conn &&
        atomic_load_explicit(&member->taken, memory_order_relaxed) >= member->max_conn) {
        search->pick->met_full = true;
        return NULL;
    }
    for (uint32_t i = 0; i < search->pick->tried_count; i++)
        if (search->pick->tried[i] == member)
            return NULL;
    return member;
}

static uint32_t search_random(const struct search *search, uint64_t below)
{
    uint64_t value = pool_mix(search->cursor->random += 0x9e3779b97f4a7c15);

    return (uint32_t)((value >> 32) * below >> 32);
}

/* The first one from an index on, around. */
static struct member *search_from(const struct search *search, uint32_t index)
{
    uint32_t count = search->tier->count;

    for (uint32_t i = 0; i < count; i++, index = index + 1 < count ? index + 1 : 0) {
        struct member *member = search_at(search, index);

        if (!member)
            continue;
        *search->next = index + 1 < count ? index + 1 : 0;
        return member;
    }
    return NULL;
}

/* ---- a row per algorithm ---- */

typedef struct member *algorithm_fn(const struct search *search);

static uint32_t search_next(const struct search *search)
{
    return *search->next < search->tier->count ? *search->next : 0;
}

/* Each is owed its weight a pick; who is owed most pays for all. */
static struct member *pick_interleaved(const struct search *search)
{
    uint32_t worker = search->pick->worker->index;
    struct member *best = NULL;
    int64_t total = 0;

    for (uint32_t i = 0; i < search->tier->count; i++) {
        struct member *member = search_at(search, i);

        if (!member)
            continue;
        total += member_weight(member);
        member->loads[worker].turn += member_weight(member);
        if (!best || member->loads[worker].turn > best->loads[worker].turn)
            best = member;
    }
    if (best)
        best->loads[worker].turn -= total;
    return best;
}

static struct member *pick_round_robin(const struct search *search)
{
    if (search->tier->weighted)
        return pick_interleaved(search);
    return search_from(search, search_next(search));
}

static struct member *pick_first(const struct search *search)
{
    return search_from(search, 0);
}

/* Whether a is less loaded by weight than b; of equals the worker's own is. */
static bool member_is_freer(const struct member *a, const struct member *b, uint32_t worker)
{
    uint64_t load_a = (uint64_t)member_active(a) * member_weight(b);
    uint64_t load_b = (uint64_t)member_active(b) * member_weight(a);

    if (load_a != load_b)
        return load_a < load_b;
    return member_is_at(a, worker) && !member_is_at(b, worker);
}

static struct member *pick_least_conn(const struct search *search)
{
    uint32_t count = search->tier->count, start = search_next(search);
    struct member *best = NULL;

    for (uint32_t i = 0; i < count; i++) {
        uint32_t index = start + i < count ? start + i : start + i - count;
        struct member *member = search_at(search, index);

        if (!member || (best && !member_is_freer(member, best, search->pick->worker->index)))
            continue;
        best = member;
        *search->next = index + 1 < count ? index + 1 : 0;
    }
    return best;
}

/* Each one that comes takes the place with the chance of its share so far. */
static struct member *pick_weighted(const struct search *search)
{
    struct member *best = NULL;
    uint64_t total = 0;

    for (uint32_t i = 0; i < search->tier->count; i++) {
        struct member *member = search_at(search, i);

        if (!member)
            continue;
        total += member_weight(member);
        if (search_random(search, total) < member_weight(member))
            best = member;
    }
    return best;
}

/* Some draws; where most are not to be had, whoever comes after the last. */
static struct member *pick_random(const struct search *search)
{
    struct member *member = NULL;

    for (int draw = 0; draw < 8 && !member; draw++)
        member = search_at(search, search_random(search, search->tier->count));
    return member ? member : search_from(search, search_random(search, search->tier->count));
}

static struct member *pick_p2c(const struct search *search)
{
    struct member *one = pick_random(search), *other = one;

    for (int draw = 0; draw < 8 && other == one; draw++)
        other = pick_random(search);
    return one && member_is_freer(other, one, search->pick->worker->index) ? other : one;
}

/* Rendezvous hashing: each member bids for the source, and no bid depends on the others.  A bid is
 * a random time to wait, shorter by weight: -ln(uniform) / weight. */
static double member_bid(const struct member *member, uint64_t source)
{
    double uniform = (double)((pool_mix(source ^ member->hash) >> 11) + 1) * 0x1p-53;

    return -__builtin_log(uniform) / member_weight(member);
}

static struct member *pick_source_hash(const struct search *search)
{
    struct addr address = *search->pick->source;
    struct member *best = NULL;
    double best_bid = 0;
    uint64_t source;

    addr_set_port(&address, 0);
    source = addr_hash(&address, 0);
    for (uint32_t i = 0; i < search->tier->count; i++) {
        struct member *member = search_at(search, i);
        double bid = member ? member_bid(member, source) : 0;

        if (!member || (best && bid >= best_bid))
            continue;
        best = member;
        best_bid = bid;
    }
    return best;
}

static algorithm_fn *const algorithms[] = {
    [BALANCE_ROUND_ROBIN] = pick_round_robin,
    [BALANCE_LEAST_CONN] = pick_least_conn,
    [BALANCE_RANDOM] = pick_random,
    [BALANCE_WEIGHTED] = pick_weighted,
    [BALANCE_FIRST] = pick_first,
    [BALANCE_P2C] = pick_p2c,
    [BALANCE_SOURCE_HASH] = pick_source_hash,
};

/* ---- the search ---- */

/* Another worker may have taken the last place, or be probing: then it looks again, without. */
static struct member *search_take(struct search *search, algorithm_fn *algorithm)
{
    struct worker *worker = search->pick->worker;
    struct member *member;

    while ((member = algorithm(search))) {
        if (search->rank != RANK_OUT && !member_probe(member, worker->now_ns))
            continue;
        if (member_take(member, worker))
            return member;
    }
    return NULL;
}

static struct member *table_pick(struct backend_pool *pool, struct pool_table *table,
                                 struct pick *pick)
{
    struct pool_cursor *cursor = &pool->cursors[pick->worker->index];
    struct search search = {.table = table, .pick = pick, .cursor = cursor};

    for (search.rank = RANK_READY; search.rank < RANK_COUNT; search.rank++) {
        for (uint32_t tier = 0; tier < TIER_COUNT; tier++) {
            struct member *member;

            search.tier = &table->tiers[tier];
            search.next = &cursor->next[tier];
            if (!search.tier->count)
                continue;
            member = search_take(&search, algorithms[pool_balance(pool)]);
            if (member)
                return member;
        }
    }
    return NULL;
}

/* All members of a table may go while it is searched: then the next table has others. */
struct member *backend_pick(struct backend_pool *pool, struct pick *pick)
{
    struct pool_table *table = NULL, *newest;
    struct member *member = NULL;

    if (pick->tried_count == PICK_TRIED_MAX)
        return NULL;
    while (!member && (newest = atomic_load_explicit(&pool->table, memory_order_acquire)) != table)
        member = table_pick(pool, table = newest, pick);
    if (member)
        pick->tried[pick->tried_count++] = member;
    return member;
}
