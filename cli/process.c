#include "cli/process.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/cli.h"
#include "cli/limits.h"
#include "cli/process_parts.h"
#include "cli/signals.h"
#include "core/resolve.h"
#include "quic/quic.h"

void process_complain(struct process *process, const char *what, const char *why)
{
    LOG(process->source, LOG_ERROR, what, LOG_TEXT("error", why));
    if (!process->source || strcmp(process->settings->log.file, "stderr") != 0)
        fprintf(stderr, "qmux-uring: %s: %s\n", what, why);
}

/* ---- while it runs ---- */

uint64_t process_clock_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

void process_end(struct process *process, const char *why)
{
    process->ends++;
    if (process->ends > 2)
        return;
    LOG(process->source, LOG_INFO, process->ends == 1 ? "ending" : "ending at once",
        LOG_TEXT("asked_by", why));
    notify_stopping(&process->notify);
    if (process->ends == 1)
        team_drain(&process->team);
    else
        team_stop(&process->team);
}

static void process_take_signal(struct process *process)
{
    const char *name = "";

    switch (signals_next(process->signal_fd, &name)) {
    case SIGNAL_NONE:
        break;
    case SIGNAL_END:
        process_end(process, name);
        break;
    case SIGNAL_REOPEN:
        process_reopen_logs(process, name);
        break;
    case SIGNAL_RELOAD:
        process_reload(process, name, NULL);
        break;
    case SIGNAL_UPGRADE:
        LOG(process->source, LOG_WARN, "not in this version: ignored", LOG_TEXT("signal", name));
        break;
    }
}

static bool process_is_complete(const struct process *process, uint32_t news)
{
    return news & THREAD_REGISTERED || !process->settings->client.present;
}

/* The first one may have been given its port by the kernel. */
static void process_log_binds(const struct process *process,
                              const struct listener_settings *listener)
{
    char text[BIND_TEXT_SIZE];

    for (uint32_t i = 0; i < listener->bind.count; i++) {
        struct bind bind = listener->bind.items[i];

        if (i == 0 && bind.last_port == addr_port(&bind.addr) &&
            crew_listener_addr(process->team.crew, listener->name, &bind.addr) == 0)
            bind.last_port = addr_port(&bind.addr);
        LOG(process->source, LOG_INFO, "listening for users", LOG_TEXT("listener", listener->name),
            LOG_TEXT("address", bind_format(&bind, text)));
    }
}

static void process_log_addresses(const struct process *process)
{
    const struct settings *settings = process->settings;
    struct addr addr;

    for (uint32_t i = 0; i < settings->tunnel_count; i++)
        if (crew_tunnel_addr(process->team.crew, settings->tunnels[i].name, &addr) == 0)
            LOG(process->source, LOG_INFO, "listening for tunnel clients",
                LOG_TEXT("tunnel", settings->tunnels[i].name), LOG_ADDR("address", &addr));
    for (uint32_t i = 0; i < settings->listener_count; i++)
        process_log_binds(process, &settings->listeners[i]);
}

static void process_tell_ready(const struct process *process)
{
    const struct settings *settings = process->settings;
    struct addr addr = {0};
    int rc = settings->listener_count
                 ? crew_listener_addr(process->team.crew, settings->listeners[0].name, &addr)
                 : 0;

    must(!rc);
    if (process->options->ready)
        process->options->ready(process->options->context, &addr);
}

static void process_begin(struct process *process)
{
    const struct settings *settings = process->settings;

    if (process_take_duty(process) == 0) {
        LOG(process->source, LOG_INFO, "ready", LOG_TEXT("version", QMUX_VERSION),
            LOG_NUMBER("workers", settings->process.workers),
            LOG_NUMBER("listeners", settings->listener_count),
            LOG_NUMBER("tunnels", settings->tunnel_count),
            LOG_NUMBER("servers", settings->client.server_count));
        return;
    }
    process->failed = true;
    process_end(process, "failure");
    process_end(process, "failure");
}

/* False: every thread has ended. */
static bool process_take_news(struct process *process)
{
    uint32_t news = team_news(&process->team);

    if (news & THREAD_STARTED && !process->started) {
        process->started = true;
        process_log_addresses(process);
        process_begin(process);
    }
    if (process->started && !process->ready && process_is_complete(process, news)) {
        process->ready = true;
        process_tell_ready(process);
    }
    return !(news & THREAD_ENDED);
}

static void process_take_time(struct process *process, int *timeout_ms)
{
    uint64_t now_ms = process_clock_ms();

    if (!process->end_ms || process->ends)
        return;
    if (now_ms >= process->end_ms)
        process_end(process, "time");
    else if (*timeout_ms < 0 || (uint64_t)*timeout_ms > process->end_ms - now_ms)
        *timeout_ms = (int)(process->end_ms - now_ms);
}

/* Signals wait in the kernel until the worker can be told of them. */
static void process_control(struct process *process)
{
    enum { THREAD, SIGNALS, RESOLVER };
    struct pollfd fds[RESOLVER + RESOLVER_FDS + ADMIN_FDS];

    while (process_take_news(process)) {
        int timeout_ms = -1;
        uint32_t count, admin = 0;

        process_take_picture(process);
        process_sweep(process, &timeout_ms);
        if (process->started)
            process_take_time(process, &timeout_ms);
        process_feed_watchdog(process, &timeout_ms);
        fds[THREAD] = (struct pollfd){.fd = process->team.event_fd, .events = POLLIN};
        fds[SIGNALS] =
            (struct pollfd){.fd = process->started ? process->signal_fd : -1, .events = POLLIN};
        count = resolver_poll(process->resolver, fds + RESOLVER, RESOLVER_FDS, &timeout_ms);
        if (process->admin)
            admin = admin_poll(process->admin, fds + RESOLVER + count, ADMIN_FDS, &timeout_ms);
        if (poll(fds, RESOLVER + count + admin, timeout_ms) < 0 && errno != EINTR)
            process_complain(process, "poll failed", strerror(errno));
        resolver_ready(process->resolver, fds + RESOLVER, count);
        if (process->admin)
            admin_ready(process->admin, fds + RESOLVER + count, admin);
        if (fds[SIGNALS].revents)
            process_take_signal(process);
    }
}

/* ---- from start to end ---- */

static struct log *open_log(const struct log_options *options)
{
    struct log *log;
    int error;

    log = log_open(options, &error);
    if (!log)
        fprintf(stderr, "qmux-uring: cannot open the log %s: %s\n", options->file,
                strerror(-error));
    return log;
}

void process_log_options(const struct process *process, const struct settings *settings,
                         struct log_options *options)
{
    *options = (struct log_options){
        .level = settings->log.level, .format = settings->log.format, .file = settings->log.file};
    if (process->options->verbose)
        options->level = LOG_DEBUG;
    else if (process->options->quiet && options->level < LOG_WARN)
        options->level = LOG_WARN;
}

bool process_access_options(const struct settings *settings, struct log_options *options)
{
    *options = (struct log_options){
        .level = LOG_INFO, .format = settings->log.access_format, .file = settings->log.access};
    return settings->log.access;
}

static int process_open_access(struct process *process)
{
    struct log_options options;

    if (!process_access_options(process->settings, &options))
        return 0;
    process->access = open_log(&options);
    return process->access ? 0 : -EIO;
}

static int process_open_log(struct process *process)
{
    struct log_options options;

    process_log_options(process, process->settings, &options);
    process->log = open_log(&options);
    if (!process->log)
        return -EIO;
    process->source = log_source_new(process->log);
    return process->source ? process_open_access(process) : -ENOMEM;
}

static uint64_t process_dropped_lines(const struct process *process)
{
    return log_dropped(process->log) + (process->access ? log_dropped(process->access) : 0);
}

uint64_t process_counter(const struct process *process, enum counter counter)
{
    return team_counter(&process->team, counter) + counter_read(&process->counters, counter) +
           (counter == COUNTER_LOG_DROPPED ? process_dropped_lines(process) : 0);
}

static void process_log_counters(struct process *process)
{
    for (int i = 0; i < COUNTER_COUNT; i++) {
        uint64_t value = process_counter(process, (enum counter)i);

        if (value)
            LOG(process->source, LOG_INFO, "counted", LOG_TEXT("what", counter_text(i)),
                LOG_TEXT("name", counter_name(i)), LOG_NUMBER("value", value));
    }
}

/* The exit code. */
static int process_run_team(struct process *process)
{
    struct team *team = &process->team;
    bool good = team_start(team) == 0;

    if (process->options->seconds)
        process->end_ms = process_clock_ms() + process->options->seconds * 1000ull;
    if (team->started)
        process_control(process);
    admin_close(&process->admin);
    pid_file_close(&process->pid_file);
    good = team_join(team) && good;
    process_log_counters(process);
    if (good)
        LOG(process->source, LOG_INFO, "ended");
    else
        process_complain(process, process->started ? "failed" : "cannot start", team->error);
    team_close(team);
    return good && !process->failed ? CLI_GOOD : CLI_FAILED;
}

static int process_open_team(struct process *process)
{
    const struct team_options options = {
        .settings = process->settings,
        .os = &process->activation.os,
        .log = process->log,
        .access = process->access,
        .resolver = process->resolver,
        .ring_without = getenv("QMUX_RING_WITHOUT"),
    };

    if (team_open(&process->team, &options) == 0)
        return process_run_team(process);
    process_complain(process, "cannot start", process->team.error);
    return CLI_FAILED;
}

/* The exit code. */
static int process_run_admin(struct process *process)
{
    int code = CLI_FAILED;

    activation_open(&process->activation);
    notify_open(&process->notify);
    if (process_open_pid_file(process) == 0 && process_open_admin(process) == 0)
        code = process_open_team(process);
    admin_close(&process->admin); /* no thread was made */
    pid_file_close(&process->pid_file);
    notify_close(&process->notify);
    activation_close(&process->activation);
    return code;
}

static int process_run_resolver(struct process *process)
{
    int code, error;

    process->resolver = resolver_open(&error);
    if (!process->resolver) {
        process_complain(process, "cannot open the resolver", strerror(-error));
        return CLI_FAILED;
    }
    code = process_run_admin(process);
    resolver_close(&process->resolver);
    return code;
}

static int process_run_log(struct process *process)
{
    char error[256];
    int rc;

    if (process_open_log(process))
        return CLI_FAILED;
    rc = limits_raise(process->settings);
    if (rc)
        LOG(process->source, LOG_WARN, "the limit of descriptors could not be raised",
            LOG_TEXT("error", strerror(-rc)));
    if (quic_global_init(error, sizeof error)) {
        process_complain(process, "cannot protect packets", error);
        return CLI_FAILED;
    }
    return process_run_resolver(process);
}

int process_run(const struct process_options *options)
{
    struct process process = {.options = options,
                              .settings = options->settings,
                              .pid_file = {.fd = -1},
                              .began_ms = process_clock_ms(),
                              .started_ms = os_linux.wall_ms(&os_linux)};
    int code;

    process.signal_fd = signals_open();
    if (process.signal_fd < 0) {
        fprintf(stderr, "qmux-uring: cannot take signals: %s\n", strerror(-process.signal_fd));
        return CLI_FAILED;
    }
    code = process_run_log(&process);
    log_close(&process.access);
    log_close(&process.log);
    signals_close(process.signal_fd);
    return code;
}
