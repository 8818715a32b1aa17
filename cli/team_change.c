/* The workers take other settings, step by step: none begins one before all have taken the last. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "cli/team.h"
#include "core/os.h"

static bool team_is_changing(struct team *team)
{
    for (uint32_t i = 0; i < team->started; i++)
        if (relay_thread_is_changing(&team->threads[i]))
            return true;
    return false;
}

/* A worker that hangs holds us up, as it should: then the watchdog is not fed. */
static void team_wait(struct team *team)
{
    struct pollfd fd = {.fd = team->event_fd, .events = POLLIN};
    eventfd_t count;

    while (team_is_changing(team))
        if (poll(&fd, 1, -1) > 0)
            eventfd_read(team->event_fd, &count);
    eventfd_write(team->event_fd, 1); /* what else was told is still to be read */
}

/* The first error there was. */
static int team_step(struct team *team, enum relay_change step, char *error, size_t error_size)
{
    int rc = 0;

    for (uint32_t i = 0; i < team->started; i++)
        if (!relay_thread_change(&team->threads[i], step) && step == RELAY_PREPARE)
            rc = -ESHUTDOWN;
    team_wait(team);
    if (rc)
        snprintf(error, error_size, "a worker has ended");
    for (uint32_t i = 0; !rc && i < team->started; i++) {
        rc = team->threads[i].change.rc;
        if (rc)
            snprintf(error, error_size, "%s", team->threads[i].change.error);
    }
    return rc;
}

/* Steps that cannot fail. */
static void team_take(struct team *team, enum relay_change step)
{
    char none[1];

    must(team_step(team, step, none, sizeof none) == 0);
}

static uint64_t team_now_ns(void)
{
    return os_linux.clock_ns(&os_linux);
}

static void team_give_access(struct team *team, const struct team_change *change)
{
    for (uint32_t i = 0; i < team->started; i++) {
        if (change->access)
            team->threads[i].access = change->access[i];
        else if (!change->has_access)
            team->threads[i].access = NULL;
        team->threads[i].change.access = team->threads[i].access;
    }
}

int team_change(struct team *team, const struct team_change *change, char *error, size_t error_size)
{
    int rc = crew_prepare(team->crew, change->settings, error, error_size);

    if (rc) {
        struct settings *settings = change->settings;

        settings_free(&settings);
        return rc;
    }
    rc = team_step(team, RELAY_PREPARE, error, error_size);
    if (rc) {
        team_take(team, RELAY_FORGET);
        crew_forget(team->crew);
        return rc;
    }
    team_give_access(team, change);
    team_take(team, RELAY_SWITCH);
    crew_switched(team->crew, team_now_ns());
    team_take(team, RELAY_SETTLE);
    crew_settled(team->crew);
    if (team_is_left(team)) /* what nobody uses goes at once */
        team_sweep(team);
    return 0;
}

bool team_is_left(const struct team *team)
{
    return crew_is_left(team->crew);
}

void team_sweep(struct team *team)
{
    team_take(team, RELAY_SWEEP);
    crew_sweep(team->crew, team_now_ns());
}
