/* A relay whose file changes again and again while users come: ports go from listener to listener,
 * listeners have other names, servers come and go, some files are refused.  Who comes to a port
 * that some listener always has does not notice; nor does who has a UDP session at one that leaves.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "tests/sim/kernel.h"
#include "tests/sim/scenario.h"

enum { STEADY = 8, TCP_NAMES = 3, UDP_NAMES = 2, TEXT_SIZE = 4096, TAKEN_PORT = 99, SWEEPS = 30 };

static const struct door doors[] = {
    {SIM_OBEY,     80,    false},
    {SIM_ECHO,     81,    false},
    {SIM_SLOW,     82,    false},
    {SIM_OBEY,     83,    false},
    {SIM_OBEY,     10005, false}, /* of a run: one worker has it, and deals out */
    {SIM_UDP_ECHO, 90,    false},
    {SIM_UDP_ECHO, 91,    false},
    {SIM_UDP_ECHO, 10007, false}, /* also of a run */
  /* These come and go. */
    {SIM_OBEY,     84,    false},
    {SIM_UDP_ECHO, 92,    false},
};
enum { DOORS = ARRAY_COUNT(doors), PASSING_UDP = 9 };

static const char *const binds[DOORS] = {
    "10.0.0.1:80", "0.0.0.0:81", "10.0.0.1:82",          "10.0.0.1:83", "10.0.0.1:10000-10099",
    "10.0.0.1:90", "0.0.0.0:91", "10.0.0.1:10000-10099", "10.0.0.1:84", "10.0.0.1:92",
};

struct reload {
    struct sim *sim;
    struct sim_host *users, *relay, *services[2];
    struct sim_service *falling[DOORS]; /* of the second service's host */
    struct station station;
    struct visitors visitors, guests; /* guests: at ports that come and go */
    bool has[DOORS];
};

/* ---- files ---- */

struct text {
    char text[TEXT_SIZE];
    size_t length;
};

static void __attribute__((format(printf, 2, 3)))
text_add(struct text *text, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    text->length +=
        (size_t)vsnprintf(text->text + text->length, TEXT_SIZE - text->length, format, arguments);
    va_end(arguments);
    must(text->length < TEXT_SIZE);
}

static bool is_udp(uint32_t door)
{
    return doors[door].kind == SIM_UDP_ECHO;
}

static void add_backend(struct sim *sim, struct text *text, const char *name)
{
    static const char *const servers[] = {"server = 10.0.2.1\n", "server = 10.0.2.2\n",
                                          "server = 10.0.2.1\nserver = 10.0.2.2 weight=2\n"};
    static const char *const balances[] = {"round_robin", "least_conn", "random", "source_hash"};

    text_add(text, "[backend %s]\nbalance = %s\n%s", name,
             balances[sim_random(sim, ARRAY_COUNT(balances))],
             servers[sim_random(sim, ARRAY_COUNT(servers))]);
}

/* Each port that there is has one of the names of its protocol. */
static void add_listeners(struct sim *sim, struct text *text, const bool *has, bool udp)
{
    static const char *const names[] = {"a", "b", "c", "v", "w"};
    const char *const *first = udp ? names + TCP_NAMES : names;
    uint32_t count = udp ? UDP_NAMES : TCP_NAMES, name_of[DOORS];

    for (uint32_t door = 0; door < DOORS; door++)
        name_of[door] = (uint32_t)sim_random(sim, count);
    for (uint32_t i = 0; i < count; i++) {
        bool titled = false;

        for (uint32_t door = 0; door < DOORS; door++) {
            if (!has[door] || is_udp(door) != udp || name_of[door] != i)
                continue;
            if (!titled)
                text_add(text, "[listener %s]\nzero_copy = no\nbacklog = %u\nbackend = %s\n%s",
                         first[i], 100 + (unsigned)sim_random(sim, 2),
                         sim_random(sim, 2) ? "one" : "two",
                         udp ? "protocol = udp\nudp_timeout = 5s\n" : "");
            titled = true;
            text_add(text, "bind = %s\n", binds[door]);
        }
    }
}

static void some_text(const struct reload *reload, struct text *text, const bool *has)
{
    text->length = 0;
    text_add(text, "[server]\nworkers = %u\ndrain_timeout = 5s\n", scenario_workers(reload->sim));
    add_backend(reload->sim, text, "one");
    add_backend(reload->sim, text, "two");
    add_listeners(reload->sim, text, has, false);
    add_listeners(reload->sim, text, has, true);
}

/* ---- the world ---- */

static void reload_build(struct reload *reload, const struct sim_options *options)
{
    struct sim *sim = sim_open_with(options);
    struct sim_weather weather = {.latency_ns = SIM_US * (1 + sim_random(sim, 3000)),
                                  .jitter_ns = sim_random(sim, SIM_MS),
                                  .mtu = 1500};
    struct text text;

    *reload = (struct reload){.sim = sim, .visitors.sim = sim, .guests.sim = sim};
    reload->visitors.patient = true;
    reload->visitors.rough = options->fail_op || options->fail_alloc;
    reload->guests.rough = true;
    reload->relay = sim_host(sim, "relay", "10.0.0.1");
    reload->users = sim_host(sim, "users", "10.0.1.1");
    reload->services[0] = sim_host(sim, "service-1", "10.0.2.1");
    reload->services[1] = sim_host(sim, "service-2", "10.0.2.2");
    for (uint32_t door = 0; door < DOORS; door++) {
        sim_service(reload->services[0], doors[door].kind, doors[door].port);
        reload->falling[door] =
            sim_service(reload->services[1], doors[door].kind, doors[door].port);
    }
    sim_service(reload->relay, SIM_OBEY, TAKEN_PORT);
    if (!options->calm)
        sim_weather(reload->users, reload->relay, &weather);
    for (uint32_t door = 0; door < STEADY; door++)
        reload->has[door] = true;
    some_text(reload, &text, reload->has);
    station_start(&reload->station, sim, reload->relay, text.text);
    sim_run(sim, SIM_SECOND);
}

static void reload_visit(struct reload *reload)
{
    uint32_t door = (uint32_t)sim_random(reload->sim, DOORS);

    visitors_send(door < STEADY ? &reload->visitors : &reload->guests, reload->users, "10.0.0.1",
                  &doors[door]);
    sim_run(reload->sim, sim_random(reload->sim, 20 * SIM_MS));
}

static bool guest_is_served(void *context)
{
    return sim_user_answers(context);
}

/* One who had an answer before the port may leave has them all. */
static void reload_visit_for_long(struct reload *reload)
{
    const struct sim_datagrams script = {.count = 40, .size = 100, .pause_ns = 30 * SIM_MS};
    struct visitors *visitors = &reload->visitors;
    struct sim_user *user;
    struct addr server;

    if (!reload->has[PASSING_UDP])
        return;
    must(addr_from_host(&server, "10.0.0.1", doors[PASSING_UDP].port) == 0);
    user = sim_udp_user(reload->users, &server, &script);
    if (!sim_run_until(reload->sim, SIM_SECOND, guest_is_served, user) && !visitors->rough)
        sim_fault(reload->sim, "user %u: not served at a port that is there", user->id);
    visitors->doors[visitors->count] = &doors[PASSING_UDP];
    visitors->users[visitors->count++] = user;
}

/* ---- what happens meanwhile ---- */

static void services_vanish(struct sim *sim, void *context)
{
    struct reload *reload = context;

    for (uint32_t door = 0; door < DOORS; door++)
        sim_service_stop(reload->falling[door]);
}

static void services_return(struct sim *sim, void *context)
{
    struct reload *reload = context;

    for (uint32_t door = 0; door < DOORS; door++)
        reload->falling[door] =
            sim_service(reload->services[1], doors[door].kind, doors[door].port);
}

static void starve(struct sim *sim, void *context)
{
    struct reload *reload = context;

    sim_host_descriptors(reload->relay, reload->relay->fds + (uint32_t)sim_random(sim, 8));
}

static void feed(struct sim *sim, void *context)
{
    struct reload *reload = context;

    sim_host_descriptors(reload->relay, SIM_FDS);
}

/* Some users notice, then, and a reload may be refused. */
static void mishap_plan(struct reload *reload)
{
    struct sim *sim = reload->sim;
    uint64_t from = sim_random(sim, SIM_SECOND / 2);
    uint64_t to = from + sim_random(sim, SIM_SECOND / 2);
    bool hungry = sim_random(sim, 2);

    if (sim_random(sim, 4))
        return;
    reload->visitors.rough = true;
    sim_at(sim, from, hungry ? starve : services_vanish, reload);
    sim_at(sim, to, hungry ? feed : services_return, reload);
}

/* ---- changes ---- */

static void change_judge(const struct reload *reload, const struct settings *before, bool wrong,
                         int rc, const char *error)
{
    const struct settings *after = crew_settings(reload->station.crew);

    if (rc && after != before)
        sim_fault(reload->sim, "a reload was refused, and its settings are in force");
    if (!rc && after == before)
        sim_fault(reload->sim, "a reload was taken, and the old settings are in force");
    if (!rc && wrong)
        sim_fault(reload->sim, "a reload was taken that cannot be");
    if (rc && !wrong && !reload->visitors.rough)
        sim_fault(reload->sim, "a reload was refused: %s", error);
}

static void reload_change(struct reload *reload)
{
    static const char *const wrongs[] = {"[listener a]\nbind = nonsense\n",
                                         "[listener z]\nbackend = one\nbind = 10.0.0.1:99\n"};
    struct sim *sim = reload->sim;
    const struct settings *before = crew_settings(reload->station.crew);
    bool wrong = sim_random(sim, 5) == 0, has[DOORS];
    char error[512] = "";
    struct text text;
    int rc;

    for (uint32_t door = 0; door < DOORS; door++)
        has[door] = door < STEADY || sim_random(sim, 2);
    some_text(reload, &text, has);
    if (wrong)
        text_add(&text, "%s", wrongs[sim_random(sim, ARRAY_COUNT(wrongs))]);
    rc = station_change(&reload->station, text.text, error, sizeof(error));
    change_judge(reload, before, wrong, rc, error);
    if (!rc)
        memcpy(reload->has, has, sizeof(has));
    if (sim_random(sim, 2))
        station_sweep(&reload->station);
}

/* What older settings have left behind goes with its last user, and nothing else remains. */
static void reload_settle(struct reload *reload, uint32_t fds)
{
    struct station *station = &reload->station;
    bool steady[DOORS] = {0};
    char error[512] = "";
    struct text text;

    for (uint32_t door = 0; door < STEADY; door++)
        steady[door] = true;
    some_text(reload, &text, steady);
    if (station_change(station, text.text, error, sizeof(error)) && !reload->visitors.rough)
        sim_fault(reload->sim, "the last reload was refused: %s", error);
    for (uint32_t i = 0; i < SWEEPS && crew_is_left(station->crew); i++) {
        station_sweep(station);
        sim_run(reload->sim, SIM_SECOND);
    }
    if (crew_is_left(station->crew))
        sim_fault(reload->sim, "older settings have left something behind");
    if (reload->relay->fds != fds && !reload->sim->fault_met)
        sim_fault(reload->sim, "%u descriptors, %u before all reloads", reload->relay->fds, fds);
}

struct sim_verdict scenario_reload(const struct sim_options *options)
{
    struct reload reload;
    uint32_t fds, rounds;

    reload_build(&reload, options);
    fds = reload.relay->fds;
    mishap_plan(&reload);
    for (rounds = 3 + (uint32_t)sim_random(reload.sim, 6); rounds && reload.station.count;
         rounds--) {
        for (uint32_t users = (uint32_t)sim_random(reload.sim, 6); users; users--)
            reload_visit(&reload);
        if (sim_random(reload.sim, 3) == 0)
            reload_visit_for_long(&reload);
        reload_change(&reload);
    }
    visitors_await(&reload.visitors);
    visitors_await(&reload.guests);
    sim_run(reload.sim, 10 * SIM_SECOND);
    if (reload.station.count)
        reload_settle(&reload, fds);
    station_stop(&reload.station);
    return sim_close(&reload.sim);
}
