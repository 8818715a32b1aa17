#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "relay/relay.h"
#include "tests/sim/kernel.h"
#include "tests/sim/scenario.h"

#define STOP_NS (60 * SIM_SECOND)

static bool fault_asked(const struct sim *sim)
{
    return sim->options.fail_op || sim->options.fail_alloc;
}

static void station_failed(struct station *station, const char *what, const char *error)
{
    if (!fault_asked(station->sim))
        sim_fault(station->sim, "%s: %s: %s", station->host->name, what, error);
}

uint32_t scenario_workers(const struct sim *sim)
{
    return 1u << sim->options.seed % 3;
}

static void station_ended(void *context)
{
    struct station_relay *relay = context;

    relay->ended = true;
}

/* As the program does it: none stops before all are drained. */
static void station_drained(void *context)
{
    struct station_relay *relay = context;
    struct station *station = relay->station;

    relay->drained = true;
    for (uint32_t i = 0; i < station->count; i++)
        if (!station->relays[i].drained)
            return;
    for (uint32_t i = 0; i < station->count; i++)
        relay_stop(station->relays[i].relay);
}

static void station_registered(void *context)
{
    struct station_relay *relay = context;

    relay->station->registered = true;
}

struct settings *station_read(const struct station *station, const char *text, char *error,
                              size_t error_size)
{
    char *said = NULL;
    size_t length = 0;
    FILE *errors = open_memstream(&said, &length);
    struct settings *settings;

    must(errors);
    settings = settings_parse(station->host->name, text, strlen(text), errors);
    fclose(errors);
    snprintf(error, error_size, "%s", said);
    free(said);
    return settings;
}

static bool station_make_relay(struct station *station, struct station_relay *relay)
{
    struct relay_options options = {.worker = relay->worker,
                                    .crew = station->crew,
                                    .ended = station_ended,
                                    .drained = station_drained,
                                    .registered = station_registered,
                                    .context = relay};
    char error[512] = "";

    relay->station = station;
    relay->relay = relay_new(&options, error, sizeof(error));
    if (!relay->relay)
        station_failed(station, "relay", error);
    return relay->relay;
}

static bool station_make(struct station *station)
{
    uint32_t count = station->settings->process.workers;
    struct worker *workers[ARRAY_COUNT(station->relays)];
    char error[512] = "";
    int failed;

    for (uint32_t i = 0; i < count; i++) {
        station->relays[i].worker = workers[i] = sim_worker(station->host);
        if (!station->relays[i].worker) {
            station_failed(station, "worker", "no memory or operation for it");
            return false;
        }
    }
    station->crew = crew_new(sim_os(station->host), station->settings, workers, count, &failed,
                             error, sizeof(error));
    if (!station->crew) {
        station_failed(station, "crew", error);
        return false;
    }
    for (uint32_t i = 0; i < count; i++)
        if (!station_make_relay(station, &station->relays[i]))
            return false;
    return true;
}

static void station_free(struct station *station)
{
    for (uint32_t i = 0; i < ARRAY_COUNT(station->relays); i++)
        relay_free(&station->relays[i].relay);
    crew_free(&station->crew);
    settings_free(&station->settings);
    station->count = 0;
}

/* One that cannot start takes the others with it. */
static void station_begin(struct station *station)
{
    char error[512] = "";

    while (station->count < station->settings->process.workers) {
        struct relay *relay = station->relays[station->count++].relay;

        if (relay_start(relay, error, sizeof(error)) < 0) {
            station_failed(station, "relay", error);
            station_stop(station);
            return;
        }
    }
}

void station_start(struct station *station, struct sim *sim, struct sim_host *host,
                   const char *text)
{
    char error[512];

    *station = (struct station){.sim = sim, .host = host};
    station->settings = station_read(station, text, error, sizeof(error));
    if (!station->settings)
        station_failed(station, "settings", error);
    if (station->settings && station_make(station))
        station_begin(station);
    else
        station_free(station);
}

/* What one has sent is the other's to receive. */
static bool station_has_ended(void *context)
{
    const struct station *station = context;

    for (uint32_t i = 0; i < station->count; i++)
        if (!station->relays[i].ended || atomic_load(&station->relays[i].worker->mailbox))
            return false;
    return true;
}

void station_stop(struct station *station)
{
    bool drains = station->count && sim_random(station->sim, 2);

    for (uint32_t i = 0; i < station->count; i++)
        if (drains)
            relay_drain(station->relays[i].relay);
        else
            relay_stop(station->relays[i].relay);
    if (!sim_run_until(station->sim, STOP_NS, station_has_ended, station))
        sim_fault(station->sim, "%s: the relay does not end", station->host->name);
    station_free(station);
}

/* ---- visitors ---- */
static uint64_t some_bytes(struct sim *sim)
{
    static const uint64_t sizes[] = {16, 17, 100, 1500, 16384, 20000, 65536, 200000};

    if (sim_random(sim, 16) == 0)
        return sim_random(sim, 600000);
    return sizes[sim_random(sim, ARRAY_COUNT(sizes))] + sim_random(sim, 100);
}

static struct sim_user_script script_for(struct sim *sim, const struct door *door)
{
    struct sim_user_script script = {.up = some_bytes(sim), .down = some_bytes(sim)};

    script.echo = door->kind == SIM_ECHO;
    script.keep_open = !script.echo && sim_random(sim, 3) == 0;
    if (sim_random(sim, 8) == 0)
        script.up = sim_random(sim, 6); /* too few to ask for anything */
    if (script.up < HISTORY_HEAD)
        script.keep_open = false;
    if (sim_random(sim, 4) == 0 && script.down < 250000)
        script.read_pause_ns = sim_random(sim, 20 * SIM_MS);
    if (sim_random(sim, 4) == 0 && script.up < 250000)
        script.write_pause_ns = sim_random(sim, 20 * SIM_MS);
    if (door->kind == SIM_CLOSE)
        script.down = 0;
    if (door->kind == SIM_SILENT || door->kind == SIM_BLACK_HOLE)
        script.patience_ns = SIM_SECOND + sim_random(sim, 10 * SIM_SECOND);
    if (sim_random(sim, 10) == 0)
        script.reset_after = 1 + sim_random(sim, script.down + 1);
    if (sim_random(sim, 12) == 0) /* gone again before anything was connected, perhaps */
        script.patience_ns = 1 + sim_random(sim, 40 * SIM_MS);
    return script;
}

static bool behaves(const struct door *door)
{
    return !door->absent && (door->kind == SIM_OBEY || door->kind == SIM_ECHO ||
                             door->kind == SIM_SLOW || door->kind == SIM_UDP_ECHO);
}

void visitors_send(struct visitors *visitors, struct sim_host *from, const char *address,
                   const struct door *door)
{
    struct sim *sim = visitors->sim;
    uint32_t at = visitors->count++;
    struct addr server;

    must(at < VISITORS_MAX && addr_from_host(&server, address, door->port) == 0);
    visitors->doors[at] = door;
    if (door->kind == SIM_UDP_ECHO) {
        struct sim_datagrams script = {.count = 1 + (uint32_t)sim_random(sim, 40),
                                       .size = 8 + (uint32_t)sim_random(sim, 1000),
                                       .flight = 1 + (uint32_t)sim_random(sim, 8)};

        visitors->users[at] = sim_udp_user(from, &server, &script);
    } else {
        struct sim_user_script script = script_for(sim, door);

        if (visitors->patient)
            script.reset_after = script.patience_ns = 0;
        visitors->resets[at] = script.reset_after || (script.patience_ns && behaves(door));
        visitors->users[at] = sim_user(from, &server, &script);
    }
}

static bool cuts_short(const struct door *door)
{
    return door->absent || door->kind == SIM_RESET || door->kind == SIM_CUT ||
           door->kind == SIM_SILENT || door->kind == SIM_BLACK_HOLE;
}

static void visitor_judge(struct visitors *visitors, uint32_t at)
{
    const struct sim_user *user = visitors->users[at];
    const struct door *door = visitors->doors[at];
    bool complete = user->end == SIM_USER_COMPLETE;

    if (user->end == SIM_USER_RUNNING)
        sim_fault(visitors->sim, "user %u has not ended", user->id);
    if (complete && !user->is_udp && user->script.up >= HISTORY_HEAD && cuts_short(door))
        sim_fault(visitors->sim, "user %u at port %u: complete, though its service was not",
                  user->id, door->port);
    if (user->is_udp && visitors->loses_datagrams)
        return;
    if (visitors->rough || visitors->resets[at] || !behaves(door) || complete)
        return;
    sim_fault(visitors->sim, "user %u at port %u: ended %d after %llu bytes and %u answers",
              user->id, door->port, (int)user->end, (unsigned long long)user->received,
              user->answers);
}

void visitors_await(struct visitors *visitors)
{
    sim_run_until(visitors->sim, 120 * SIM_SECOND, sim_users_ended, visitors->sim);
    for (uint32_t i = 0; i < visitors->count; i++)
        visitor_judge(visitors, i);
}
