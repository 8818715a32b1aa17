/* What the admin socket asks of the process. */
#include <errno.h>
#include <stdio.h>
#include <time.h>

#include "cli/process_parts.h"

/* A picture that is under way may be older than the question: one more follows it. */
static bool admin_wants_picture(void *context)
{
    struct process *process = context;

    if (team_is_picturing(&process->team)) {
        process->picture_again = true;
        return true;
    }
    return team_ask_picture(&process->team);
}

static void admin_drains(void *context, const char *asked_by)
{
    struct process *process = context;

    if (!process->ends)
        process_end(process, asked_by);
}

static void admin_stops(void *context, const char *asked_by)
{
    struct process *process = context;

    while (process->ends < 2)
        process_end(process, asked_by);
}

static bool admin_reloads(void *context, struct writer *error)
{
    return process_reload(context, "reload", error);
}

static const struct admin_events process_admin_events = {
    .picture = admin_wants_picture,
    .drain = admin_drains,
    .stop = admin_stops,
    .reload = admin_reloads,
};

int process_open_admin(struct process *process)
{
    const struct settings *settings = process->settings;
    struct admin_options options = {.settings = &settings->admin,
                                    .owner = settings->process.user,
                                    .counters = &process->counters,
                                    .log = process->source,
                                    .events = &process_admin_events,
                                    .context = process};
    char error[512];

    if (!settings->admin.present)
        return 0;
    process->admin = admin_open(&options, error, sizeof error);
    if (process->admin)
        return 0;
    process_complain(process, "cannot start", error);
    return -EIO;
}

/* ---- pictures ---- */

static bool process_has_tunnel(const struct process *process, const struct status *status)
{
    for (uint32_t i = 0; i < status->server_count; i++)
        if (status->servers[i].registered)
            return true;
    return !process->settings->client.present;
}

static void process_answer(struct process *process, const struct status *status)
{
    struct report report = {.status = status,
                            .state = process->ends ? "draining" : "running",
                            .ready = process->started && !process->ends &&
                                     process_has_tunnel(process, status),
                            .uptime_ms = process_clock_ms() - process->began_ms,
                            .started_ms = process->started_ms,
                            .reloaded_ms = process->reloaded_ms,
                            .workers = process->team.count};

    for (int i = 0; i < COUNTER_COUNT; i++)
        report.counters[i] = process_counter(process, (enum counter)i);
    admin_pictured(process->admin, &report);
}

/* One picture for all who wait, unless some came too late for it: then they all get the next. */
void process_take_picture(struct process *process)
{
    struct status all;
    int error;

    if (!team_take_picture(&process->team, &all, &error))
        return;
    if (process->picture_again) {
        process->picture_again = false;
        if (team_ask_picture(&process->team)) {
            status_release(&all);
            return;
        }
    }
    if (error)
        admin_pictured(process->admin, NULL);
    else
        process_answer(process, &all);
    status_release(&all);
}
