/* Claims about users who are on their way from one worker to another when a relay drains. */
#include "relay/relay.h"
#include "tests/sim/kernel.h"
#include "tests/sim/scenario.h"
#include "tests/unit/test.h"

enum { SEEDS = 60, PORT = 10001 };

/* More ports than get a socket on each worker: one accepts, and deals out. */
static const char configuration[] = "[server]\nworkers = 2\ndrain_timeout = 20s\n"
                                    "[backend b]\nserver = 10.0.2.1:80\n"
                                    "[listener l]\nbind = 10.0.0.1:10000-10099\nbackend = b\n";

static const struct door door = {SIM_OBEY, PORT, false};

struct scene {
    struct sim *sim;
    struct station station;
    struct visitors visitors;
};

static void scene_open(struct scene *scene, uint64_t seed)
{
    struct sim *sim = sim_open(.seed = seed, .calm = true);
    struct sim_host *relay = sim_host(sim, "relay", "10.0.0.1");
    struct sim_host *users = sim_host(sim, "users", "10.0.1.1");
    struct sim_host *services = sim_host(sim, "services", "10.0.2.1");

    *scene = (struct scene){
        .sim = sim, .visitors = {.sim = sim, .patient = true}
    };
    sim_service(services, SIM_OBEY, 80);
    station_start(&scene->station, sim, relay, configuration);
    sim_run(sim, SIM_SECOND);
    for (int i = 0; i < 4; i++)
        visitors_send(&scene->visitors, users, "10.0.0.1", &door);
}

/* Mail to a worker, which can only be a user for it. */
static bool user_is_on_the_way(void *context)
{
    struct scene *scene = context;

    for (uint32_t i = 0; i < scene->station.count; i++)
        if (atomic_load(&scene->station.relays[i].worker->mailbox))
            return true;
    return false;
}

static void scene_drain(struct scene *scene)
{
    for (uint32_t i = 0; i < scene->station.count; i++)
        relay_drain(scene->station.relays[i].relay);
}

TEST(a_user_who_is_dealt_to_another_worker_as_the_drain_begins_is_served)
{
    uint32_t met = 0;

    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct scene scene;
        uint64_t served;

        scene_open(&scene, seed);
        if (sim_run_until(scene.sim, SIM_SECOND, user_is_on_the_way, &scene)) {
            met++;
            served = 0;
            for (uint32_t i = 0; i < scene.station.count; i++)
                served += counter_read(scene.station.relays[i].worker->counters, COUNTER_ACCEPTED);
            scene_drain(&scene);
            sim_run_until(scene.sim, 60 * SIM_SECOND, sim_users_ended, scene.sim);
            check(sim_users_complete(scene.sim) >= served);
        }
        station_stop(&scene.station);
        check(sim_close(&scene.sim).faults == 0);
    }
    check(met);
}
