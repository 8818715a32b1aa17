/* The file is read again, and what it says comes into force: all of it, or nothing. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/check.h"
#include "cli/limits.h"
#include "cli/process_parts.h"

enum { SWEEP_MS = 1000 };

struct reload {
    struct process *process;
    struct writer *error;
    struct settings *settings;
    struct log_change *log, *access_change;
    struct log *access; /* where there was none before */
    struct log_source *sources[SETTINGS_WORKERS_MAX];
};

/* ---- the file ---- */

/* What was written to it, without its last newline. */
static void reload_take_errors(struct reload *reload, const char *text, size_t length)
{
    while (length && text[length - 1] == '\n')
        length--;
    writer_bytes(reload->error, text, length);
}

static bool reload_read(struct reload *reload)
{
    const char *file = reload->process->options->file;
    char *text = NULL;
    size_t length = 0;
    FILE *errors = file ? open_memstream(&text, &length) : NULL;

    if (!errors) {
        writer_add(reload->error, file ? "out of memory" : "there is no file to read again");
        return false;
    }
    reload->settings = load_checked(file, errors);
    if (fclose(errors) == 0 && !reload->settings)
        reload_take_errors(reload, text, length);
    free(text);
    return reload->settings;
}

static bool reload_raise_limits(struct reload *reload)
{
    int rc = limits_raise(reload->settings);

    if (rc)
        writer_add(reload->error, "cannot raise the limit of descriptors: %s", strerror(-rc));
    return !rc;
}

static bool reload_judge(struct reload *reload)
{
    struct settings_difference difference;

    if (!settings_diff_restart(reload->process->settings, reload->settings, &difference))
        return reload_raise_limits(reload);
    writer_add(reload->error, "%s: [%s%s%s] a changed %s needs a restart",
               reload->process->options->file, difference.kind, *difference.name ? " " : "",
               difference.name, difference.option);
    return false;
}

/* ---- logs ---- */

static bool reload_change_log(struct reload *reload, struct log *log,
                              const struct log_options *options, struct log_change **change)
{
    int error;

    *change = log_change_new(log, options, &error);
    if (!*change)
        writer_add(reload->error, "cannot open %s: %s", options->file, strerror(-error));
    return *change;
}

static bool reload_open_access(struct reload *reload, const struct log_options *options)
{
    int error;
    bool good = true;

    reload->access = log_open(options, &error);
    if (!reload->access) {
        writer_add(reload->error, "cannot open %s: %s", options->file, strerror(-error));
        return false;
    }
    for (uint32_t i = 0; i < reload->process->team.count; i++) {
        reload->sources[i] = log_source_new(reload->access);
        good &= reload->sources[i] != NULL;
    }
    if (!good)
        writer_add(reload->error, "out of memory");
    return good;
}

static bool reload_open_logs(struct reload *reload)
{
    struct process *process = reload->process;
    struct log_options options;

    process_log_options(process, reload->settings, &options);
    if (!reload_change_log(reload, process->log, &options, &reload->log))
        return false;
    if (!process_access_options(reload->settings, &options))
        return true;
    if (process->access)
        return reload_change_log(reload, process->access, &options, &reload->access_change);
    return reload_open_access(reload, &options);
}

static void reload_take_logs(struct reload *reload)
{
    struct process *process = reload->process;

    log_change_take(process->log, &reload->log);
    if (reload->access_change)
        log_change_take(process->access, &reload->access_change);
    if (process->access && !process->settings->log.access) {
        counter_add(&process->counters, COUNTER_LOG_DROPPED, log_dropped(process->access));
        log_close(&process->access);
    }
    if (!reload->access)
        return;
    process->access = reload->access;
    reload->access = NULL;
}

/* ---- as a whole ---- */

static void reload_add_why(struct reload *reload, int rc, const char *sentence)
{
    const struct process_settings *settings = &reload->process->settings->process;

    writer_add(reload->error, "%s", sentence);
    if (rc == -EACCES && settings->user.given)
        writer_add(reload->error,
                   "; the process has dropped to uid %u, which ports below 1024 are not open to: "
                   "they need a restart",
                   settings->user.id);
}

static bool reload_change(struct reload *reload)
{
    const struct team_change change = {
        .settings = reload->settings,
        .access = reload->access ? reload->sources : NULL,
        .has_access = reload->settings->log.access,
    };
    char error[512] = "";
    int rc = team_change(&reload->process->team, &change, error, sizeof error);

    reload->settings = NULL; /* taken */
    if (rc)
        reload_add_why(reload, rc, error);
    return rc == 0;
}

static bool reload_may_be(struct reload *reload)
{
    const struct process *process = reload->process;

    if (!process->started)
        writer_add(reload->error, "the process is starting");
    else if (process->ends)
        writer_add(reload->error, "the process is ending");
    return process->started && !process->ends;
}

static bool reload_run(struct reload *reload)
{
    bool done = reload_may_be(reload) && reload_read(reload) && reload_judge(reload) &&
                reload_open_logs(reload) && reload_change(reload);

    if (done) {
        reload->process->settings = crew_settings(reload->process->team.crew);
        reload_take_logs(reload);
    }
    log_change_free(&reload->log);
    log_change_free(&reload->access_change);
    log_close(&reload->access);
    settings_free(&reload->settings);
    return done;
}

static void reload_tell(struct reload *reload, bool done, const char *asked_by)
{
    struct process *process = reload->process;
    const struct settings *settings = process->settings;

    counter_add(&process->counters, done ? COUNTER_RELOADS : COUNTER_RELOADS_REFUSED, 1);
    if (!done) {
        LOG(process->source, LOG_WARN, "the old settings stay", LOG_TEXT("asked_by", asked_by),
            LOG_TEXT("error", reload->error->text));
        return;
    }
    process->reloaded_ms = os_linux.wall_ms(&os_linux);
    LOG(process->source, LOG_INFO, "other settings are in force", LOG_TEXT("asked_by", asked_by),
        LOG_NUMBER("listeners", settings->listener_count),
        LOG_NUMBER("tunnels", settings->tunnel_count),
        LOG_NUMBER("servers", settings->client.server_count));
}

bool process_reload(struct process *process, const char *asked_by, struct writer *error)
{
    struct writer own = {0};
    struct reload reload = {.process = process, .error = error ? error : &own};
    bool done;

    notify_reloading(&process->notify);
    done = reload_run(&reload);
    reload_tell(&reload, done, asked_by);
    notify_ready(&process->notify, "serving");
    writer_release(&own);
    return done;
}

void process_sweep(struct process *process, int *timeout_ms)
{
    uint64_t now_ms = process_clock_ms();

    if (!process->started || process->ends || !team_is_left(&process->team))
        return;
    if (now_ms >= process->sweep_ms) {
        team_sweep(&process->team);
        process->sweep_ms = now_ms + SWEEP_MS;
    }
    if (*timeout_ms < 0 || (uint64_t)*timeout_ms > process->sweep_ms - now_ms)
        *timeout_ms = (int)(process->sweep_ms - now_ms);
}
