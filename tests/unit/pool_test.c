#include <stdio.h>
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

static struct fake_member fakes[64];
static struct worker worker;

static void fakes_reset(void)
{
    for (unsigned i = 0; i < ARRAY_COUNT(fakes); i++) {
        fakes[i] = (struct fake_member){
            .member = {.ops = &fake_ops, .tier = TIER_NORMAL}
        };
        snprintf(fakes[i].member.name, sizeof(fakes[i].member.name), "server-%u", i);
    }
    worker.now_ns = 1;
}

static struct backend_pool *pool_add(struct backend_pool *pool, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        if (backend_pool_add(pool, &fakes[i].member))
            abort();
    return pool;
}

static struct backend_pool *pool_of(unsigned count, enum balance balance)
{
    fakes_reset();
    return pool_add(backend_pool_new(&(struct pool_options){.name = "web", .balance = balance}),
                    count);
}

static void pool_end(struct backend_pool *pool)
{
    for (unsigned i = 0; i < ARRAY_COUNT(fakes); i++)
        while (fakes[i].member.loads && member_active(&fakes[i].member))
            member_drop(&fakes[i].member, &worker);
    backend_pool_free(&pool);
}

static int picked(struct backend_pool *pool)
{
    struct pick pick = {.worker = &worker};
    struct member *member = backend_pick(pool, &pick);

    return member ? (int)(container_of(member, struct fake_member, member) - fakes) : -1;
}

TEST(round_robin_is_strict)
{
    struct backend_pool *pool = pool_of(3, BALANCE_ROUND_ROBIN);

    for (int i = 0; i < 30; i++)
        check(picked(pool) == i % 3);
    pool_end(pool);
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
            before[m] = member_active(&fakes[m].member);
            lowest = before[m] < lowest ? before[m] : lowest;
        }
        index = picked(pool);
        check(index >= 0 && before[index] == lowest);
        if (rand() % 2) {
            int victim = rand() % 4;

            if (member_active(&fakes[victim].member))
                member_drop(&fakes[victim].member, &worker);
        }
    }
    pool_end(pool);
}

TEST(a_retry_never_picks_a_member_twice)
{
    struct backend_pool *pool = pool_of(5, BALANCE_ROUND_ROBIN);
    struct pick pick = {.worker = &worker};
    bool seen[5] = {0};

    for (int i = 0; i < 5; i++) {
        struct member *member = backend_pick(pool, &pick);
        long index = container_of(member, struct fake_member, member) - fakes;

        check(member && !seen[index]);
        seen[index] = true;
        member_drop(member, &worker);
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
    pool_end(pool);
}

TEST(a_removed_member_is_unused_once_its_last_session_ends)
{
    struct backend_pool *pool = pool_of(2, BALANCE_ROUND_ROBIN);

    check(picked(pool) == 0);
    backend_pool_remove(pool, &fakes[0].member);
    check(fakes[0].unused == 0 && fakes[0].member.state == MEMBER_GONE);
    check(picked(pool) == 1 && picked(pool) == 1);
    member_drop(&fakes[0].member, &worker);
    check(fakes[0].unused == 1);
    pool_end(pool);
    check(fakes[1].unused == 1);
}

TEST(a_moved_member_keeps_its_sessions_and_counts_in_its_new_tier_and_weight)
{
    struct backend_pool *pool = pool_of(3, BALANCE_ROUND_ROBIN);
    int picks[3] = {0};

    for (int i = 0; i < 3; i++)
        check(picked(pool) == i);
    check(backend_pool_move(pool, &fakes[0].member, TIER_STANDBY, 1) == 0);
    check(backend_pool_move(pool, &fakes[1].member, TIER_NORMAL, 3) == 0);
    check(backend_pool_count(pool) == 3);
    for (int i = 0; i < 8; i++)
        picks[picked(pool)]++;
    check(picks[0] == 0 && picks[1] == 6 && picks[2] == 2);
    check(member_active(&fakes[0].member) == 1 && member_total(&fakes[1].member) == 7);
    check(!fakes[0].unused);
    pool_end(pool);
}

TEST(an_empty_pool_gives_nobody)
{
    struct backend_pool *pool = pool_of(0, BALANCE_LEAST_CONN);

    check(picked(pool) == -1);
    backend_pool_free(&pool);
}

/* ---- weights, tiers, limits ---- */

TEST(round_robin_interleaves_weights)
{
    static const int expected[] = {0, 0, 1, 0, 2, 0, 0};
    struct backend_pool *pool;

    fakes_reset();
    fakes[0].member.weight = 5;
    pool = pool_add(backend_pool_new(&(struct pool_options){.name = "web"}), 3);
    for (int i = 0; i < 70; i++)
        check(picked(pool) == expected[i % 7]);
    pool_end(pool);
}

TEST(weighted_and_random_keep_to_their_shares)
{
    for (int weighted = 0; weighted < 2; weighted++) {
        struct backend_pool *pool;

        fakes_reset();
        fakes[1].member.weight = 3;
        pool = backend_pool_new(&(struct pool_options){
            .name = "web", .balance = weighted ? BALANCE_WEIGHTED : BALANCE_RANDOM});
        pool_add(pool, 2);
        for (int i = 0; i < 10000; i++)
            (void)picked(pool);
        check(abs((int)member_total(&fakes[1].member) - (weighted ? 7500 : 5000)) < 250);
        pool_end(pool);
    }
}

TEST(p2c_never_lets_a_member_fall_far_behind)
{
    struct backend_pool *pool = pool_of(10, BALANCE_P2C);

    for (int i = 0; i < 10000; i++)
        check(picked(pool) >= 0);
    for (int i = 0; i < 10; i++)
        check(abs((int)member_active(&fakes[i].member) - 1000) < 20);
    pool_end(pool);
}

TEST(least_conn_prefers_the_workers_own_of_equals)
{
    struct backend_pool *pool = pool_of(4, BALANCE_LEAST_CONN);

    for (uint32_t i = 0; i < 4; i++)
        fakes[i].member.places = i == 2 ? 1 : 2;
    check(picked(pool) == 2);
    check(picked(pool) != 2 && picked(pool) != 2 && picked(pool) != 2);
    check(picked(pool) == 2);
    pool_end(pool);
}

TEST(a_lower_tier_is_used_when_the_higher_has_none_fit)
{
    struct backend_pool *pool;

    fakes_reset();
    fakes[0].member.tier = TIER_FALLBACK;
    fakes[2].member.tier = TIER_VIP;
    pool = pool_add(
        backend_pool_new(&(struct pool_options){.name = "web", .balance = BALANCE_FIRST}), 3);
    check(picked(pool) == 2);
    fakes[2].member.state = MEMBER_SUSPECT;
    check(picked(pool) == 1);
    fakes[1].member.state = MEMBER_SUSPECT;
    check(picked(pool) == 0);
    fakes[0].member.state = MEMBER_SUSPECT;
    check(picked(pool) == 2);
    pool_end(pool);
}

TEST(max_conn_is_exact)
{
    struct backend_pool *pool;

    fakes_reset();
    fakes[0].member.max_conn = 2;
    fakes[1].member.max_conn = 1;
    pool = pool_add(backend_pool_new(&(struct pool_options){.name = "web"}), 2);
    check(picked(pool) == 0);
    check(picked(pool) == 1);
    check(picked(pool) == 0);
    check(picked(pool) == -1);
    member_drop(&fakes[1].member, &worker);
    check(picked(pool) == 1);
    check(picked(pool) == -1);
    pool_end(pool);
}

static int picked_for(struct backend_pool *pool, unsigned user)
{
    struct addr source;
    struct pick pick = {.worker = &worker, .source = &source};
    struct member *member;
    char text[64];

    snprintf(text, sizeof(text), "10.%u.%u.7:%u", user / 250, user % 250, 1000 + user);
    if (addr_parse(&source, text))
        abort();
    member = backend_pick(pool, &pick);
    return (int)(container_of(member, struct fake_member, member) - fakes);
}

TEST(source_hash_moves_only_the_share_of_a_new_member)
{
    enum { USERS = 10000, SERVERS = 9 };
    struct backend_pool *pool = pool_of(SERVERS, BALANCE_SOURCE_HASH);
    static int before[USERS];
    int moved = 0;

    for (unsigned i = 0; i < USERS; i++)
        before[i] = picked_for(pool, i);
    for (int i = 0; i < SERVERS; i++)
        check(abs((int)member_total(&fakes[i].member) - USERS / SERVERS) < 150);
    check(!backend_pool_add(pool, &fakes[SERVERS].member));
    for (unsigned i = 0; i < USERS; i++) {
        int after = picked_for(pool, i);

        check(after == before[i] || after == SERVERS);
        moved += after != before[i];
    }
    check(abs(moved - USERS / (SERVERS + 1)) < 150);
    pool_end(pool);
}

/* ---- ejection ---- */

static struct backend_pool *ejecting_pool(void)
{
    fakes_reset();
    return pool_add(backend_pool_new(&(struct pool_options){.name = "web",
                                                            .balance = BALANCE_FIRST,
                                                            .eject_after = 3,
                                                            .eject_ns = 100,
                                                            .eject_max_ns = 300}),
                    2);
}

TEST(failures_in_a_row_eject_and_one_probe_lets_back)
{
    struct backend_pool *pool = ejecting_pool();
    struct member *bad = &fakes[0].member;

    check(!member_failed(bad, &worker, REASON_REFUSED));
    check(!member_failed(bad, &worker, REASON_REFUSED));
    check(!member_succeeded(bad));
    check(!member_failed(bad, &worker, REASON_REFUSED));
    check(!member_failed(bad, &worker, REASON_REFUSED));
    check(picked(pool) == 0);
    check(member_failed(bad, &worker, REASON_REFUSED));
    check(picked(pool) == 1 && member_failures(bad) == 5 && bad->ejections == 1);
    worker.now_ns += 100;
    check(picked(pool) == 0); /* the probe */
    check(picked(pool) == 1);
    check(member_succeeded(bad) && !member_succeeded(bad));
    check(picked(pool) == 0 && picked(pool) == 0);
    pool_end(pool);
}

TEST(an_ejection_doubles_up_to_its_longest)
{
    static const uint64_t lengths[] = {100, 200, 300, 300};
    struct backend_pool *pool = ejecting_pool();

    for (int i = 0; i < 2; i++)
        check(!member_failed(&fakes[0].member, &worker, REASON_REFUSED));
    for (unsigned i = 0; i < ARRAY_COUNT(lengths); i++) {
        check(member_failed(&fakes[0].member, &worker, REASON_REFUSED));
        worker.now_ns += lengths[i] - 1;
        check(picked(pool) == 1);
        worker.now_ns++;
        check(picked(pool) == 0);
    }
    pool_end(pool);
}

TEST(an_ejected_member_is_better_than_none)
{
    struct backend_pool *pool = ejecting_pool();

    for (int i = 0; i < 6; i++)
        check(member_failed(&fakes[i % 2].member, &worker, REASON_REFUSED) == (i >= 4));
    check(picked(pool) == 0);
    pool_end(pool);
}

TEST(nobody_stays_out_where_ejection_is_switched_off)
{
    struct backend_pool *pool = ejecting_pool();

    for (int i = 0; i < 3; i++)
        check(member_failed(&fakes[0].member, &worker, REASON_REFUSED) == (i == 2));
    check(picked(pool) == 1);
    backend_pool_adjust(pool, &(struct pool_options){.balance = BALANCE_FIRST});
    for (int i = 0; i < 3; i++) {
        check(picked(pool) == 0);
        check(!member_succeeded(&fakes[0].member));
        worker.now_ns += 100;
    }
    pool_end(pool);
}

TEST(sessions_that_fail_during_an_ejection_do_not_lengthen_it)
{
    struct backend_pool *pool = ejecting_pool();

    for (int i = 0; i < 5; i++)
        check(member_failed(&fakes[0].member, &worker, REASON_REFUSED) == (i == 2));
    worker.now_ns += 100;
    check(picked(pool) == 0);
    pool_end(pool);
}

TEST(failures_of_our_own_eject_nobody)
{
    static const enum reason ours[] = {REASON_NO_MEMORY, REASON_NO_DESCRIPTORS, REASON_SYSTEM};
    struct backend_pool *pool = ejecting_pool();

    for (unsigned i = 0; i < 9; i++)
        check(!member_failed(&fakes[0].member, &worker, ours[i % ARRAY_COUNT(ours)]));
    check(picked(pool) == 0 && member_failures(&fakes[0].member) == 0);
    pool_end(pool);
}

TEST(a_pick_says_that_it_met_a_member_with_its_max_conn)
{
    struct backend_pool *pool = ejecting_pool();
    struct pick first = {.worker = &worker}, second = {.worker = &worker};

    fakes[0].member.max_conn = 1;
    check(backend_pick(pool, &first) == &fakes[0].member && !first.met_full);
    check(backend_pick(pool, &second) == &fakes[1].member && second.met_full);
    pool_end(pool);
}
