#include "relay/listener_parts.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/mem.h"
#include "relay/status.h"

static bool listener_is_idle(const struct listener *listener)
{
    return listener->stopping && !listener->session_count && !listener->tcp_open &&
           !listener->udp_open && (!listener->has_datagrams || listener->datagrams_idle);
}

void listener_settle(struct listener *listener)
{
    bool emptied = listener->closing && !listener_active(listener);
    bool idle = listener_is_idle(listener);

    if ((emptied && !listener->told_emptied) || (idle && !listener->told_idle))
        worker_defer(listener->options.worker, &listener->task);
}

static void listener_tell(struct task *task)
{
    struct listener *listener = container_of(task, struct listener, task);
    const struct listener_options *options = &listener->options;

    if (!listener->told_emptied) {
        listener->told_emptied = true;
        options->emptied(options->context);
    }
    if (listener_is_idle(listener) && !listener->told_idle) {
        listener->told_idle = true;
        options->idle(options->context); /* may free the listener */
    }
}

/* ---- TCP users ---- */

static void listener_tcp_closed(struct tcp_door *door)
{
    struct listener *listener = door->context;

    listener->tcp_open--;
    listener_settle(listener);
}

static bool is_unix(struct os *os, int fd)
{
    struct addr addr;

    return os->local_addr(os, fd, &addr) == 0 && addr_family(&addr) == AF_UNIX;
}

/* The kernel deals users out where each worker has a socket; elsewhere we do. */
static int listener_open_tcp(struct listener *listener, bool dealt, int fd)
{
    const struct listener_settings *settings = listener->options.settings;
    struct os *os = listener->options.worker->os;
    struct tcp_door *door = &listener->tcp_doors[listener->tcp_count];
    int rc;

    sock_tcp_tune(os, fd, &listener->tcp);
    door->passes_options = !is_unix(os, fd);
    rc = os->listen(os, fd, (int)settings->backlog);
    if (rc) {
        os->close(os, fd);
        return rc;
    }
    door->name = settings->name;
    door->accepted = dealt ? listener_deal : listener_accepted;
    door->closed = listener_tcp_closed;
    door->context = listener;
    door->complained_ns = &listener->complained_ns;
    tcp_door_open(door, listener->options.worker, fd);
    listener->tcp_count++;
    listener->tcp_open++;
    return 0;
}

static void listener_close_tcp(struct listener *listener)
{
    struct os *os = listener->options.worker->os;

    if (listener->closing)
        return;
    for (uint32_t i = 0; i < listener->tcp_count; i++) {
        struct tcp_door *door = &listener->tcp_doors[i];
        struct addr addr;

        if (os->local_addr(os, door->fd, &addr) == 0 && addr_family(&addr) == AF_UNIX)
            sock_unix_remove(os, &addr);
        tcp_door_close(door);
    }
}

/* ---- UDP users ---- */

static void listener_udp_closed(struct udp_door *door)
{
    struct listener *listener = door->context;

    listener->udp_open--;
    listener_settle(listener);
}

static void listener_datagrams_emptied(void *context)
{
    listener_settle(context);
}

/* Nobody needs the doors' senders any more. */
static void listener_datagrams_idle(void *context)
{
    struct listener *listener = context;

    listener->datagrams_idle = true;
    for (uint32_t i = 0, count = listener->udp_count; i < count; i++)
        udp_door_close(&listener->udp_doors[i]);
    listener_settle(listener);
}

static int listener_init_datagrams(struct listener *listener)
{
    const struct listener_settings *settings = listener->options.settings;
    const struct udp_sessions_options options = {
        .worker = listener->options.worker,
        .pool = listener->options.pool,
        .gate = &listener->gate,
        .next_id = &listener->next_id,
        .id_step = listener->options.share->bindings.workers,
        .sources = listener->options.share->udp,
        .listener = settings->name,
        .service = settings->service,
        .timeout_ns = settings->udp_timeout_ns,
        .limits = {settings->udp_sessions, settings->udp_sessions_per_source},
        .retries = listener->options.retries,
        .traffic = &listener->traffic,
        .idle = listener_datagrams_idle,
        .context = listener,
        .emptied = listener_datagrams_emptied,
        .emptied_context = listener
    };
    int error;

    if (!(settings->protocol & PROTOCOL_UDP))
        return 0;
    error = udp_sessions_init(&listener->datagrams, &options);
    listener->has_datagrams = !error;
    return error;
}

static int listener_open_udp(struct listener *listener, int fd)
{
    struct udp_door *door = &listener->udp_doors[listener->udp_count];
    int error;

    door->closed = listener_udp_closed;
    door->context = listener;
    error = udp_door_open(door, listener->options.worker, fd, &listener->datagrams);
    if (error)
        return error;
    listener->udp_count++;
    listener->udp_open++;
    return 0;
}

/* ---- life ---- */

static void listener_set_frame(struct listener *listener)
{
    const struct listener_options *options = &listener->options;
    const struct listener_settings *settings = options->settings;
    session_step_fn **step = listener->frame.steps;

    listener->frame = (struct session_frame){
        .worker = options->worker,
        .pool = options->pool,
        .gate = &listener->gate,
        .listener = settings->name,
        .service = settings->service,
        .limits = {settings->idle_timeout_ns, settings->half_close_timeout_ns},
        .buffer_limit = settings->buffer_limit,
        .zero_copy = settings->zero_copy,
        .connect_timeout_ns = options->connect_timeout_ns,
        .selection_timeout_ns = settings->selection_timeout_ns,
        .retries = options->retries,
        .traffic = &listener->traffic,
        .refused = &listener->refused,
        .accept_proxy = settings->accept_proxy,
        .ended = listener_session_ended,
        .left =
            options->tunnel && options->share->bindings.workers > 1 ? listener_session_left : NULL,
        .context = listener,
    };
    if (settings->accept_proxy != ACCEPT_PROXY_NO)
        *step++ = session_proxy;
    *step++ = session_gate;
    *step = session_open;
}

static int listener_make_doors(struct listener *listener)
{
    const struct listener_settings *settings = listener->options.settings;
    size_t ports = listener_ports(settings);

    if (settings->protocol & PROTOCOL_TCP)
        listener->tcp_doors = mem_new(ports * sizeof(struct tcp_door));
    if (settings->protocol & PROTOCOL_UDP)
        listener->udp_doors = mem_new(ports * sizeof(struct udp_door));
    if ((settings->protocol & PROTOCOL_TCP && !listener->tcp_doors) ||
        (settings->protocol & PROTOCOL_UDP && !listener->udp_doors))
        return -ENOMEM;
    return 0;
}

struct listener *listener_new(const struct listener_options *options)
{
    const struct listener_settings *settings = options->settings;
    struct listener *listener = mem_new(sizeof(*listener));

    if (!listener)
        return NULL;
    listener->options = *options;
    options->share->by_worker[options->worker->index] = listener;
    listener->next_id = options->worker->index + 1ull - options->share->bindings.workers;
    listener_set_frame(listener);
    listener->tcp.keepalive_s = (uint32_t)(settings->keepalive_ns / 1000000000);
    snprintf(listener->tcp.congestion, sizeof(listener->tcp.congestion), "%s",
             settings->tcp_congestion);
    list_init(&listener->sessions);
    task_init(&listener->task, listener_tell);
    gate_init(&listener->gate, options->worker, settings, options->share->rates);
    if (listener_make_doors(listener) || listener_init_datagrams(listener))
        listener_free(&listener);
    return listener;
}

void listener_free(struct listener **listener)
{
    struct listener *gone = *listener;

    if (!gone)
        return;
    task_cancel(&gone->task);
    if (gone->has_datagrams)
        udp_sessions_release(&gone->datagrams);
    mem_free(gone->tcp_doors);
    mem_free(gone->udp_doors);
    mem_free(gone);
    *listener = NULL;
}

/* This worker's doors of one port. */
static int listener_open_port(struct listener *listener, uint32_t port)
{
    struct bindings *bindings = &listener->options.share->bindings;
    uint32_t worker = listener->options.worker->index;
    int fd = bindings_take_tcp(bindings, port, worker);
    int rc = 0;

    if (fd >= 0)
        rc = listener_open_tcp(listener, bindings->dealt[port], fd);
    fd = rc ? -1 : bindings_take_udp(bindings, port, worker);
    if (fd >= 0)
        rc = listener_open_udp(listener, fd);
    return rc;
}

int listener_start(struct listener *listener, char *error, size_t error_size)
{
    const struct listener_settings *settings = listener->options.settings;
    char text[ADDR_TEXT_SIZE];
    uint32_t number = 0;

    for (uint32_t i = 0; i < settings->bind.count; i++) {
        const struct bind *bind = &settings->bind.items[i];

        for (uint32_t port = addr_port(&bind->addr); port <= bind->last_port; port++) {
            int failed = listener_open_port(listener, number++);

            if (!failed)
                continue;
            snprintf(error, error_size, "listener %s: cannot listen on %s: %s", settings->name,
                     addr_format(&bind->addr, text), strerror(-failed));
            return failed;
        }
    }
    return 0;
}

uint32_t listener_active(const struct listener *listener)
{
    return listener->session_count + listener->datagrams.count;
}

void listener_status(const struct listener *listener, struct status_listener *status)
{
    const struct listener_settings *settings = listener->options.settings;

    snprintf(status->name, sizeof(status->name), "%s", settings->name);
    snprintf(status->backend, sizeof(status->backend), "%s", settings->backend);
    status->protocol = settings->protocol;
    status->addr = listener->options.share->bindings.first;
    status->connections = listener->session_count;
    status->connections_total = listener->accepted;
    status->refused_total = listener->refused;
    status->traffic = listener->traffic;
    status->udp_sessions = listener->datagrams.count;
    status->udp_sessions_total = listener->datagrams.total;
}

void listener_close(struct listener *listener)
{
    listener_close_tcp(listener);
    listener->closing = true;
    listener->datagrams.closed = true;
    listener_settle(listener);
}

void listener_stop(struct listener *listener, enum reason reason)
{
    listener_close_tcp(listener);
    listener->closing = listener->stopping = true;
    if (listener->has_datagrams)
        udp_sessions_stop(&listener->datagrams, reason);
    for (struct list *link = listener->sessions.next; link != &listener->sessions;
         link = link->next)
        session_stop(container_of(link, struct session, link), reason);
    listener_settle(listener);
}
