/* The table of UDP sessions against a list that is searched from end to end. */
#include "relay/udp_session.h"

#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "tests/unit/real_worker.h"

enum { USERS = 12, ADDRESSES = 3, ENDS_MAX = 4096 };

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
    struct udp_table table;
    struct udp_sessions sessions;
    struct udp_sessions *taker; /* who has the socket */
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
        .table = &scene.table,
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
    if (scene.fd < 0 || !scene.sender || !scene.pool || !scene.sources ||
        backend_pool_add(scene.pool, &scene.member) ||
        udp_table_init(&scene.table, &scene.real.worker))
        return false;
    udp_sessions_init(&scene.sessions, &options);
    scene.taker = &scene.sessions;
    return true;
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
    udp_table_release(&scene.table);
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
    struct udp_arrival arrival = {.sessions = scene.taker,
                                  .sender = scene.sender,
                                  .users = &scene.users,
                                  .source = &source,
                                  .local = &local};

    must(addr_from_host(&local, "198.51.100.1", (uint16_t)(1000 + address)) == 0);
    udp_table_received(&scene.table, &arrival, (const uint8_t *)"x", 1);
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

TEST(a_session_stays_where_it_began_when_its_socket_is_anothers)
{
    struct udp_sessions other;

    check(scene_open(1000, 1000));
    user_sends(0, 0);
    udp_sessions_init(&other, &scene.sessions.options);
    scene.taker = &other;
    user_sends(0, 0);
    user_sends(1, 0);
    check(scene.sessions.count == 1 && other.count == 1 && scene.ends[0]->datagrams == 2);
    scene.taker = NULL;
    user_sends(0, 0);
    user_sends(2, 0);
    check(scene.sessions.count == 1 && other.count == 1 && scene.ends[0]->datagrams == 3);
    check(scene.users == 2);
    udp_sessions_stop(&other, REASON_SHUTDOWN);
    scene_close_stopped();
    check(turn_until(&scene.real, scene.idle));
    udp_sessions_release(&other);
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

/* ---- all of it against a simple model ---- */

enum { MODEL_MAX = 20, MODEL_MAX_PER_SOURCE = 12, HOSTS = 2 };

static struct model {
    struct far_end *ends[USERS][ADDRESSES]; /* NULL: no session */
    uint64_t used_ns[USERS][ADDRESSES], sent[USERS][ADDRESSES];
    uint32_t count, by_host[HOSTS], refused;
} model;

static void model_forget(uint32_t user, uint32_t address)
{
    model.ends[user][address] = NULL;
    model.count--;
    model.by_host[user % HOSTS]--;
}

static void model_begin(uint32_t user, uint32_t address)
{
    if (model.count == MODEL_MAX || model.by_host[user % HOSTS] == MODEL_MAX_PER_SOURCE) {
        model.refused++;
        return;
    }
    model.ends[user][address] = scene.ends[scene.end_count - 1];
    model.sent[user][address] = 0;
    model.count++;
    model.by_host[user % HOSTS]++;
}

static bool model_user_sends(uint32_t user, uint32_t address)
{
    user_sends(user, address);
    if (!model.ends[user][address])
        model_begin(user, address);
    if (!model.ends[user][address])
        return !end_of(user, address);
    model.used_ns[user][address] = scene.real.worker.now_ns;
    return model.ends[user][address] == end_of(user, address) &&
           model.ends[user][address]->datagrams == ++model.sent[user][address];
}

static void model_service_sends(uint32_t user, uint32_t address)
{
    struct far_end *end = model.ends[user][address];

    if (!end)
        return;
    end->end.events->received(&end->end, (const uint8_t *)"y", 1);
    model.used_ns[user][address] = scene.real.worker.now_ns;
}

static void model_end_closes(uint32_t user, uint32_t address)
{
    struct far_end *end = model.ends[user][address];

    if (!end)
        return;
    end->closed = true;
    end->end.events->closed(&end->end, REASON_TUNNEL_LOST);
    model_forget(user, address);
}

/* Exactly those end that were silent for so long. */
static bool model_time_passes(uint64_t ns)
{
    struct worker *worker = &scene.real.worker;

    worker->now_ns += ns;
    timers_run(&worker->timers, worker->now_ns);
    for (uint32_t i = 0; i < USERS * ADDRESSES; i++) {
        uint32_t user = i / ADDRESSES, address = i % ADDRESSES;
        uint64_t silent_ns = worker->now_ns - model.used_ns[user][address];

        if (!model.ends[user][address])
            continue;
        if (model.ends[user][address]->stopped != (silent_ns >= OPTION_SECOND))
            return false;
        if (silent_ns >= OPTION_SECOND)
            model_forget(user, address);
    }
    scene_close_stopped();
    return true;
}

static bool model_step(void)
{
    uint32_t user = (uint32_t)rand() % USERS, address = (uint32_t)rand() % ADDRESSES;

    switch (rand() % 8) {
    case 0:
        return model_time_passes((uint64_t)rand() % (300 * OPTION_MS));
    case 1:
        model_service_sends(user, address);
        return true;
    case 2:
        model_end_closes(user, address);
        return true;
    default:
        return model_user_sends(user, address);
    }
}

TEST(every_history_of_sessions_agrees_with_a_simple_model)
{
    srand(6);
    memset(&model, 0, sizeof(model));
    check(scene_open(MODEL_MAX, MODEL_MAX_PER_SOURCE));
    scene.real.worker.now_ns = os_linux.clock_ns(&os_linux);
    for (int turn = 0; turn < 10000; turn++) {
        check(model_step());
        check(scene.sessions.count == model.count);
    }
    check(model.refused &&
          counter_read(&scene.real.counters, COUNTER_LIMIT_UDP_SESSIONS) +
                  counter_read(&scene.real.counters, COUNTER_LIMIT_SESSIONS_PER_SOURCE) ==
              model.refused);
    check(scene.end_count > 1000);
    check(scene_close());
}
