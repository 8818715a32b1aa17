#include "cli/team.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "core/mem.h"

static int team_fail(struct team *team, const char *what, int rc)
{
    if (!*team->error)
        snprintf(team->error, sizeof team->error, "%s: %s", what, strerror(-rc));
    return rc;
}

/* ---- from start to end ---- */

static int team_make_thread(struct team *team, uint32_t index, const struct team_options *options)
{
    const struct cpu_list *cpus = &options->settings->process.cpus;
    struct relay_thread *thread = &team->threads[index];

    thread->index = index;
    thread->cpu = cpus->count ? cpus->items[index % cpus->count] : -1;
    thread->settings = options->settings;
    thread->os = options->os;
    thread->log = log_source_new(options->log);
    thread->access = options->access ? log_source_new(options->access) : NULL;
    thread->resolver = options->resolver;
    thread->ring_without = options->ring_without;
    thread->event_fd = team->event_fd;
    return thread->log && (thread->access || !options->access) ? 0 : -ENOMEM;
}

static int team_make_threads(struct team *team, const struct team_options *options)
{
    size_t size = team->count * sizeof(struct relay_thread);
    int rc = 0;

    team->threads = mem_aligned(_Alignof(struct relay_thread), size);
    if (!team->threads)
        return -ENOMEM;
    memset(team->threads, 0, size);
    for (uint32_t i = 0; !rc && i < team->count; i++)
        rc = team_make_thread(team, i, options);
    return rc;
}

static int team_bind(struct team *team, const struct team_options *options)
{
    struct worker *workers[SETTINGS_WORKERS_MAX];
    int failed;

    for (uint32_t i = 0; i < team->count; i++)
        workers[i] = &team->threads[i].worker;
    team->crew = crew_new(options->os, options->settings, workers, team->count, &failed,
                          team->error, sizeof team->error);
    if (failed)
        return failed;
    *team->error = 0;
    for (uint32_t i = 0; i < team->count; i++)
        team->threads[i].crew = team->crew;
    return 0;
}

int team_open(struct team *team, const struct team_options *options)
{
    int rc;

    *team = (struct team){.count = options->settings->process.workers};
    must(team->count);
    team->event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (team->event_fd < 0)
        return team_fail(team, "no event descriptor", -errno);
    rc = team_make_threads(team, options);
    if (rc)
        team_fail(team, "no workers", rc);
    else
        rc = team_bind(team, options);
    if (rc)
        team_close(team);
    return rc;
}

int team_start(struct team *team)
{
    int rc = 0;

    while (!rc && team->started < team->count) {
        rc = relay_thread_start(&team->threads[team->started]);
        team->started += !rc;
    }
    if (!rc)
        return 0;
    team_stop(team);
    return team_fail(team, "cannot start a thread", rc);
}

bool team_join(struct team *team)
{
    for (uint32_t i = 0; i < team->started; i++) {
        struct relay_thread *thread = &team->threads[i];

        relay_thread_join(thread);
        if (thread->failed && !*team->error)
            snprintf(team->error, sizeof team->error, "%s", thread->error);
    }
    return !*team->error;
}

void team_close(struct team *team)
{
    crew_free(&team->crew);
    mem_free(team->threads);
    team->threads = NULL;
    close(team->event_fd);
}

/* ---- while it runs ---- */

static void team_order(struct team *team, enum thread_order order)
{
    for (uint32_t i = 0; i < team->started; i++)
        relay_thread_order(&team->threads[i], order);
}

/* A thread that has ended has come by every step before, as far as the others need to know. */
static uint32_t team_look(const struct team *team, uint32_t *any)
{
    uint32_t all = UINT32_MAX;

    *any = 0;
    for (uint32_t i = 0; i < team->started; i++) {
        uint32_t news = relay_thread_news(&team->threads[i]);

        *any |= news;
        all &= news & THREAD_ENDED ? news | THREAD_OPENED | THREAD_DRAINED | THREAD_STOPPED : news;
    }
    return all;
}

/* One that fails or is drained last takes the others with it; nobody leaves before all have
 * stopped, since what one sends is the other's to receive. */
uint32_t team_news(struct team *team)
{
    uint64_t count;
    uint32_t any, all;

    if (read(team->event_fd, &count, sizeof count) < 0)
        count = 0; /* nothing new */
    all = team_look(team, &any);
    if (any & (THREAD_STOPPED | THREAD_ENDED | THREAD_FAILING) ||
        (team->draining && all & THREAD_DRAINED))
        team->stopping = true;
    if (all & THREAD_OPENED && !team->stopping)
        team_order(team, THREAD_BEGIN);
    if (team->draining)
        team_order(team, THREAD_DRAIN);
    if (team->stopping)
        team_order(team, THREAD_STOP);
    if (all & THREAD_STOPPED)
        team_order(team, THREAD_QUIT);
    return (all & (THREAD_STARTED | THREAD_ENDED)) | (any & THREAD_REGISTERED);
}

void team_drain(struct team *team)
{
    team->draining = true;
    team_order(team, THREAD_DRAIN);
}

void team_stop(struct team *team)
{
    team->stopping = true;
    team_order(team, THREAD_STOP);
}

uint64_t team_counter(const struct team *team, enum counter counter)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < team->count; i++)
        sum += counter_read(&team->threads[i].counters, counter);
    return sum;
}

bool team_moves(struct team *team)
{
    bool all = true;

    for (uint32_t i = 0; i < team->started; i++)
        all &= relay_thread_moves(&team->threads[i]);
    return all;
}

/* ---- pictures ---- */

bool team_is_picturing(const struct team *team)
{
    return team->pictures;
}

bool team_ask_picture(struct team *team)
{
    if (team->pictures)
        return false;
    team->picture = (struct status){0};
    team->picture_error = 0;
    for (uint32_t i = 0; i < team->started; i++)
        team->pictures += relay_thread_ask_picture(&team->threads[i]);
    return team->pictures;
}

static void team_take_part(struct team *team, struct relay_thread *thread)
{
    struct status part;
    int error;

    if (!relay_thread_take_picture(thread, &part, &error))
        return;
    team->pictures--;
    if (!error)
        error = status_merge(&team->picture, &part);
    if (error)
        team->picture_error = error;
    status_release(&part);
}

bool team_take_picture(struct team *team, struct status *picture, int *error)
{
    if (!team->pictures)
        return false;
    for (uint32_t i = 0; i < team->started; i++)
        team_take_part(team, &team->threads[i]);
    if (team->pictures)
        return false;
    *picture = team->picture;
    *error = team->picture_error;
    return true;
}
