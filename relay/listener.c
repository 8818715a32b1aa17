#include "relay/listener.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/mem.h"
#include "core/sock.h"
#include "relay/access.h"
#include "relay/session.h"
#include "relay/tcp_door.h"
#include "relay/udp_door.h"

struct listener {
    struct listener_options options;
    struct session_frame frame;
    struct tcp_options tcp;
    struct gate gate;
    /* One door per port and protocol; those that are open are counted. */
    struct tcp_door *tcp_doors;
    struct udp_door *udp_doors;
    uint32_t tcp_count, udp_count;
    uint32_t tcp_open, udp_open; /* not closed yet */
    uint64_t complained_ns;
    /* Users. */
    struct list sessions;
    uint32_t session_count;
    struct udp_sessions datagrams;
    bool has_datagrams, datagrams_idle;
    uint64_t next_id;
    struct task task;
    bool closing, stopping, told_emptied, told_idle;
};

static bool listener_is_idle(const struct listener *listener)
{
    return listener->stopping && !listener->session_count && !listener->tcp_open &&
           !listener->udp_open && (!listener->has_datagrams || listener->datagrams_idle);
}

static void listener_settle(struct listener *listener)
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

static void listener_session_ended(void *context, struct session *session)
{
    struct listener *listener = context;

    list_remove(&session->link);
    listener->session_count--;
    listener_settle(listener);
}

/* Too many: nothing is made for this one, it only gets a line. */
static void listener_turn_away(struct listener *listener, int fd)
{
    struct worker *worker = listener->options.worker;
    struct addr source = {0}, destination = {0};
    int unknown = worker->os->peer_addr(worker->os, fd, &source) ||
                  worker->os->local_addr(worker->os, fd, &destination);
    const struct access_line line = {.listener = listener->frame.listener,
                                     .protocol = "tcp",
                                     .connection = ++listener->next_id,
                                     .source = &source,
                                     .destination = &destination,
                                     .backend = backend_pool_name(listener->frame.pool),
                                     .began_ns = worker->now_ns,
                                     .reason = REASON_MAX_CONNECTIONS};

    if (!unknown)
        access_write(worker, &line);
    counter_add(worker->counters, COUNTER_LIMIT_MAX_CONNECTIONS, 1);
    sock_reset_on_close(worker->os, fd);
    worker->os->close(worker->os, fd);
}

static void listener_accepted(struct tcp_door *door, int fd)
{
    struct listener *listener = door->context;
    const struct listener_settings *settings = listener->options.settings;
    struct worker *worker = listener->options.worker;
    struct session *session;

    if (settings->max_connections && listener->session_count >= settings->max_connections) {
        listener_turn_away(listener, fd);
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

    listener->tcp_open--;
    listener_settle(listener);
}

static int listener_listen(struct listener *listener, const struct bind *bind,
                           const struct addr *addr)
{
    struct os *os = listener->options.worker->os;
    int backlog = (int)listener->options.settings->backlog;

    if (addr_family(addr) == AF_UNIX)
        return sock_unix_listen(os, addr, backlog, bind->mode);
    return sock_tcp_listen(os, addr, backlog);
}

static int listener_open_tcp(struct listener *listener, const struct bind *bind,
                             const struct addr *addr)
{
    struct tcp_door *door = &listener->tcp_doors[listener->tcp_count];
    int fd = listener_listen(listener, bind, addr);

    if (fd < 0)
        return fd;
    door->name = listener->options.settings->name;
    door->accepted = listener_accepted;
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
    const struct bind_list *binds = &listener->options.settings->bind;
    struct os *os = listener->options.worker->os;

    if (listener->closing)
        return;
    for (uint32_t i = 0; i < listener->tcp_count; i++)
        tcp_door_close(&listener->tcp_doors[i]);
    for (uint32_t i = 0, door = 0; i < binds->count && door < listener->tcp_count; i++) {
        const struct bind *bind = &binds->items[i];

        if (addr_family(&bind->addr) == AF_UNIX)
            sock_unix_remove(os, &bind->addr);
        door += 1u + bind->last_port - addr_port(&bind->addr);
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
    const struct udp_sessions_options options = {.worker = listener->options.worker,
                                                 .pool = listener->options.pool,
                                                 .gate = &listener->gate,
                                                 .next_id = &listener->next_id,
                                                 .listener = settings->name,
                                                 .service = settings->service,
                                                 .timeout_ns = settings->udp_timeout_ns,
                                                 .max = settings->udp_sessions,
                                                 .max_per_source =
                                                     settings->udp_sessions_per_source,
                                                 .retries = listener->options.retries,
                                                 .idle = listener_datagrams_idle,
                                                 .context = listener,
                                                 .emptied = listener_datagrams_emptied,
                                                 .emptied_context = listener};
    int error;

    if (!(settings->protocol & PROTOCOL_UDP))
        return 0;
    error = udp_sessions_init(&listener->datagrams, &options);
    listener->has_datagrams = !error;
    return error;
}

static int listener_open_udp(struct listener *listener, const struct addr *addr)
{
    struct udp_door *door = &listener->udp_doors[listener->udp_count];
    int error;

    door->closed = listener_udp_closed;
    door->context = listener;
    error = udp_door_open(door, listener->options.worker, addr, &listener->datagrams);
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
        .connect_timeout_ns = options->connect_timeout_ns,
        .selection_timeout_ns = settings->selection_timeout_ns,
        .retries = options->retries,
        .accept_proxy = settings->accept_proxy,
        .ended = listener_session_ended,
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
    listener_set_frame(listener);
    listener->tcp.keepalive_s = (uint32_t)(settings->keepalive_ns / 1000000000);
    snprintf(listener->tcp.congestion, sizeof(listener->tcp.congestion), "%s",
             settings->tcp_congestion);
    list_init(&listener->sessions);
    task_init(&listener->task, listener_tell);
    if (gate_init(&listener->gate, options->worker, settings) || listener_make_doors(listener) ||
        listener_init_datagrams(listener))
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
    gate_release(&gone->gate);
    mem_free(gone->tcp_doors);
    mem_free(gone->udp_doors);
    mem_free(gone);
    *listener = NULL;
}

/* The doors of one port. */
static int listener_open_port(struct listener *listener, const struct bind *bind,
                              const struct addr *addr)
{
    const struct listener_settings *settings = listener->options.settings;
    struct addr bound = *addr;
    int error = 0;

    if (settings->protocol & PROTOCOL_TCP)
        error = listener_open_tcp(listener, bind, addr);
    /* With port 0 both protocols get the same one. */
    if (!error && !addr_port(addr) && settings->protocol == PROTOCOL_BOTH)
        error = listener_addr(listener, listener->tcp_count - 1, &bound);
    if (!error && settings->protocol & PROTOCOL_UDP)
        error = listener_open_udp(listener, &bound);
    return error;
}

int listener_start(struct listener *listener, char *error, size_t error_size)
{
    const struct listener_settings *settings = listener->options.settings;
    char text[ADDR_TEXT_SIZE];

    for (uint32_t i = 0; i < settings->bind.count; i++) {
        const struct bind *bind = &settings->bind.items[i];

        for (uint32_t port = addr_port(&bind->addr); port <= bind->last_port; port++) {
            struct addr addr = bind->addr;
            int failed;

            addr_set_port(&addr, (uint16_t)port);
            failed = listener_open_port(listener, bind, &addr);
            if (!failed)
                continue;
            snprintf(error, error_size, "listener %s: cannot listen on %s: %s", settings->name,
                     addr_format(&addr, text), strerror(-failed));
            return failed;
        }
    }
    return 0;
}

uint32_t listener_active(const struct listener *listener)
{
    return listener->session_count + listener->datagrams.count;
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
