/* A station takes other settings, as the program does it: by mails to its workers. */
#include <errno.h>
#include <stdio.h>

#include "tests/sim/kernel.h"
#include "tests/sim/scenario.h"

#define STEP_NS       (30 * SIM_SECOND)
#define SPREAD_NS     (3 * SIM_MS)
#define BIND_PAUSE_NS (10 * SIM_MS)

enum { BIND_TRIES = 5 };

static void change_step(struct mail *mail)
{
    struct station_relay *relay = container_of(mail, struct station_relay, change.mail);

    relay->change.rc = relay_take(relay->relay, relay->change.step, relay->change.error,
                                  sizeof(relay->change.error));
    relay->change.taken = true;
}

static void change_post(struct sim *sim, void *context)
{
    struct station_relay *relay = context;

    worker_post(relay->worker, &relay->change.mail);
}

static bool change_is_taken(void *context)
{
    const struct station *station = context;

    for (uint32_t i = 0; i < station->count; i++)
        if (!station->relays[i].change.taken)
            return false;
    return true;
}

/* The first error there was. */
static int station_step(struct station *station, enum relay_change step, char *error,
                        size_t error_size)
{
    struct sim *sim = station->sim;
    int rc = 0;

    for (uint32_t i = 0; i < station->count; i++) {
        struct station_relay *relay = &station->relays[i];

        relay->change.mail.run = change_step;
        relay->change.step = step;
        relay->change.taken = false;
        sim_at(sim, sim->options.calm ? 0 : sim_random(sim, SPREAD_NS), change_post, relay);
    }
    if (!sim_run_until(sim, STEP_NS, change_is_taken, station))
        sim_fault(sim, "%s: step %d of a reload is not taken", station->host->name, (int)step);
    for (uint32_t i = 0; !rc && i < station->count; i++) {
        rc = station->relays[i].change.rc;
        if (rc)
            snprintf(error, error_size, "%s", station->relays[i].change.error);
    }
    return rc;
}

static void station_take(struct station *station, enum relay_change step)
{
    char error[512] = "";

    if (station_step(station, step, error, sizeof(error)))
        sim_fault(station->sim, "%s: step %d of a reload failed: %s", station->host->name,
                  (int)step, error);
}

/* As bind does it on Linux: a port in use is waited for. */
static int station_prepare(struct station *station, struct settings *settings, char *error,
                           size_t error_size)
{
    int rc = -EADDRINUSE;

    for (int try = 0; rc == -EADDRINUSE && try < BIND_TRIES; try++) {
        if (try)
            sim_run(station->sim, BIND_PAUSE_NS);
        rc = crew_prepare(station->crew, settings, error, error_size);
    }
    return rc;
}

int station_change(struct station *station, const char *text, char *error, size_t error_size)
{
    struct settings *settings = station_read(station, text, error, error_size);
    int rc = settings ? station_prepare(station, settings, error, error_size) : -EINVAL;

    if (rc) {
        settings_free(&settings);
        return rc;
    }
    rc = station_step(station, RELAY_PREPARE, error, error_size);
    if (rc) {
        station_take(station, RELAY_FORGET);
        crew_forget(station->crew);
        return rc;
    }
    station_take(station, RELAY_SWITCH);
    crew_switched(station->crew, sim_now(station->sim));
    station_take(station, RELAY_SETTLE);
    crew_settled(station->crew);
    return 0;
}

void station_sweep(struct station *station)
{
    if (!station->count || !crew_is_left(station->crew))
        return;
    station_take(station, RELAY_SWEEP);
    crew_sweep(station->crew, sim_now(station->sim));
}
