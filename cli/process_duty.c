/* What a service manager and an administrator expect of a process. */
#include <string.h>

#include "cli/privileges.h"
#include "cli/process_parts.h"

static int process_write_pid(struct process *process)
{
    const struct process_settings *settings = &process->settings->process;
    int rc = settings->pid_file ? pid_file_write(settings->pid_file, &settings->user) : 0;

    if (rc)
        process_complain(process, "cannot write pid_file", strerror(-rc));
    return rc;
}

static int process_drop(struct process *process)
{
    const struct process_settings *settings = &process->settings->process;
    int rc = privileges_drop(&settings->user, &settings->group);

    if (rc)
        process_complain(process, "cannot become user or group", strerror(-rc));
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
    int rc = process_write_pid(process);

    if (left)
        LOG(process->source, LOG_WARN, "sockets were handed over that no address here wants",
            LOG_NUMBER("sockets", left));
    if (!rc)
        rc = process_drop(process);
    if (!rc)
        notify_ready(&process->notify, "serving");
    return rc;
}

void process_leave_duty(struct process *process)
{
    const char *pid_file = process->settings->process.pid_file;

    if (pid_file && process->started)
        pid_file_remove(pid_file);
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
