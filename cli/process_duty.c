/* What a service manager and an administrator expect of a process. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/privileges.h"
#include "cli/process_parts.h"

int process_open_pid_file(struct process *process)
{
    const struct process_settings *settings = &process->settings->process;
    char error[512];
    int rc = settings->pid_file ? pid_file_open(&process->pid_file, settings->pid_file,
                                                &settings->user, error, sizeof error)
                                : 0;

    if (rc)
        process_complain(process, "cannot start", error);
    return rc;
}

static int process_drop(struct process *process)
{
    const struct process_settings *settings = &process->settings->process;
    int rc = privileges_drop(&settings->user, &settings->group);

    if (rc)
        process_complain(process, "cannot become user or group",
                         rc == -EPERM ? "only root can" : strerror(-rc));
    else if (settings->user.given)
        LOG(process->source, LOG_INFO,
            "dropped to user: a later reload cannot bind ports below 1024 nor read files that only "
            "the old user may read",
            LOG_NUMBER("uid", settings->user.id));
    return rc;
}

int process_take_duty(struct process *process)
{
    uint32_t left = activation_left(&process->activation);
    int rc = process_drop(process);

    if (left)
        LOG(process->source, LOG_WARN, "sockets were handed over that no address here wants",
            LOG_NUMBER("sockets", left));
    if (!rc)
        notify_ready(&process->notify, "serving");
    return rc;
}

static bool reopen_log(struct process *process, struct log *log, const struct log_options *options)
{
    char what[512];
    int error;
    struct log_change *change = log_change_new(log, options, &error);

    if (change) {
        log_change_take(log, &change);
        return true;
    }
    snprintf(what, sizeof what, "cannot open %s anew, lines go on to the old file", options->file);
    process_complain(process, what, strerror(-error));
    return false;
}

void process_reopen_logs(struct process *process, const char *asked_by)
{
    struct log_options options;
    bool good;

    process_log_options(process, process->settings, &options);
    good = reopen_log(process, process->log, &options);
    if (process_access_options(process->settings, &options) && process->access)
        good &= reopen_log(process, process->access, &options);
    if (good)
        LOG(process->source, LOG_INFO, "log reopened", LOG_TEXT("asked_by", asked_by));
}

void process_feed_watchdog(struct process *process, int *timeout_ms)
{
    struct notify *notify = &process->notify;
    uint64_t now_ms = process_clock_ms();

    if (!notify->watchdog_ms)
        return;
    if (now_ms >= notify->feed_at_ms) {
        if (team_moves(&process->team))
            notify_watchdog(notify);
        notify->feed_at_ms = now_ms + notify->watchdog_ms;
    }
    if (*timeout_ms < 0 || (uint64_t)*timeout_ms > notify->feed_at_ms - now_ms)
        *timeout_ms = (int)(notify->feed_at_ms - now_ms);
}
