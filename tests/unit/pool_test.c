#include <stdlib.h>

#include "balancer/balancer.h"
#include "tests/unit/test.h"

struct fake_member {
    struct member member;
    int unused;
};

static void fake_unused(struct member *member)
{
    container_of(member, struct fake_member, member)->unused++;
}
static const struct member_ops fake_ops = {.unused = fake_unused};

static struct fake_member fakes[5];

static struct backend_pool *pool_of(unsigned count, enum balance balance)
{
    struct backend_pool *pool = backend_pool_new("web", balance);

    for (unsigned i = 0; i < count; i++) {
        fakes[i] = (struct fake_member){.member.ops = &fake_ops};
        if (backend_pool_add(pool, &fakes[i].member))
            abort();
    }
    return pool;
}

static int picked(struct backend_pool *pool)
{
    struct pick pick = {0};
    struct member *member = backend_pick(pool, &pick);

    return member ? (int)(container_of(member, struct fake_member, member) - fakes) : -1;
}

TEST(round_robin_is_strict)
{
    struct backend_pool *pool = pool_of(3, BALANCE_ROUND_ROBIN);

    for (int i = 0; i < 30; i++)
        check(picked(pool) == i % 3);
    for (int i = 0; i < 3; i++)
        fakes[i].member.active = 0;
    backend_pool_free(&pool);
}

TEST(least_conn_always_takes_one_with_the_fewest)
{
    struct backend_pool *pool = pool_of(4, BALANCE_LEAST_CONN);

    srand(7);
    for (int i = 0; i < 2000; i++) {
        unsigned lowest = UINT32_MAX;
        unsigned before[4];
        int index;

        for (int m = 0; m < 4; m++) {
            before[m] = fakes[m].member.active;
            lowest = before[m] < lowest ? before[m] : lowest;
        }
        index = picked(pool);
        check(index >= 0 && before[index] == lowest);
        if (rand() % 2) {
            int victim = rand() % 4;

            if (fakes[victim].member.active)
                member_drop(&fakes[victim].member);
        }
    }
    for (int i = 0; i < 4; i++)
        fakes[i].member.active = 0;
    backend_pool_free(&pool);
}

TEST(a_retry_never_picks_a_member_twice)
{
    struct backend_pool *pool = pool_of(5, BALANCE_ROUND_ROBIN);
    struct pick pick = {0};
    bool seen[5] = {0};

    for (int i = 0; i < 5; i++) {
        struct member *member = backend_pick(pool, &pick);
        long index = container_of(member, struct fake_member, member) - fakes;

        check(member && !seen[index]);
        seen[index] = true;
        member_drop(member);
    }
    check(!backend_pick(pool, &pick));
    backend_pool_free(&pool);
}

TEST(a_suspect_member_is_taken_only_when_no_fit_one_is_left)
{
    struct backend_pool *pool = pool_of(2, BALANCE_ROUND_ROBIN);

    fakes[0].member.state = MEMBER_SUSPECT;
    check(picked(pool) == 1);
    check(picked(pool) == 1);
    fakes[1].member.state = MEMBER_SUSPECT;
    check(picked(pool) == 0);
    for (int i = 0; i < 2; i++)
        fakes[i].member.active = 0;
    backend_pool_free(&pool);
}

TEST(a_removed_member_is_unused_once_its_last_session_ends)
{
    struct backend_pool *pool = pool_of(2, BALANCE_ROUND_ROBIN);

    check(picked(pool) == 0);
    backend_pool_remove(pool, &fakes[0].member);
    check(fakes[0].unused == 0 && fakes[0].member.state == MEMBER_GONE);
    check(picked(pool) == 1 && picked(pool) == 1);
    member_drop(&fakes[0].member);
    check(fakes[0].unused == 1);
    fakes[1].member.active = 0;
    backend_pool_free(&pool);
    check(fakes[1].unused == 1);
}

TEST(an_empty_pool_gives_nobody)
{
    struct backend_pool *pool = pool_of(0, BALANCE_LEAST_CONN);

    check(picked(pool) == -1);
    backend_pool_free(&pool);
}
