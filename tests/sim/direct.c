/* A relay between sockets: one host each for users, relay and services. */
#include <stdio.h>

#include "tests/sim/kernel.h"
#include "tests/sim/scenario.h"

static const struct door doors[] = {
    {SIM_OBEY,       80, false},
    {SIM_ECHO,       81, false},
    {SIM_SLOW,       82, false},
    {SIM_CLOSE,      83, false},
    {SIM_RESET,      84, false},
    {SIM_CUT,        85, false},
    {SIM_SILENT,     86, false},
    {SIM_BLACK_HOLE, 87, false},
    {SIM_OBEY,       88, true },
    {SIM_UDP_ECHO,   89, false},
    {SIM_OBEY,       90, false},
    {SIM_ECHO,       91, false},
    {SIM_SLOW,       92, false},
    {SIM_OBEY,       93, true },
    {SIM_RESET,      94, false},
    {SIM_CUT,        95, false},
};
enum { SERVICE_PORTS = 8000 };

/* A door to a service of its own whose bytes are spliced from the first. */
#define SPLICED(port)                                                                              \
    "[backend b" port "]\nserver = 10.0.2.1:80" port "\n"                                          \
    "[listener l" port "]\nbind = 10.0.0.1:" port "\nbackend = b" port "\nzero_copy = yes\n"

static const char configuration[] =
    "[server]\nworkers = %u\ndrain_timeout = 5s\n"
    "[backend b0]\nserver = 10.0.2.1:8080\n"
    "[backend b1]\nserver = service.example:8081\n"
    "[backend b2]\nserver = 10.0.2.1:8082\n"
    "[backend b3]\nserver = 10.0.2.1:8083\n"
    "[backend b4]\nserver = 10.0.2.1:8084\n"
    "[backend b5]\nserver = 10.0.2.1:8085\n"
    "[backend b6]\nserver = 10.0.2.1:8086\n"
    "[backend b7]\nserver = 10.0.2.1:8087\n"
    "[backend b8]\nserver = 10.0.2.1:8088\n"
    "[backend b9]\nserver = 10.0.2.1:8089\n"
    "[listener l0]\nbind = 10.0.0.1:80\nbackend = b0\n"
    "[listener l1]\nbind = 10.0.0.1:81\nbackend = b1\n"
    "[listener l2]\nbind = 0.0.0.0:82\nbackend = b2\n"
    "[listener l3]\nbind = 10.0.0.1:83\nbackend = b3\n"
    "[listener l4]\nbind = 10.0.0.1:84\nbackend = b4\n"
    "[listener l5]\nbind = 10.0.0.1:85\nbackend = b5\n"
    "[listener l6]\nbind = 10.0.0.1:86\nbackend = b6\n"
    "[listener l7]\nbind = 10.0.0.1:87\nbackend = b7\n"
    "[listener l8]\nbind = 10.0.0.1:88\nbackend = b8\n"
    "[listener l9]\nbind = 0.0.0.0:89\nbackend = b9\n"
    "protocol = udp\n"
    "[backend b93]\nserver = 10.9.9.9:8093\n" /* nobody has that address */
    "[listener l93]\nbind = 10.0.0.1:93\nbackend = b93\n" SPLICED("90") SPLICED("91") SPLICED("92")
        SPLICED("94") SPLICED("95");

struct direct {
    struct sim *sim;
    struct sim_host *users, *relay, *services;
    struct station station;
    struct visitors visitors;
};

static void direct_build(struct direct *direct, const struct sim_options *options)
{
    struct sim_options own = *options;
    char text[sizeof(configuration)];
    struct sim *sim;

    own.tight |= !own.calm && options->seed % 8 == 0;
    sim = sim_open_with(&own);
    *direct = (struct direct){.sim = sim, .visitors.sim = sim};
    direct->relay = sim_host(sim, "relay", "10.0.0.1");
    direct->users = sim_host(sim, "users", "10.0.1.1");
    direct->services = sim_host(sim, "services", "10.0.2.1");
    sim_name(sim, "service.example", "10.0.2.1");
    for (uint32_t i = 0; i < ARRAY_COUNT(doors); i++) {
        if (!doors[i].absent)
            sim_service(direct->services, doors[i].kind, (uint16_t)(SERVICE_PORTS + doors[i].port));
    }
    direct->visitors.rough = options->fail_op || options->fail_alloc || own.tight;
    snprintf(text, sizeof(text), configuration, scenario_workers(sim));
    station_start(&direct->station, sim, direct->relay, text);
    sim_run(sim, SIM_SECOND);
}

static struct sim_verdict direct_end(struct direct *direct)
{
    visitors_await(&direct->visitors);
    station_stop(&direct->station);
    return sim_close(&direct->sim);
}

static void weather_set(struct direct *direct)
{
    struct sim *sim = direct->sim;
    struct sim_weather weather = {.latency_ns = SIM_US * (1 + sim_random(sim, 30000)),
                                  .jitter_ns = sim_random(sim, 5 * SIM_MS),
                                  .mtu = 1500};

    if (sim_random(sim, 3) == 0) {
        weather.loss = (uint32_t)sim_random(sim, 30);
        direct->visitors.loses_datagrams = true;
    }
    if (!sim->options.calm)
        sim_weather(direct->users, direct->relay, &weather);
}

static void starve(struct sim *sim, void *context)
{
    struct sim_host *host = context;

    sim_host_descriptors(host, host->fds + (uint32_t)sim_random(sim, 4));
}

static void feed(struct sim *sim, void *context)
{
    sim_host_descriptors(context, SIM_FDS);
}

/* For a while the relay has next to no descriptors: nobody already there may notice. */
static void starvation_plan(struct direct *direct)
{
    struct sim *sim = direct->sim;
    uint64_t from = sim_random(sim, SIM_SECOND / 2);

    if (sim_random(sim, 5))
        return;
    direct->visitors.rough = true; /* who comes now may be refused */
    sim_at(sim, from, starve, direct->relay);
    sim_at(sim, from + sim_random(sim, 5 * SIM_SECOND), feed, direct->relay);
}

/* Some users, all kinds of services, TCP over a network that loses and delays. */
struct sim_verdict scenario_direct(const struct sim_options *options)
{
    struct direct direct;
    uint32_t count;

    direct_build(&direct, options);
    weather_set(&direct);
    starvation_plan(&direct);
    for (count = 1 + (uint32_t)sim_random(direct.sim, 12); count; count--) {
        visitors_send(&direct.visitors, direct.users, "10.0.0.1",
                      &doors[sim_random(direct.sim, ARRAY_COUNT(doors))]);
        sim_run(direct.sim, sim_random(direct.sim, 50 * SIM_MS));
    }
    return direct_end(&direct);
}

/* One short session of each protocol: what the fault sweep runs again and again. */
struct sim_verdict scenario_session(const struct sim_options *options)
{
    struct direct direct;

    direct_build(&direct, options);
    visitors_send(&direct.visitors, direct.users, "10.0.0.1", &doors[0]);
    visitors_send(&direct.visitors, direct.users, "10.0.0.1", &doors[1]);
    visitors_send(&direct.visitors, direct.users, "10.0.0.1", &doors[9]);
    visitors_send(&direct.visitors, direct.users, "10.0.0.1", &doors[10]);
    visitors_send(&direct.visitors, direct.users, "10.0.0.1", &doors[11]);
    return direct_end(&direct);
}
