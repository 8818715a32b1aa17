#include "balancer/pool.h"

/* How good a member is to an algorithm: the lowest wins, and of equals the first after the member
 * picked last. */
typedef uint64_t pick_score_fn(const struct member *member);

static uint64_t score_round_robin(const struct member *member)
{
    return 0;
}

static uint64_t score_least_conn(const struct member *member)
{
    return member->active;
}

static pick_score_fn *const scores[] = {
    [BALANCE_ROUND_ROBIN] = score_round_robin,
    [BALANCE_LEAST_CONN] = score_least_conn,
};

static bool pick_was_tried(const struct pick *pick, const struct member *member)
{
    for (uint32_t i = 0; i < pick->tried_count; i++)
        if (pick->tried[i] == member)
            return true;
    return false;
}

static struct member *pick_best(struct backend_pool *pool, const struct pick *pick,
                                enum member_state state)
{
    pick_score_fn *score = scores[pool->balance];
    struct member *best = NULL;
    uint32_t best_index = 0;

    for (uint32_t i = 0; i < pool->count; i++) {
        uint32_t index = (pool->next + i) % pool->count;
        struct member *member = pool->members[index];

        if (member->state != state || pick_was_tried(pick, member))
            continue;
        if (best && score(member) >= score(best))
            continue;
        best = member;
        best_index = index;
        if (!score(member))
            break; /* nothing is better */
    }
    if (best)
        pool->next = (best_index + 1) % pool->count;
    return best;
}

struct member *backend_pick(struct backend_pool *pool, struct pick *pick)
{
    struct member *member;

    if (pick->tried_count == PICK_TRIED_MAX)
        return NULL;
    member = pick_best(pool, pick, MEMBER_FIT);
    if (!member)
        member = pick_best(pool, pick, MEMBER_SUSPECT);
    if (!member)
        return NULL;
    pick->tried[pick->tried_count++] = member;
    member->total++;
    member_hold(member);
    return member;
}
