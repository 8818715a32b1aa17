/* Two workers pick while a third thread swaps the table; a member that ended is never picked. */
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "balancer/balancer.h"
#include "core/mem.h"
#include "tests/unit/real_worker.h"
#include "tests/unit/test.h"

/* A sanitizer makes a pick thirty times as long. */
#ifdef __SANITIZE_THREAD__
enum { PICKS = 3000000 };
#elif defined(__SANITIZE_ADDRESS__)
enum { PICKS = 1000000 };
#else
enum { PICKS = 10000000 };
#endif
enum { PICKS_A_TURN = 64, MEMBERS = 8, VALID = 0x600d, ENDED = 0xdead };

struct short_member {
    struct member member;
    unsigned mark;
};

static struct backend_pool *pool;
static _Atomic uint32_t pickers, nobody, ended, others;
static _Atomic uint64_t pick_ns;
static uint32_t made, gone; /* the owner's */

static void short_member_unused(struct member *member)
{
    struct short_member *short_lived = container_of(member, struct short_member, member);

    gone++;
    short_lived->mark = ENDED;
    free(short_lived);
}
static const struct member_ops short_member_ops = {.unused = short_member_unused};

static struct member *short_member_new(void)
{
    struct short_member *member = calloc(1, sizeof(*member));

    must(member);
    member->member.ops = &short_member_ops;
    member->member.max_conn = 1000;
    member->mark = VALID;
    made++;
    return &member->member;
}

static void short_member_add(void)
{
    must(backend_pool_add(pool, short_member_new()) == 0);
}

static uint64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void picker_judge(const struct member *member)
{
    unsigned mark = member ? container_of(member, struct short_member, member)->mark : VALID;

    if (!member)
        atomic_fetch_add(&nobody, 1);
    else if (mark == ENDED)
        atomic_fetch_add(&ended, 1);
    else if (mark != VALID)
        atomic_fetch_add(&others, 1);
}

static void *picker_main(void *context)
{
    struct worker worker = {.index = *(uint32_t *)context};
    struct member *last = NULL;
    uint64_t began_ns = now_ns();

    snapshot_join();
    for (int i = 0; i < PICKS; i++) {
        struct pick pick = {.worker = &worker};
        struct member *member = backend_pick(pool, &pick);

        picker_judge(member);
        if (last) /* held over turns, as sessions do */
            member_drop(last, &worker);
        last = member;
        if (i % PICKS_A_TURN == 0)
            snapshot_turn();
    }
    if (last)
        member_drop(last, &worker);
    snapshot_leave();
    atomic_fetch_add(&pick_ns, now_ns() - began_ns);
    atomic_fetch_sub(&pickers, 1);
    return NULL;
}

static void swap(struct worker *owner)
{
    short_member_add();
    backend_pool_remove(pool, backend_pool_member(pool, made % backend_pool_count(pool)));
    must(worker_turn(owner, owner->now_ns + 100000) == 0);
}

TEST(two_workers_pick_while_a_third_swaps_the_table)
{
    struct real_worker real;
    pthread_t threads[2];
    uint32_t indexes[] = {1, 2};

    must(real_worker_open(&real, ""));
    pool = backend_pool_new(&(struct pool_options){
        .name = "web", .owner = &real.worker, .workers = 3, .eject_after = 3, .eject_ns = 1});
    for (int i = 0; i < MEMBERS; i++)
        short_member_add();
    pickers = 2;
    for (int i = 0; i < 2; i++)
        must(pthread_create(&threads[i], NULL, picker_main, &indexes[i]) == 0);
    while (pickers)
        swap(&real.worker);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    check(turn_until(&real, !grace_pending(&real.worker)));
    check(nobody == 0);
    check(ended == 0);
    check(others == 0);
    check(made - gone == MEMBERS);
    printf("# %u tables, %" PRIu64 " ns a pick and drop\n", made, pick_ns / 2 / PICKS);
    backend_pool_free(&pool);
    check(made == gone);
    worker_release(&real.worker);
}

/* ---- one that comes and goes while a worker looks at it ---- */

static _Atomic bool flipping;

static void *flipper_main(void *context)
{
    struct member *member = context;

    while (flipping) {
        atomic_store(&member->state, MEMBER_SUSPECT);
        atomic_store(&member->state, MEMBER_FIT);
    }
    return NULL;
}

/* How often nobody was found. */
static int pick_and_drop(struct backend_pool *from, int count)
{
    struct worker worker = {.index = 0};
    struct addr source = loopback_addr();
    int missed = 0;

    for (int i = 0; i < count; i++) {
        struct pick pick = {.worker = &worker, .source = &source};
        struct member *member = backend_pick(from, &pick);

        missed += !member;
        if (member)
            member_drop(member, &worker);
    }
    return missed;
}

static int pick_while_it_flips(enum balance balance)
{
    struct backend_pool *one =
        backend_pool_new(&(struct pool_options){.name = "web", .balance = balance});
    struct member *member = short_member_new();
    pthread_t thread;
    int missed;

    must(one && backend_pool_add(one, member) == 0);
    flipping = true;
    must(pthread_create(&thread, NULL, flipper_main, member) == 0);
    missed = pick_and_drop(one, PICKS / 5);
    flipping = false;
    pthread_join(thread, NULL);
    backend_pool_free(&one);
    return missed;
}

TEST(every_balance_finds_a_member_that_turns_suspect_and_fit_while_it_looks)
{
    made = gone = 0;
    for (enum balance balance = BALANCE_ROUND_ROBIN; balance <= BALANCE_SOURCE_HASH; balance++)
        check(pick_while_it_flips(balance) == 0);
    check(made == gone);
}
