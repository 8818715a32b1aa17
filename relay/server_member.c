/* A server is opened: by a TCP connect, or by a connected UDP socket. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/tcp_end.h"
#include "core/udp_end.h"
#include "relay/proxy_datagram.h"
#include "relay/proxy_send.h"
#include "relay/server_parts.h"

struct server_open {
    struct server_site *site; /* of the worker whose ring it is opened on */
    struct open_request *request;
    struct list link; /* in `waiting`, until the name is known */
    struct stream *stream;
    struct tcp_connect connect;
    struct task task; /* answers that must not come from inside open or cancel */
    enum reason reason;
    uint32_t at;                        /* the address it goes to */
    uint32_t tried;                     /* addresses that failed */
    bool connecting, cancelled, failed; /* failed: at one address */
    enum send_proxy send_proxy;         /* as it was when it began */
};

/* A server without a port keeps the user's. */
static struct addr server_site_addr(const struct server_site *site, uint32_t at, uint16_t port)
{
    struct addr addr = site->addrs[at];

    if (!site->server->server.host.port)
        addr_set_port(&addr, port);
    return addr;
}

/* ---- one open ---- */

static void server_open_end(struct server_open *open)
{
    task_cancel(&open->task);
    list_remove(&open->link);
    mem_free(open);
}

static void server_open_fail(struct server_open *open, enum reason reason)
{
    struct open_request *request = open->request;

    request->member_state = NULL;
    /* Nothing was ever sent: another may have the bytes. */
    request->events->failed(request, open->cancelled ? REASON_ABANDONED : reason, true);
    server_open_end(open);
}

static void server_open_task(struct task *task)
{
    struct server_open *open = container_of(task, struct server_open, task);

    server_open_fail(open, open->reason);
}

static void server_open_fail_later(struct server_open *open, enum reason reason)
{
    open->reason = reason;
    worker_defer(open->site->worker, &open->task);
}

static void server_open_connect(struct server_open *open);

/* A name may stand for several addresses: one that failed makes way for the next, now and, unless
 * another open has seen to that, for later opens; when all have failed, an old answer is asked for
 * again.  True: it goes on. */
static bool server_open_goes_on(struct server_open *open)
{
    struct server_site *site = open->site;
    uint32_t failed = open->at;

    if (open->cancelled)
        return false;
    if (site->addr_count)
        open->at = (failed + 1) % site->addr_count;
    if (site->addr_next == failed)
        site->addr_next = open->at;
    if (++open->tried < site->addr_count) {
        server_open_connect(open);
        return true;
    }
    server_site_refresh(site);
    return false;
}

static void server_open_stream_received(struct stream *stream, struct piece *piece)
{
    piece_free(piece);
}
static void server_open_stream_ended(struct stream *stream)
{
}
static void server_open_stream_drained(struct stream *stream, uint64_t length)
{
}
static void server_open_stream_closed(struct stream *stream, enum reason reason)
{
    struct server_open *open = stream->owner;

    stream_free(stream);
    server_open_fail(open, open->reason);
}
static const struct stream_events server_open_stream_events = {
    .received = server_open_stream_received,
    .ended = server_open_stream_ended,
    .drained = server_open_stream_drained,
    .closed = server_open_stream_closed,
};

/* The stream's end is the open's. */
static void server_open_discard(struct server_open *open, enum reason reason)
{
    open->reason = reason;
    open->stream->events = &server_open_stream_events;
    open->stream->owner = open;
    stream_stop(open->stream, reason);
}

static void server_open_connected(struct tcp_connect *connect, struct stream *stream,
                                  enum reason reason)
{
    struct server_open *open = container_of(connect, struct server_open, connect);
    struct open_request *request = open->request;

    open->connecting = false;
    if (!stream) {
        /* Of several addresses, what one said itself counts before what kept us from another. */
        if (!open->failed || !reason_is_ours(reason))
            open->reason = reason;
        open->failed = true;
        if (!server_open_goes_on(open))
            server_open_fail(open, open->reason);
        return;
    }
    open->stream = stream;
    if (!proxy_send(open->site->worker, stream, open->send_proxy, &request->source,
                    &request->destination)) {
        server_open_discard(open, REASON_NO_MEMORY);
        return;
    }
    request->events->opened(request, stream);
    if (open->cancelled)
        return; /* by opened(): the stream's closed() goes on */
    request->member_state = NULL;
    request->events->confirmed(request);
    server_open_end(open);
}

static void server_open_connect(struct server_open *open)
{
    struct server_site *site = open->site;
    const struct backend_settings *backend = server_backend(site->server);
    struct addr addr = server_site_addr(site, open->at, open->request->port);
    struct tcp_options options = {.keepalive_s = (uint32_t)(backend->keepalive_ns / 1000000000)};

    if (!site->addr_count) {
        server_open_fail_later(open, REASON_NAME_UNKNOWN);
        return;
    }
    snprintf(options.congestion, sizeof(options.congestion), "%s", backend->tcp_congestion);
    open->connecting = true;
    tcp_connect_start(&open->connect, site->worker, &addr, &options, backend->connect_timeout_ns,
                      server_open_connected);
}

static void server_open_begin(struct server_open *open)
{
    open->at = open->site->addr_next;
    server_open_connect(open);
}

/* The name was answered, one way or the other. */
void server_opens_go_on(struct list *waiting)
{
    for (struct list *link; (link = list_pop(waiting));)
        server_open_begin(container_of(link, struct server_open, link));
}

/* ---- the member ---- */

static int server_member_open(struct member *member, struct worker *worker,
                              struct open_request *request)
{
    struct server_site *site = server_site_of(member, worker);
    struct server_open *open = mem_new(sizeof(*open));

    if (!open)
        return -ENOMEM;
    open->site = site;
    open->request = request;
    open->send_proxy = server_backend(site->server)->send_proxy;
    request->member_state = open;
    list_init(&open->link);
    task_init(&open->task, server_open_task);
    server_site_refresh(site); /* meanwhile the old answer stands */
    if (!site->addr_count && site->asked)
        list_append(&site->waiting, &open->link);
    else
        server_open_begin(open);
    return 0;
}

static void server_member_cancel(struct member *member, struct open_request *request)
{
    struct server_open *open = request->member_state;

    open->cancelled = true;
    if (open->stream) {
        server_open_discard(open, REASON_ABANDONED);
    } else if (open->connecting) {
        tcp_connect_stop(&open->connect);
    } else {
        list_remove(&open->link);
        server_open_fail_later(open, REASON_ABANDONED);
    }
}

static void discarded_datagram_received(struct datagram_end *end, const uint8_t *data,
                                        uint32_t length)
{
}
static void discarded_datagram_closed(struct datagram_end *end, enum reason reason)
{
    datagram_free(end);
}
static const struct datagram_events discarded_datagram_events = {
    .received = discarded_datagram_received,
    .closed = discarded_datagram_closed,
};

/* Puts the PROXY header's stand-in before `end`.  NULL, and the end goes away, without memory. */
static struct datagram_end *server_member_tell(const struct server_member *server,
                                               struct worker *worker,
                                               const struct datagram_request *request,
                                               struct datagram_end *end, enum reason *reason)
{
    const struct backend_settings *backend = server_backend(server);
    struct datagram_end *teller;

    if (backend->send_proxy == SEND_PROXY_NO)
        return end;
    teller = proxy_datagram_new(worker, end, backend->send_proxy_udp, &request->source,
                                &request->destination);
    if (teller)
        return teller;
    end->events = &discarded_datagram_events;
    datagram_stop(end, REASON_NO_MEMORY);
    *reason = REASON_NO_MEMORY;
    return NULL;
}

static struct datagram_end *server_member_open_datagrams(struct member *member,
                                                         struct worker *worker,
                                                         const struct datagram_request *request,
                                                         enum reason *reason)
{
    struct server_site *site = server_site_of(member, worker);
    struct datagram_end *end;
    struct addr addr;
    int error;

    server_site_refresh(site); /* meanwhile the old answer stands */
    if (!site->addr_count) {
        *reason = site->answered ? REASON_NAME_UNKNOWN : REASON_NAME_PENDING;
        return NULL;
    }
    addr = server_site_addr(site, site->addr_next, request->port);
    end = udp_end_new(worker, &addr, &error);
    if (!end) {
        *reason = reason_of_errno(error);
        return NULL;
    }
    return server_member_tell(site->server, worker, request, end, reason);
}

static const struct member_ops server_member_ops = {
    .open = server_member_open,
    .cancel = server_member_cancel,
    .open_datagrams = server_member_open_datagrams,
    .unused = server_member_stop,
};

struct member *server_member_new(const struct server_member_options *options,
                                 const struct backend_server *server)
{
    struct server_member *made =
        mem_new(sizeof(*made) + options->workers * sizeof(struct server_site));

    if (!made)
        return NULL;
    made->member.ops = &server_member_ops;
    made->member.weight = server->weight;
    made->member.tier = server->tier;
    made->member.max_conn = server->max_conn;
    snprintf(made->member.name, sizeof(made->member.name), "%s", server->name);
    made->options = *options;
    made->server = *server;
    server_health_init(&made->health, made);
    for (uint32_t i = 0; i < options->workers; i++)
        server_site_init(&made->sites[i], made, options->by_index[i]);
    return &made->member;
}
