#include "relay/listener.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/mem.h"
#include "core/sock.h"
#include "relay/session.h"
#include "relay/status.h"
#include "relay/tcp_door.h"
#include "relay/udp_door.h"

struct listener {
    struct listener_options options;
    struct session_frame frame;
    struct tcp_options tcp;
    struct tcp_door *tcp_doors; /* one per bind, where the protocol has TCP */
    struct udp_door *udp_doors;
    uint32_t tcp_count, udp_count; /* those that are open */
    struct list sessions;
    uint32_t session_count;
    uint64_t next_id, refused;
    struct traffic traffic;
    struct task task;
    bool closing, stopping, told_emptied, told_idle;
};

static void listener_settle(struct listener *listener)
{
    bool emptied = listener->closing && !listener_active(listener);
    bool idle = listener->stopping && !listener->session_count && !listener->tcp_count &&
                !listener->udp_count;

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
    if (listener->stopping && !listener->session_count && !listener->tcp_count &&
        !listener->udp_count && !listener->told_idle) {
        listener->told_idle = true;
        options->idle(options->context); /* may free the listener */
    }
}

/* ---- TCP users ---- */

static void listener_session_ended(void *context, struct session *session)
{
    struct listener *listener = context;

    list_remove(&session->link);
    listener->session_count--;
    listener_settle(listener);
}

static void listener_accepted(struct tcp_door *door, int fd)
{
    struct listener *listener = door->context;
    const struct listener_settings *settings = listener->options.settings;
    struct worker *worker = listener->options.worker;
    struct session *session;

    if (settings->max_connections && listener->session_count >= settings->max_connections) {
        counter_add(worker->counters, COUNTER_LIMIT_MAX_CONNECTIONS, 1);
        listener->refused++;
        sock_reset_on_close(worker->os, fd);
        worker->os->close(worker->os, fd);
        return;
    }
    counter_add(worker->counters, COUNTER_ACCEPTED, 1);
    sock_tcp_tune(worker->os, fd, &listener->tcp);
    session = session_start(&listener->frame, fd, ++listener->next_id);
    if (!session) {
        counter_add(worker->counters, COUNTER_SESSIONS_FAILED, 1);
        return;
    }
    list_append(&listener->sessions, &session->link);
    listener->session_count++;
}

static void listener_tcp_closed(struct tcp_door *door)
{
    struct listener *listener = door->context;

    listener->tcp_count--;
    listener_settle(listener);
}

static int listener_open_tcp(struct listener *listener, const struct addr *addr)
{
    struct tcp_door *door = &listener->tcp_doors[listener->tcp_count];
    int error;

    door->name = listener->options.settings->name;
    door->accepted = listener_accepted;
    door->closed = listener_tcp_closed;
    door->context = listener;
    error = tcp_door_open(door, listener->options.worker, addr,
                          (int)listener->options.settings->backlog);
    if (!error)
        listener->tcp_count++;
    return error;
}

/* ---- UDP users ---- */

static void listener_udp_closed(struct udp_door *door)
{
    struct listener *listener = door->context;

    listener->udp_count--;
    listener_settle(listener);
}

static void listener_udp_emptied(void *context)
{
    listener_settle(context);
}

static int listener_open_udp(struct listener *listener, const struct addr *addr)
{
    const struct listener_settings *settings = listener->options.settings;
    struct udp_sessions_options options = {.pool = listener->options.pool,
                                           .listener = settings->name,
                                           .service = settings->service,
                                           .timeout_ns = settings->udp_timeout_ns,
                                           .max = settings->udp_sessions,
                                           .retries = listener->options.retries,
                                           .traffic = &listener->traffic,
                                           .emptied = listener_udp_emptied,
                                           .emptied_context = listener};
    struct udp_door *door = &listener->udp_doors[listener->udp_count];
    int error;

    door->closed = listener_udp_closed;
    door->context = listener;
    error = udp_door_open(door, listener->options.worker, addr, &options);
    if (!error)
        listener->udp_count++;
    return error;
}

/* ---- life ---- */

struct listener *listener_new(const struct listener_options *options)
{
    const struct listener_settings *settings = options->settings;
    struct listener *listener = mem_new(sizeof(*listener));

    if (!listener)
        return NULL;
    listener->options = *options;
    listener->frame = (struct session_frame){
        .worker = options->worker,
        .pool = options->pool,
        .listener = settings->name,
        .service = settings->service,
        .limits = {settings->idle_timeout_ns, settings->half_close_timeout_ns},
        .buffer_limit = settings->buffer_limit,
        .zero_copy = settings->zero_copy,
        .connect_timeout_ns = options->connect_timeout_ns,
        .retries = options->retries,
        .traffic = &listener->traffic,
        .ended = listener_session_ended,
        .context = listener,
    };
    listener->tcp.keepalive_s = (uint32_t)(settings->keepalive_ns / 1000000000);
    snprintf(listener->tcp.congestion, sizeof(listener->tcp.congestion), "%s",
             settings->tcp_congestion);
    list_init(&listener->sessions);
    task_init(&listener->task, listener_tell);
    listener->tcp_doors = mem_new(settings->bind.count * sizeof(struct tcp_door));
    listener->udp_doors = mem_new(settings->bind.count * sizeof(struct udp_door));
    if (!listener->tcp_doors || !listener->udp_doors)
        listener_free(&listener);
    return listener;
}

void listener_free(struct listener **listener)
{
    if (!*listener)
        return;
    task_cancel(&(*listener)->task);
    mem_free((*listener)->tcp_doors);
    mem_free((*listener)->udp_doors);
    mem_free(*listener);
    *listener = NULL;
}

int listener_start(struct listener *listener, char *error, size_t error_size)
{
    const struct listener_settings *settings = listener->options.settings;
    char text[ADDR_TEXT_SIZE];

    for (uint32_t i = 0; i < settings->bind.count; i++) {
        const struct addr *addr = &settings->bind.items[i];
        struct addr bound = *addr;
        int failed = 0;

        if (settings->protocol & PROTOCOL_TCP)
            failed = listener_open_tcp(listener, addr);
        /* With port 0 both protocols get the same one. */
        if (!failed && !addr_port(addr) && settings->protocol == PROTOCOL_BOTH)
            failed = listener_addr(listener, i, &bound);
        if (!failed && settings->protocol & PROTOCOL_UDP)
            failed = listener_open_udp(listener, &bound);
        if (failed) {
            snprintf(error, error_size, "listener %s: cannot listen on %s: %s", settings->name,
                     addr_format(addr, text), strerror(-failed));
            return failed;
        }
    }
    return 0;
}

uint32_t listener_active(const struct listener *listener)
{
    uint32_t active = listener->session_count;

    for (uint32_t i = 0; i < listener->udp_count && !listener->stopping; i++)
        active += listener->udp_doors[i].sessions.count;
    return active;
}

void listener_status(const struct listener *listener, struct status_listener *status)
{
    const struct listener_settings *settings = listener->options.settings;

    snprintf(status->name, sizeof(status->name), "%s", settings->name);
    snprintf(status->backend, sizeof(status->backend), "%s", settings->backend);
    status->protocol = settings->protocol;
    if (listener_addr(listener, 0, &status->addr))
        status->addr.length = 0; /* closed already */
    status->connections = listener->session_count;
    status->connections_total = listener->next_id;
    status->refused_total = listener->refused;
    status->traffic = listener->traffic;
    for (uint32_t i = 0; i < listener->udp_count && !listener->stopping; i++) {
        status->udp_sessions += listener->udp_doors[i].sessions.count;
        status->udp_sessions_total += listener->udp_doors[i].sessions.total;
    }
}

void listener_close(struct listener *listener)
{
    listener->closing = true;
    for (uint32_t i = 0, count = listener->tcp_count; i < count; i++)
        tcp_door_close(&listener->tcp_doors[i]);
    for (uint32_t i = 0, count = listener->udp_count; i < count; i++)
        listener->udp_doors[i].sessions.closed = true;
    listener_settle(listener);
}

void listener_stop(struct listener *listener, enum reason reason)
{
    listener->closing = listener->stopping = true;
    for (uint32_t i = 0, count = listener->tcp_count; i < count; i++)
        tcp_door_close(&listener->tcp_doors[i]);
    for (uint32_t i = 0, count = listener->udp_count; i < count; i++)
        udp_door_close(&listener->udp_doors[i], reason);
    for (struct list *link = listener->sessions.next; link != &listener->sessions;
         link = link->next)
        session_stop(container_of(link, struct session, link), reason);
    listener_settle(listener);
}

int listener_addr(const struct listener *listener, uint32_t index, struct addr *addr)
{
    struct os *os = listener->options.worker->os;

    if (index < listener->tcp_count)
        return os->local_addr(os, listener->tcp_doors[index].fd, addr);
    if (index < listener->udp_count) {
        *addr = listener->udp_doors[index].addr;
        return 0;
    }
    return -ENOENT;
}
