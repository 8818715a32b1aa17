/* Claims about reloads for which there is no memory, or no descriptor: whichever worker it is that
 * lacks it, nothing has changed, and nothing is left of what was made ready. */
#include <string.h>

#include "core/mem.h"
#include "tests/sim/kernel.h"
#include "tests/sim/scenario.h"
#include "tests/unit/test.h"

enum { ERRORS = 3 }; /* of each kind of call, at most */

/* From one to the other: ports that stay, move, go and come, on TCP and UDP; servers that come and
 * go; limits that are new. */
static const char before[] =
    "[server]\nworkers = 2\ndrain_timeout = 5s\n"
    "[backend one]\nserver = 10.0.2.1\n[backend two]\nserver = 10.0.2.1\nserver = 10.0.2.2\n"
    "[backend gone]\nserver = 10.0.2.2\n"
    "[listener a]\nbackend = one\nbind = 10.0.0.1:80\nbind = 10.0.0.1:81\n"
    "[listener b]\nbackend = two\nbind = 10.0.0.1:82\n"
    "[listener c]\nbackend = gone\nbind = 10.0.0.1:83\n"
    "[listener v]\nbackend = one\nprotocol = udp\nudp_timeout = 2s\n"
    "bind = 10.0.0.1:90\nbind = 10.0.0.1:91\nbind = 10.0.0.1:92\n";
static const char after[] =
    "[server]\nworkers = 2\ndrain_timeout = 5s\n"
    "[backend one]\nserver = 10.0.2.2\nserver = 10.0.2.1\n[backend two]\nserver = 10.0.2.2\n"
    "[backend new]\nserver = 10.0.2.1\n"
    "[listener a]\nbackend = one\nbind = 10.0.0.1:80\nrate_limit = 1000/s\n"
    "[listener b]\nbackend = two\nbind = 10.0.0.1:82\nbind = 10.0.0.1:81\n"
    "[listener d]\nbackend = new\nbind = 10.0.0.1:84\nbind = 10.0.0.1:10000-10099\n"
    "[listener v]\nbackend = one\nprotocol = udp\nbind = 10.0.0.1:90\n"
    "[listener w]\nbackend = new\nprotocol = udp\nbind = 10.0.0.1:91\nbind = 10.0.0.1:93\n"
    "rate_limit = 1000/s\n";

static const struct door doors[] = {
    {SIM_OBEY,     80, false},
    {SIM_OBEY,     81, false},
    {SIM_OBEY,     82, false},
    {SIM_UDP_ECHO, 90, false},
    {SIM_UDP_ECHO, 91, false},
    {SIM_OBEY,     83, false}, /* only before */
    {SIM_UDP_ECHO, 92, false},
    {SIM_OBEY,     84, false}, /* only after */
    {SIM_UDP_ECHO, 93, false},
};
enum { DOORS = ARRAY_COUNT(doors), STAYING = 5, BEFORE = 7 };

struct scene {
    struct sim *sim;
    struct sim_host *users, *relay;
    struct station station;
    bool met; /* what was to fail has failed */
    char error[512];
};

static void scene_close(struct scene *scene)
{
    station_stop(&scene->station);
    check(sim_close(&scene->sim).faults == 0);
}

/* Users of these doors complete. */
static void scene_visit(struct scene *scene, uint32_t from, uint32_t to)
{
    struct visitors visitors = {.sim = scene->sim, .patient = true};

    for (uint32_t door = from; door < to; door++)
        visitors_send(&visitors, scene->users, "10.0.0.1", &doors[door]);
    visitors_await(&visitors);
    sim_run(scene->sim, 10 * SIM_SECOND); /* until the sessions have ended */
}

static int scene_change(struct scene *scene, const char *text)
{
    return station_change(&scene->station, text, scene->error, sizeof(scene->error));
}

static void scene_open(struct scene *scene)
{
    struct sim *sim = sim_open(.seed = 3, .calm = true);
    struct sim_host *services[2];

    *scene = (struct scene){.sim = sim, .met = true, .relay = sim_host(sim, "relay", "10.0.0.1")};
    scene->users = sim_host(sim, "users", "10.0.1.1");
    services[0] = sim_host(sim, "service-1", "10.0.2.1");
    services[1] = sim_host(sim, "service-2", "10.0.2.2");
    for (uint32_t door = 0; door < DOORS; door++)
        for (uint32_t i = 0; i < 2; i++)
            sim_service(services[i], doors[door].kind, doors[door].port);
    station_start(&scene->station, sim, scene->relay, before);
    sim_run(sim, SIM_SECOND);
    scene_visit(scene, 0, BEFORE);
    check(scene_change(scene, before) == 0); /* lets go of what only the start needs */
}

/* What a relay has; all that was made for other settings shows here. */
struct holdings {
    const struct settings *settings;
    uint32_t fds;
    int64_t blocks;
};
static struct holdings scene_holdings(const struct scene *scene)
{
    return (struct holdings){crew_settings(scene->station.crew), scene->relay->fds, mem_live()};
}

static void check_nothing_changed(struct scene *scene, const struct holdings *had)
{
    struct holdings have;

    sim_run(scene->sim, SIM_SECOND / 2); /* what stops takes a turn to go */
    have = scene_holdings(scene);
    check(*scene->error);
    check(have.settings == had->settings);
    check(have.fds == had->fds);
    check(have.blocks == had->blocks);
}

/* It could do without; so the next one begins from the same again. */
static void change_back(struct scene *scene)
{
    check(scene_change(scene, before) == 0);
    for (int i = 0; i < 40 && crew_is_left(scene->station.crew); i++) {
        station_sweep(&scene->station);
        sim_run(scene->sim, SIM_SECOND);
    }
    check(!crew_is_left(scene->station.crew));
}

/* Whether the change was refused; then nothing else has happened. */
static bool is_refused(struct scene *scene, bool memory)
{
    struct holdings had = scene_holdings(scene);
    int rc = scene_change(scene, after);

    scene->met = memory ? mem_failed() : scene->sim->fault_met;
    mem_fail_at(0);
    scene->sim->options.fail_op = 0;
    sim_host_descriptors(scene->relay, SIM_FDS);
    if (rc)
        check_nothing_changed(scene, &had);
    else if (crew_settings(scene->station.crew) == had.settings)
        sim_fault(scene->sim, "taken, and the old settings are in force");
    return rc;
}

static void scene_end(struct scene *scene)
{
    scene_visit(scene, 0, STAYING);
    scene_visit(scene, BEFORE, DOORS);
    scene_close(scene);
}

TEST(a_reload_that_any_allocation_is_refused_to_changes_nothing_and_leaves_nothing)
{
    uint32_t refused = 0;
    struct scene scene;

    scene_open(&scene);
    for (uint64_t n = 1; scene.met; n++) {
        mem_fail_at(n);
        if (!is_refused(&scene, true)) {
            if (scene.met)
                change_back(&scene);
            continue;
        }
        refused++;
        if (n % 64 == 0)
            scene_visit(&scene, 0, BEFORE);
    }
    check(refused > 100);
    scene_end(&scene);
}

TEST(a_reload_that_lacks_descriptors_changes_nothing_and_leaves_nothing)
{
    struct scene scene;
    uint32_t room = 0;

    scene_open(&scene);
    for (;; room++) {
        sim_host_descriptors(scene.relay, scene.relay->fds + room);
        if (!is_refused(&scene, false))
            break;
        check(strstr(scene.error, "Too many open files") != NULL);
        if (room % 16 == 0)
            scene_visit(&scene, 0, BEFORE);
    }
    check(room > 50);
    scene_end(&scene);
}

/* The kernel may refuse a call in several ways. */
TEST(a_reload_that_any_call_is_refused_to_changes_nothing_or_does_without)
{
    uint32_t refused = 0;

    for (uint64_t error = 0; error < ERRORS; error++) {
        struct scene scene;

        scene_open(&scene);
        for (uint64_t n = 1; scene.met; n++) {
            scene.sim->fault_met = false;
            scene.sim->options.fail_op = scene.sim->ops + n;
            scene.sim->options.fail_error = error;
            if (is_refused(&scene, false))
                refused++;
            else if (scene.met)
                change_back(&scene);
        }
        scene_end(&scene);
    }
    check(refused > 100);
}
