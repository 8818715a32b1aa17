/* The table of UDP sessions against a list that is searched from end to end. */
#include "relay/udp_session.h"

#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "tests/unit/real_worker.h"

enum { USERS = 12, ADDRESSES = 3, ENDS_MAX = 512 };

/* A far end that remembers what it was sent, and closes in the turn after it was stopped. */
struct far_end {
    struct datagram_end end;
    uint64_t datagrams;
    struct addr source, destination;
    uint16_t port;
    bool stopped, closed;
};

static struct scene {
    struct real_worker real;
    struct udp_sources *sources;
    struct listener_settings settings;
    struct traffic traffic;
    struct gate gate;
    struct backend_pool *pool;
    struct member member;
    struct udp_sessions sessions;
    struct udp_sender *sender;
    struct far_end *ends[ENDS_MAX];
    uint32_t end_count;
    uint64_t next_id;
    uint32_t users;
    int fd;
    bool idle, sender_idle;
} scene;

static void far_send(struct datagram_end *end, const uint8_t *data, uint32_t length)
{
    container_of(end, struct far_end, end)->datagrams++;
}
static void far_stop(struct datagram_end *end, enum reason reason)
{
    container_of(end, struct far_end, end)->stopped = true;
}
static void far_free(struct datagram_end *end)
{
}
static const struct datagram_ops far_ops = {far_send, far_stop, far_free};

static struct datagram_end *member_open_datagrams(struct member *member, struct worker *worker,
                                                  const struct datagram_request *request,
                                                  enum reason *reason)
{
    struct far_end *end = mem_new(sizeof(*end));

    must(end && scene.end_count < ENDS_MAX);
    end->end.ops = &far_ops;
    end->source = request->source;
    end->destination = request->destination;
    end->port = request->port;
    scene.ends[scene.end_count++] = end;
    return &end->end;
}
static void member_unused(struct member *member)
{
}
static const struct member_ops member_ops = {.open_datagrams = member_open_datagrams,
                                             .unused = member_unused};

static void sessions_idle(void *context)
{
    scene.idle = true;
}
static void sender_idle(void *owner)
{
    scene.sender_idle = true;
}

static bool scene_open(uint32_t max, uint32_t max_per_source)
{
    struct addr any = loopback_addr();
    struct udp_sessions_options options = {
        .worker = &scene.real.worker,
        .gate = &scene.gate,
        .next_id = &scene.next_id,
        .id_step = 1,
        .listener = "l",
        .timeout_ns = OPTION_SECOND,
        .limits = {max, max_per_source},
        .traffic = &scene.traffic,
        .idle = sessions_idle
    };

    memset(&scene, 0, sizeof(scene));
    if (!real_worker_open(&scene.real, NULL))
        return false;
    scene.fd = sock_udp_bind(&os_linux, &any, false, false);
    scene.sender = udp_sender_new(&scene.real.worker, scene.fd);
    scene.pool = backend_pool_new(&(struct pool_options){.name = "b"});
    scene.member = (struct member){.ops = &member_ops, .name = "m"};
    options.pool = scene.pool;
    options.sources = scene.sources = udp_sources_new(5);
    gate_init(&scene.gate, &scene.real.worker, &scene.settings, NULL);
    return scene.fd >= 0 && scene.sender && scene.pool && scene.sources &&
           backend_pool_add(scene.pool, &scene.member) == 0 &&
           udp_sessions_init(&scene.sessions, &options) == 0;
}

/* What ends that were stopped do in the end. */
static void scene_close_stopped(void)
{
    for (uint32_t i = 0; i < scene.end_count; i++) {
        struct far_end *end = scene.ends[i];

        if (!end->stopped || end->closed)
            continue;
        end->closed = true;
        end->end.events->closed(&end->end, REASON_IDLE_TIMEOUT);
    }
}

static bool scene_close(void)
{
    udp_sessions_stop(&scene.sessions, REASON_SHUTDOWN);
    scene_close_stopped();
    udp_sender_stop(scene.sender, sender_idle, NULL);
    if (!turn_until(&scene.real, scene.idle && scene.sender_idle))
        return false;
    udp_sessions_release(&scene.sessions);
    udp_sender_free(&scene.sender);
    backend_pool_free(&scene.pool);
    udp_sources_free(&scene.sources);
    close(scene.fd);
    for (uint32_t i = 0; i < scene.end_count; i++)
        mem_free(scene.ends[i]);
    worker_release(&scene.real.worker);
    return true;
}

static struct addr user_addr(uint32_t user)
{
    struct addr addr;

    must(addr_from_host(&addr, user % 2 ? "192.0.2.1" : "192.0.2.2", (uint16_t)(1 + user / 2)) ==
         0);
    return addr;
}

static void user_sends(uint32_t user, uint32_t address)
{
    struct addr source = user_addr(user), local;
    struct udp_arrival arrival = {
        .sender = scene.sender, .users = &scene.users, .source = &source, .local = &local};

    must(addr_from_host(&local, "198.51.100.1", (uint16_t)(1000 + address)) == 0);
    udp_sessions_received(&scene.sessions, &arrival, (const uint8_t *)"x", 1);
}

/* The open far end for that pair, by looking at all. */
static struct far_end *end_of(uint32_t user, uint32_t address)
{
    struct addr source = user_addr(user);

    for (uint32_t i = 0; i < scene.end_count; i++)
        if (!scene.ends[i]->closed && addr_equal(&scene.ends[i]->source, &source) &&
            scene.ends[i]->port == 1000 + address)
            return scene.ends[i];
    return NULL;
}

TEST(each_pair_of_user_and_address_has_its_own_far_end)
{
    uint64_t sent[USERS][ADDRESSES] = {0};

    srand(5);
    check(scene_open(1000, 1000));
    for (int turn = 0; turn < 3000; turn++) {
        uint32_t user = (uint32_t)rand() % USERS, address = (uint32_t)rand() % ADDRESSES;

        user_sends(user, address);
        sent[user][address]++;
        check(end_of(user, address)->datagrams == sent[user][address]);
    }
    check(scene.sessions.count == USERS * ADDRESSES && scene.end_count == USERS * ADDRESSES);
    check(scene_close());
}

TEST(one_source_has_no_more_sessions_than_it_may)
{
    check(scene_open(1000, 4));
    for (uint32_t address = 0; address < ADDRESSES; address++)
        for (uint32_t user = 0; user < USERS; user++)
            user_sends(user, address);
    check(scene.sessions.count == 8); /* two hosts */
    check(counter_read(&scene.real.counters, COUNTER_LIMIT_SESSIONS_PER_SOURCE) ==
          USERS * ADDRESSES - 8);
    check(scene_close());
}

TEST(all_sources_together_have_no_more_than_they_may)
{
    check(scene_open(5, 4));
    for (uint32_t user = 0; user < USERS; user++)
        user_sends(user, 0);
    check(scene.sessions.count == 5);
    check(counter_read(&scene.real.counters, COUNTER_LIMIT_UDP_SESSIONS) == USERS - 5);
    check(scene_close());
}

TEST(a_datagram_of_either_side_keeps_a_session)
{
    struct worker *worker = &scene.real.worker;
    uint64_t begun_ns;

    check(scene_open(1000, 1000));
    begun_ns = worker->now_ns = os_linux.clock_ns(&os_linux);
    user_sends(0, 0);
    user_sends(1, 0);
    worker->now_ns = begun_ns + 600 * OPTION_MS;
    scene.ends[0]->end.events->received(&scene.ends[0]->end, (const uint8_t *)"y", 1);
    worker->now_ns = begun_ns + 1200 * OPTION_MS;
    timers_run(&worker->timers, worker->now_ns);
    check(!scene.ends[0]->stopped && scene.ends[1]->stopped);
    worker->now_ns = begun_ns + 1700 * OPTION_MS;
    timers_run(&worker->timers, worker->now_ns);
    check(scene.ends[0]->stopped);
    scene_close_stopped();
    check(scene.sessions.count == 0);
    check(scene_close());
}

TEST(who_is_denied_gets_no_session)
{
    struct cidr denied;

    check(scene_open(1000, 1000) && cidr_parse(&denied, "192.0.2.2/32") == 0);
    scene.settings.deny = (struct cidr_list){&denied, 1};
    for (uint32_t user = 0; user < USERS; user++)
        user_sends(user, 0);
    check(scene.sessions.count == USERS / 2);
    check(counter_read(&scene.real.counters, COUNTER_SOURCES_DENIED) == USERS / 2);
    check(scene_close());
}
