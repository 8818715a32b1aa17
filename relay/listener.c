#include "relay/listener_parts.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "relay/status.h"

static bool listener_is_idle(const struct listener *listener)
{
    return listener->stopping && !listener->session_count && list_empty(&listener->ports.tcp) &&
           list_empty(&listener->ports.udp) &&
           (!listener->has_datagrams || listener->datagrams_idle);
}

/* While a door closes, users may still come by it. */
static bool listener_is_used(const struct listener *listener)
{
    return listener_active(listener) || (listener->closing && !list_empty(&listener->ports.tcp));
}

/* Those who still have users are counted over all workers, since a user may go from one to another:
 * who hands one over has it until it has arrived. */
static void listener_tell_quiet(struct listener *listener)
{
    if (!listener->leaving || listener->quiet == !listener_is_used(listener))
        return;
    listener->quiet = !listener->quiet;
    if (listener->quiet)
        atomic_fetch_sub(&listener->options.share->busy, 1);
    else
        atomic_fetch_add(&listener->options.share->busy, 1);
}

void listener_settle(struct listener *listener)
{
    bool emptied = listener->closing && !listener_is_used(listener);
    bool idle = listener_is_idle(listener);

    listener_tell_quiet(listener);
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
        listener->idle(listener->idle_context); /* may free the listener */
    }
}

/* ---- what sessions begin under ---- */

struct session_frame *listener_frame_new(struct listener *listener,
                                         const struct listener_options *options)
{
    const struct listener_settings *settings = options->settings;
    struct session_frame *frame = mem_new(sizeof(*frame));
    session_step_fn **step;

    if (!frame)
        return NULL;
    frame->worker = options->worker;
    frame->pool = options->pool;
    frame->gate = &listener->gate;
    snprintf(frame->listener, sizeof(frame->listener), "%s", settings->name);
    snprintf(frame->service, sizeof(frame->service), "%s", settings->service);
    frame->limits.idle_timeout_ns = settings->idle_timeout_ns;
    frame->limits.half_close_timeout_ns = settings->half_close_timeout_ns;
    frame->buffer_limit = settings->buffer_limit;
    frame->zero_copy = settings->zero_copy;
    frame->connect_timeout_ns = options->connect_timeout_ns;
    frame->selection_timeout_ns = settings->selection_timeout_ns;
    frame->retries = options->retries;
    frame->traffic = &listener->traffic;
    frame->refused = &listener->refused;
    frame->accept_proxy = settings->accept_proxy;
    frame->ended = listener_session_ended;
    if (options->tunnel && options->share->workers > 1)
        frame->left = listener_session_left;
    frame->context = listener;
    step = frame->steps;
    if (settings->accept_proxy != ACCEPT_PROXY_NO)
        *step++ = session_proxy;
    *step++ = session_gate;
    *step = session_open;
    backend_pool_use(frame->pool);
    return frame;
}

void listener_frame_free(struct session_frame *frame)
{
    if (!frame)
        return;
    must(!frame->users);
    backend_pool_disuse(frame->pool);
    mem_free(frame);
}

void listener_frame_put(struct listener *listener, struct session_frame *frame)
{
    if (!--frame->users && frame != listener->frame)
        listener_frame_free(frame);
}

/* ---- UDP users ---- */

static void listener_datagrams_emptied(void *context)
{
    listener_settle(context);
}

/* Nobody needs the doors' senders any more. */
static void listener_datagrams_idle(void *context)
{
    struct listener *listener = context;

    listener->datagrams_idle = true;
    listener_ports_close_udp(listener);
    listener_settle(listener);
}

static void listener_init_datagrams(struct listener *listener)
{
    const struct listener_settings *settings = listener->options.settings;
    const struct udp_sessions_options options = {
        .worker = listener->options.worker,
        .table = listener->options.sessions,
        .pool = listener->options.pool,
        .gate = &listener->gate,
        .next_id = &listener->next_id,
        .id_step = listener->options.share->workers,
        .sources = listener->options.share->udp,
        .listener = listener->name,
        .service = listener->frame->service,
        .timeout_ns = settings->udp_timeout_ns,
        .limits = {settings->udp_sessions, settings->udp_sessions_per_source},
        .retries = listener->options.retries,
        .traffic = &listener->traffic,
        .idle = listener_datagrams_idle,
        .context = listener,
        .emptied = listener_datagrams_emptied,
        .emptied_context = listener,
        .left = listener_port_left,
    };

    listener->has_datagrams = settings->protocol & PROTOCOL_UDP;
    if (listener->has_datagrams)
        udp_sessions_init(&listener->datagrams, &options);
}

/* ---- life ---- */

static void listener_set_tcp(struct listener *listener, const struct listener_settings *settings)
{
    listener->tcp.keepalive_s = (uint32_t)(settings->keepalive_ns / 1000000000);
    snprintf(listener->tcp.congestion, sizeof(listener->tcp.congestion), "%s",
             settings->tcp_congestion);
}

static void listener_ports_init(struct listener_ports *ports)
{
    list_init(&ports->tcp);
    list_init(&ports->udp);
}

struct listener *listener_new(const struct listener_options *options)
{
    const struct listener_settings *settings = options->settings;
    struct listener *listener = mem_new(sizeof(*listener));

    if (!listener)
        return NULL;
    listener->options = *options;
    listener->idle = options->idle;
    listener->idle_context = options->context;
    snprintf(listener->name, sizeof(listener->name), "%s", settings->name);
    options->share->by_worker[options->worker->index] = listener;
    listener->next_id = options->worker->index + 1ull - options->share->workers;
    listener_ports_init(&listener->ports);
    listener_set_tcp(listener, settings);
    list_init(&listener->sessions);
    task_init(&listener->task, listener_tell);
    gate_init(&listener->gate, options->worker, settings, options->share->rates);
    listener->frame = listener_frame_new(listener, options);
    if (listener->frame)
        listener_init_datagrams(listener);
    else
        listener_free(&listener);
    return listener;
}

void listener_free(struct listener **listener)
{
    struct listener *gone = *listener;

    if (!gone)
        return;
    listener_forget(gone);
    task_cancel(&gone->task);
    if (gone->has_datagrams)
        udp_sessions_release(&gone->datagrams);
    listener_frame_free(gone->frame);
    gone->options.share->by_worker[gone->options.worker->index] = NULL;
    mem_free(gone);
    *listener = NULL;
}

int listener_start(struct listener *listener, char *error, size_t error_size)
{
    struct listener_ports ports;
    int rc;

    listener_ports_init(&ports);
    rc = listener_ports_make(listener, listener->options.settings, &ports, error, error_size);
    listener_ports_open(listener, &ports); /* after a failure, too: stop closes them */
    return rc;
}

/* ---- other settings ---- */

int listener_prepare(struct listener *listener, const struct listener_options *options, char *error,
                     size_t error_size)
{
    struct listener_next *next = mem_new(sizeof(*next));

    listener->next = next;
    if (next) {
        next->options = *options;
        listener_ports_init(&next->ports);
        next->frame = listener_frame_new(listener, options);
    }
    if (!next || !next->frame) {
        snprintf(error, error_size, "listener %s: %s", listener->name,
                 reason_text(REASON_NO_MEMORY));
        return -ENOMEM;
    }
    return listener_ports_make(listener, options->settings, &next->ports, error, error_size);
}

void listener_forget(struct listener *listener)
{
    if (!listener->next)
        return;
    listener_ports_drop(listener, &listener->next->ports);
    listener_frame_free(listener->next->frame);
    mem_free(listener->next);
    listener->next = NULL;
}

static void listener_switch_frame(struct listener *listener, struct session_frame *frame)
{
    struct session_frame *old = listener->frame;

    listener->frame = frame;
    if (!old->users)
        listener_frame_free(old);
}

static void listener_switch_datagrams(struct listener *listener)
{
    const struct listener_settings *settings = listener->options.settings;
    struct udp_sessions_options *options = &listener->datagrams.options;

    if (!listener->has_datagrams)
        return;
    options->pool = listener->options.pool;
    options->service = listener->frame->service;
    options->timeout_ns = settings->udp_timeout_ns;
    options->limits.sessions = settings->udp_sessions;
    options->limits.per_source = settings->udp_sessions_per_source;
    options->retries = listener->options.retries;
}

void listener_switch(struct listener *listener)
{
    struct listener_next *next = listener->next;
    const struct listener_settings *settings = next->options.settings;

    listener_ports_switch(listener, settings);
    listener->options = next->options;
    listener_switch_frame(listener, next->frame);
    listener_set_tcp(listener, settings);
    gate_init(&listener->gate, listener->options.worker, settings,
              listener->options.share->next_rates);
    listener_switch_datagrams(listener);
    listener_count_all(listener);
    listener_forbid(listener);
    listener_ports_open(listener, &next->ports);
    listener_ports_tune(listener);
    mem_free(next);
    listener->next = NULL;
}

/* ---- looking in ---- */

uint32_t listener_active(const struct listener *listener)
{
    return listener->session_count + listener->datagrams.count;
}

void listener_status(const struct listener *listener, struct status_listener *status)
{
    const struct listener_settings *settings = listener->options.settings;

    status->id = listener->options.share;
    status->leaving = listener->closing;
    snprintf(status->name, sizeof(status->name), "%s", settings->name);
    snprintf(status->backend, sizeof(status->backend), "%s", settings->backend);
    status->protocol = settings->protocol;
    status->addr = listener->options.share->first;
    status->connections = listener->session_count;
    status->connections_total = listener->accepted;
    status->refused_total = listener->refused;
    status->traffic = listener->traffic;
    status->udp_sessions = listener->datagrams.count;
    status->udp_sessions_total = listener->datagrams.total;
}

/* ---- the end ---- */

void listener_close(struct listener *listener)
{
    listener_ports_close_tcp(listener);
    listener->closing = true;
    listener->datagrams.closed = true;
    listener_settle(listener);
}

/* emptied goes on to be told, as long as the relay drains. */
void listener_take_leave(struct listener *listener, listener_fn *idle, void *context)
{
    listener->idle = idle;
    listener->idle_context = context;
    listener_close(listener);
}

bool listener_has_emptied(const struct listener *listener)
{
    return listener->told_emptied;
}

void listener_leave(struct listener *listener)
{
    listener->leaving = true;
    listener_settle(listener);
}

void listener_stop(struct listener *listener, enum reason reason)
{
    listener_ports_close_tcp(listener);
    listener->closing = listener->stopping = true;
    if (listener->has_datagrams)
        udp_sessions_stop(&listener->datagrams, reason);
    for (struct list *link = listener->sessions.next; link != &listener->sessions;
         link = link->next)
        session_stop(container_of(link, struct session, link), reason);
    listener_settle(listener);
}
