/* Servers of one backend that fall away and come back, one host each: users do not notice, a server
 * that fails is asked ever more rarely, and one that is back is used again. */
#include <stdio.h>

#include "tests/sim/kernel.h"
#include "tests/sim/scenario.h"

enum { SERVERS = 3, PORT = 8080, USERS = 50, ROUNDS = 2, BACK_USERS = 300 };
#define EJECT_NS     SIM_SECOND
#define EJECT_MAX_NS (8 * SIM_SECOND)

static const char configuration[] =
    "[server]\nworkers = %u\ndrain_timeout = 5s\n"
    "[backend b]\nserver = 10.0.2.1:8080\nserver = 10.0.2.2:8080\nserver = 10.0.2.3:8080\n"
    "balance = %s\neject_after = %u\neject_time = 1s\neject_max = 8s\nconnect_timeout = 1s\n"
    "[listener l]\nbind = 10.0.0.1:80\nbackend = b\n";

static const char *const balances[] = {"round_robin", "least_conn", "random", "p2c", "weighted"};

static const struct door door = {SIM_OBEY, 80, false};

struct flap {
    struct sim *sim;
    struct sim_host *users, *relay, *hosts[SERVERS];
    struct sim_service *services[SERVERS];
    struct station station;
    struct visitors visitors;
    uint32_t eject_after;
};

static void flap_build(struct flap *flap, const struct sim_options *options)
{
    static const char *const names[SERVERS] = {"a", "b", "c"};
    char text[sizeof(configuration) + 64], address[16];
    struct sim *sim = sim_open_with(options);

    *flap = (struct flap){
        .sim = sim, .visitors = {.sim = sim, .patient = true}
    };
    flap->relay = sim_host(sim, "relay", "10.0.0.1");
    flap->users = sim_host(sim, "users", "10.0.1.1");
    for (uint32_t i = 0; i < SERVERS; i++) {
        snprintf(address, sizeof(address), "10.0.2.%u", i + 1);
        flap->hosts[i] = sim_host(sim, names[i], address);
        flap->services[i] = sim_service(flap->hosts[i], SIM_OBEY, PORT);
    }
    flap->eject_after = 1 + (uint32_t)sim_random(sim, 3);
    snprintf(text, sizeof(text), configuration, scenario_workers(sim),
             balances[sim_random(sim, ARRAY_COUNT(balances))], flap->eject_after);
    station_start(&flap->station, sim, flap->relay, text);
    sim_run(sim, SIM_SECOND);
}

static void flap_visit(struct flap *flap)
{
    visitors_send(&flap->visitors, flap->users, "10.0.0.1", &door);
    sim_run(flap->sim, sim_random(flap->sim, 400 * SIM_MS));
}

static void flap_judge(struct flap *flap)
{
    visitors_await(&flap->visitors);
    flap->visitors.count = 0;
}

/* Tries that follow each other at once are those that led to the ejection, with one more for each
 * that was under way; between the others lies a time out that doubles. */
static void flap_check_tries(struct flap *flap, const struct sim_host *host)
{
    uint64_t least_ns = EJECT_NS;
    uint32_t close = 1, kept = host->syns < SIM_SYNS ? host->syns : SIM_SYNS;

    for (uint32_t i = 1; i < kept; i++) {
        uint64_t gap_ns = host->syn_ns[i] - host->syn_ns[i - 1];

        if (close < flap->eject_after) {
            close++; /* however far apart */
            continue;
        }
        if (gap_ns < EJECT_NS / 2) {
            close++;
            continue;
        }
        if (gap_ns + 100 * SIM_MS < least_ns)
            sim_fault(flap->sim, "%s: tried again after %llu ms, not %llu", host->name,
                      (unsigned long long)(gap_ns / SIM_MS),
                      (unsigned long long)(least_ns / SIM_MS));
        least_ns = least_ns * 2 < EJECT_MAX_NS ? least_ns * 2 : EJECT_MAX_NS;
    }
    if (close > flap->eject_after + 2 || host->syns > SIM_SYNS)
        sim_fault(flap->sim, "%s: tried %u times, %u of them at once", host->name, host->syns,
                  close);
}

static void flap_server_away(struct flap *flap, uint32_t which)
{
    struct sim_host *host = flap->hosts[which];

    sim_service_stop(flap->services[which]);
    host->syns = 0;
    for (uint32_t i = 0; i < USERS; i++)
        flap_visit(flap);
    flap_judge(flap);
    if (!flap->visitors.rough)
        flap_check_tries(flap, host);
}

static void flap_server_back(struct flap *flap, uint32_t which)
{
    struct sim_service *service = sim_service(flap->hosts[which], SIM_OBEY, PORT);

    flap->services[which] = service;
    for (uint32_t i = 0; i < BACK_USERS && !sim_service_accepted(service); i++) {
        flap_visit(flap);
        if (flap->visitors.count == USERS)
            flap_judge(flap);
    }
    flap_judge(flap);
    if (!sim_service_accepted(service) && !flap->visitors.rough)
        sim_fault(flap->sim, "%s: back, and never used again", flap->hosts[which]->name);
}

struct sim_verdict scenario_flapping(const struct sim_options *options)
{
    struct flap flap;

    flap_build(&flap, options);
    flap.visitors.rough = options->fail_op || options->fail_alloc;
    for (uint32_t round = 0; round < ROUNDS; round++) {
        uint32_t which = (uint32_t)sim_random(flap.sim, SERVERS);

        flap_server_away(&flap, which);
        flap_server_back(&flap, which);
    }
    station_stop(&flap.station);
    return sim_close(&flap.sim);
}
