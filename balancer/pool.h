/* balancer/pool.h - what the files of this folder share; nobody else's business. */
#ifndef BALANCER_POOL_H
#define BALANCER_POOL_H

#include "balancer/balancer.h"

/* Members side by side that have one tier. */
struct pool_tier {
    uint32_t first, count;
    bool weighted; /* their weights differ */
};

/* Immutable once it is in the pool, but that a removal leaves a hole (NULL), since it must not need
 * memory; the next addition swaps the table whole and leaves holes out. */
struct pool_table {
    struct grace grace;
    struct pool_tier tiers[TIER_COUNT];
    uint32_t count;
    _Atomic(struct member *) members[]; /* by tier, then in the order they came */
};

/* One worker's place in the pool; padded as struct member_load is. */
struct pool_cursor {
    uint32_t next[TIER_COUNT]; /* where the next search begins: after the member picked last */
    uint64_t random;
    uint64_t distance[13];
};

struct backend_pool {
    char name[65];
    struct pool_options options;
    struct pool_cursor *cursors;        /* by worker */
    _Atomic(struct pool_table *) table; /* NULL: nobody was ever added */
    _Atomic uint32_t count;             /* members, without holes; the owner's to change */
};

/* ---- member.c ---- */
int member_enter(struct member *member, const struct pool_options *options) MUST_CHECK;
void member_leave(struct member *member); /* out of every table: ends when nobody is left */
/* Holds it, unless it has its max_conn. */
bool member_take(struct member *member, struct worker *worker);
static inline uint32_t member_weight(const struct member *member)
{
    uint32_t weight = atomic_load_explicit(&member->weight, memory_order_relaxed);

    return weight ? weight : 1;
}
static inline uint64_t pool_mix(uint64_t x)
{
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
    x = (x ^ x >> 27) * 0x94d049bb133111eb;
    return x ^ x >> 31;
}

/* ---- eject.c ---- */
bool member_is_out(const struct member *member, uint64_t now_ns);
/* Its time is over: whoever gets true may try it, and nobody else for as long again. */
bool member_probe(struct member *member, uint64_t now_ns);

#endif
