/* What SRV records make of a pool, with a resolver that says what the test wants. */
#include "relay/server_pool.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/mem.h"
#include "core/resolve.h"
#include "tests/unit/real_worker.h"

enum { LINES_MAX = 2 };

static struct scene {
    struct real_worker real;
    struct worker *workers[1];
    struct resolver resolver;
    struct resolve_request *asked[LINES_MAX]; /* for records, by line */
    struct backend_settings settings;
    struct backend_server servers[4];
    struct server_pool *pool;
    uint32_t asked_count;
    bool stopped;
} scene;

static void answer_mailed(struct mail *mail)
{
    struct resolve_request *request = container_of(mail, struct resolve_request, mail);

    request->done(request);
}

static void answer(struct resolve_request *request, int error)
{
    request->error = error;
    request->ttl_s = 3600;
    request->mail.run = answer_mailed;
    worker_post(request->worker, &request->mail);
}

/* Addresses are known at once; records when the test says. */
static void fake_ask(struct resolver *resolver, struct resolve_request *request)
{
    scene.asked_count++;
    if (request->srv) {
        scene.asked[strcmp(request->host, "one.test") != 0] = request;
        return;
    }
    request->count = 1;
    must(addr_from_host(&request->addrs[0], "192.0.2.1", request->port) == 0);
    answer(request, 0);
}

static void fake_hurry(struct resolver *resolver)
{
    for (uint32_t i = 0; i < LINES_MAX; i++) {
        struct resolve_request *request = scene.asked[i];

        if (!request || !request->given_up)
            continue;
        scene.asked[i] = NULL;
        answer(request, -EAGAIN);
    }
}

static void add_server(const char *host, uint16_t port, bool srv, enum member_tier tier)
{
    struct backend_server *server = &scene.servers[scene.settings.server_count++];

    snprintf(server->host.name, sizeof(server->host.name), "%s", host);
    snprintf(server->name, sizeof(server->name), srv ? "srv:%s" : "%s:%u", host, port);
    server->host.port = port;
    server->host.srv = srv;
    server->tier = tier;
}

static bool scene_open(void)
{
    memset(&scene, 0, sizeof(scene));
    scene.resolver = (struct resolver){.ask = fake_ask, .hurry = fake_hurry};
    scene.settings = (struct backend_settings){.name = "web", .servers = scene.servers};
    scene.settings.balance = BALANCE_FIRST;
    if (!real_worker_open(&scene.real, NULL))
        return false;
    scene.real.worker.resolver = &scene.resolver;
    scene.workers[0] = &scene.real.worker;
    return true;
}

static bool scene_start(void)
{
    scene.pool = server_pool_new(&scene.settings, scene.workers, 1);
    if (!scene.pool)
        return false;
    server_pool_start(scene.pool);
    turn_some(&scene.real);
    return true;
}

static void pool_stopped(void *context)
{
    scene.stopped = true;
}

static bool scene_close(void)
{
    server_pool_stop(scene.pool, pool_stopped, NULL);
    if (!turn_until(&scene.real, scene.stopped))
        return false;
    server_pool_free(&scene.pool);
    worker_release(&scene.real.worker);
    return true;
}

/* "HOST:PORT PRIORITY WEIGHT, …" */
static struct resolve_request *records_read(uint32_t line, const char *text)
{
    struct resolve_request *request = scene.asked[line];
    char host[64];
    unsigned port, priority, weight;
    int length;

    must(request);
    scene.asked[line] = NULL;
    request->records = mem_new(16 * sizeof(struct srv_record));
    must(request->records);
    while (sscanf(text, "%63[^:]:%u %u %u%n", host, &port, &priority, &weight, &length) == 4) {
        struct srv_record *record = &request->records[request->count++];

        snprintf(record->host, sizeof(record->host), "%s", host);
        record->port = (uint16_t)port;
        record->priority = (uint16_t)priority;
        record->weight = (uint16_t)weight;
        text += length;
        text += strspn(text, ", ");
    }
    return request;
}

static void records(uint32_t line, const char *text)
{
    answer(records_read(line, text), 0);
    turn_some(&scene.real);
}

/* The next answer of a line is due. */
static void later(void)
{
    scene.real.worker.now_ns += 3601 * OPTION_SECOND;
    timers_run(&scene.real.worker.timers, scene.real.worker.now_ns);
    turn_some(&scene.real);
}

static int describe(struct member *member, void *context)
{
    char *text = context;
    size_t length = strlen(text);

    snprintf(text + length, 512 - length, "%s%s %u %u", length ? ", " : "", member->name,
             (unsigned)member->tier, member->weight);
    return 0;
}

/* "NAME TIER WEIGHT, …", by tier and in the order they came. */
static bool pool_is(const char *expected)
{
    char text[512] = "";
    bool equal;

    backend_pool_visit(server_pool_members(scene.pool), describe, text);
    equal = !strcmp(text, expected);
    if (!equal)
        fprintf(stderr, "the pool is: %s\n", text);
    return equal;
}

TEST(priorities_are_tiers_from_the_lines_own_down_to_the_last)
{
    check(scene_open());
    add_server("one.test", 0, true, TIER_NORMAL);
    check(scene_start() && pool_is(""));
    records(0, "a:1 10 5, b:2 10 6, c:3 20 7, d:4 30 8, e:5 65535 9");
    check(pool_is("a:1 1 5, b:2 1 6, c:3 2 7, d:4 3 8, e:5 3 9"));
    check(scene_close());
}

TEST(a_line_may_begin_at_the_highest_tier)
{
    check(scene_open());
    add_server("one.test", 0, true, TIER_VIP);
    check(scene_start());
    records(0, "a:1 4 1, b:2 3 1, c:3 2 1, d:4 1 1");
    check(pool_is("d:4 0 1, c:3 1 1, b:2 2 1, a:1 3 1"));
    check(scene_close());
}

TEST(a_server_that_stays_is_the_same_member_with_its_new_tier_and_weight)
{
    struct pick pick = {.worker = &scene.real.worker};
    struct member *held;

    check(scene_open());
    add_server("one.test", 0, true, TIER_NORMAL);
    check(scene_start());
    records(0, "a:1 0 1, b:1 0 1");
    held = backend_pick(server_pool_members(scene.pool), &pick);
    check(held && !strcmp(held->name, "a:1"));
    later();
    records(0, "a:1 7 9, c:1 0 2");
    check(pool_is("c:1 1 2, a:1 2 9"));
    check(backend_pool_member(server_pool_members(scene.pool), 1) == held);
    check(member_active(held) == 1 && member_state(held) == MEMBER_FIT);
    later();
    records(0, "c:1 0 2"); /* the one with a session goes, too, and ends with it */
    check(pool_is("c:1 1 2") && member_state(held) == MEMBER_GONE && member_active(held) == 1);
    member_drop(held, &scene.real.worker);
    check(scene_close());
}

TEST(a_failed_answer_changes_nothing_and_is_counted)
{
    check(scene_open());
    add_server("one.test", 0, true, TIER_NORMAL);
    check(scene_start());
    records(0, "a:1 0 1");
    later();
    answer(scene.asked[0], -ENOENT);
    scene.asked[0] = NULL;
    turn_some(&scene.real);
    check(pool_is("a:1 1 1"));
    check(counter_read(&scene.real.counters, COUNTER_NAMES_FAILED) == 1);
    later();
    records(0, "b:1 0 1");
    check(pool_is("b:1 1 1"));
    check(scene_close());
}

TEST(a_server_that_is_named_twice_is_one_member)
{
    check(scene_open());
    add_server("a", 1, false, TIER_NORMAL);
    add_server("one.test", 0, true, TIER_NORMAL);
    add_server("two.test", 0, true, TIER_NORMAL);
    check(scene_start());
    records(0, "a:1 0 1, b:1 0 1, b:1 3 1");
    records(1, "b:1 0 1, c:1 0 1");
    check(pool_is("a:1 1 0, b:1 1 1, c:1 1 1"));
    later();
    records(0, "d:1 0 1");
    records(1, "b:1 0 5, c:1 0 1");
    check(pool_is("a:1 1 0, c:1 1 1, d:1 1 1, b:1 1 5"));
    check(scene_close());
}

TEST(long_names_are_told_apart)
{
    char text[512];

    check(scene_open());
    add_server("one.test", 0, true, TIER_NORMAL);
    check(scene_start());
    snprintf(text, sizeof(text), "%060d:1 0 1, %061d:1 0 1, %060d:65535 0 1", 1, 1, 2);
    records(0, text);
    check(backend_pool_count(server_pool_members(scene.pool)) == 3);
    for (uint32_t i = 0; i < 3; i++)
        for (uint32_t k = 0; k < i; k++)
            check(strcmp(backend_pool_member(server_pool_members(scene.pool), i)->name,
                         backend_pool_member(server_pool_members(scene.pool), k)->name));
    check(scene_close());
}

TEST(a_pool_stops_while_names_are_asked_for)
{
    check(scene_open());
    add_server("one.test", 0, true, TIER_NORMAL);
    add_server("a", 1, false, TIER_NORMAL);
    check(scene_start() && scene.asked[0]);
    check(scene_close());
}

/* Without memory for a timer the line is not asked again, and the log says so. */
TEST(what_a_failed_allocation_cost_comes_with_the_next_answer)
{
    for (uint64_t n = 1;; n++) {
        struct resolve_request *request;
        bool failed;

        check(scene_open());
        add_server("one.test", 0, true, TIER_NORMAL);
        check(scene_start());
        records(0, "a:1 0 1, b:1 0 1");
        later();
        request = records_read(0, "b:1 1 1, c:1 0 1");
        mem_fail_at(n);
        answer(request, 0);
        turn_some(&scene.real);
        failed = mem_failed();
        mem_fail_at(0);
        check(failed || pool_is("c:1 1 1, b:1 2 1"));
        later();
        if (scene.asked[0]) {
            records(0, "b:1 1 1, c:1 0 1");
            check(pool_is("c:1 1 1, b:1 2 1"));
        }
        check(scene_close());
        if (!failed)
            break;
    }
}
