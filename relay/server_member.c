#include "relay/server_member.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/mem.h"
#include "core/resolve.h"
#include "core/tcp_end.h"
#include "core/udp_end.h"
#include "relay/proxy_datagram.h"
#include "relay/proxy_send.h"

enum { RESOLVE_AGAIN_MIN_S = 5 };

/* What one worker knows of the server; its own. */
struct server_site {
    struct server_member *server;
    struct worker *worker;
    /* What the name stands for. */
    struct addr addrs[RESOLVE_MAX];
    uint32_t addr_count, addr_next;
    uint64_t resolved_ns, ttl_ns;
    bool asked;
    struct resolve_request resolve;
    struct list waiting; /* opens that wait for the first answer */
    /* The end. */
    server_member_fn *stopped; /* NULL: still wanted, or told */
    void *context;
    bool stopping;
};

struct server_member {
    struct member member;
    const struct backend_settings *backend;
    const struct backend_server *server;
    struct server_site sites[]; /* by worker */
};

struct server_open {
    struct server_site *site; /* of the worker whose ring it is opened on */
    struct open_request *request;
    struct list link; /* in `waiting`, until the name is known */
    struct stream *stream;
    struct tcp_connect connect;
    struct task task; /* answers that must not come from inside open or cancel */
    enum reason reason;
    uint32_t tried; /* addresses that failed */
    bool connecting, cancelled;
};

static struct server_member *server_member_of(struct member *member)
{
    return container_of(member, struct server_member, member);
}

static struct server_site *server_site_of(struct member *member, const struct worker *worker)
{
    return &server_member_of(member)->sites[worker->index];
}

static void server_site_settle(struct server_site *site)
{
    server_member_fn *stopped = site->stopped;

    if (!stopped || site->asked)
        return;
    site->stopped = NULL;
    stopped(site->context);
}

static void server_site_ask(struct server_site *site);

static bool server_site_is_stale(const struct server_site *site)
{
    if (site->server->server->host.addr.length)
        return false;
    return !site->resolved_ns || site->worker->now_ns - site->resolved_ns > site->ttl_ns;
}

/* Where to go now; a server without a port keeps the user's. */
static struct addr server_site_addr(const struct server_site *site, uint16_t port)
{
    struct addr addr = site->addrs[site->addr_next];

    if (!site->server->server->host.port)
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

/* A name may stand for several addresses: one that failed makes way for the next, now and for later
 * opens; when all have failed, an old answer is asked for again.  True: it goes on. */
static bool server_open_goes_on(struct server_open *open)
{
    struct server_site *site = open->site;

    if (open->cancelled)
        return false;
    if (site->addr_count)
        site->addr_next = (site->addr_next + 1) % site->addr_count;
    if (++open->tried < site->addr_count) {
        server_open_connect(open);
        return true;
    }
    if (server_site_is_stale(site))
        server_site_ask(site);
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
        if (!server_open_goes_on(open))
            server_open_fail(open, reason);
        return;
    }
    open->stream = stream;
    if (!proxy_send(open->site->worker, stream, open->site->server->backend->send_proxy,
                    &request->source, &request->destination)) {
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
    const struct backend_settings *backend = site->server->backend;
    struct addr addr = server_site_addr(site, open->request->port);
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

/* ---- names ---- */

static void server_site_take_answer(struct server_site *site, const struct resolve_request *resolve)
{
    const struct backend_settings *backend = site->server->backend;
    uint32_t ttl_s = resolve->ttl_s < RESOLVE_AGAIN_MIN_S ? RESOLVE_AGAIN_MIN_S : resolve->ttl_s;

    site->resolved_ns = site->worker->now_ns;
    site->ttl_ns = backend->resolve_ns ? backend->resolve_ns : ttl_s * 1000000000ull;
    if (!resolve->error) {
        site->addr_count = resolve->count;
        site->addr_next = 0;
        memcpy(site->addrs, resolve->addrs, resolve->count * sizeof(struct addr));
        return;
    }
    site->ttl_ns = RESOLVE_AGAIN_MIN_S * 1000000000ull;
    LOG(site->worker->log, LOG_WARN, "server name not resolved", LOG_TEXT("backend", backend->name),
        LOG_TEXT("name", resolve->host), LOG_TEXT("reason", reason_text(REASON_NAME_UNKNOWN)));
}

static void server_site_resolved(struct resolve_request *resolve)
{
    struct server_site *site = container_of(resolve, struct server_site, resolve);
    struct list waiting;

    site->asked = false;
    server_site_take_answer(site, resolve);
    list_init(&waiting);
    list_take_all(&waiting, &site->waiting);
    for (struct list *link; (link = list_pop(&waiting));)
        server_open_connect(container_of(link, struct server_open, link));
    server_site_settle(site);
}

static void server_site_ask(struct server_site *site)
{
    const struct host *host = &site->server->server->host;

    if (site->asked || site->stopping)
        return;
    site->asked = true;
    site->resolve = (struct resolve_request){
        .port = host->port, .worker = site->worker, .done = server_site_resolved};
    snprintf(site->resolve.host, sizeof(site->resolve.host), "%s", host->name);
    resolve_ask(site->worker->resolver, &site->resolve);
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
    request->member_state = open;
    list_init(&open->link);
    task_init(&open->task, server_open_task);
    if (server_site_is_stale(site)) /* meanwhile the old answer stands */
        server_site_ask(site);
    if (!site->addr_count && site->asked)
        list_append(&site->waiting, &open->link);
    else
        server_open_connect(open);
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
    struct datagram_end *teller;

    if (server->backend->send_proxy == SEND_PROXY_NO)
        return end;
    teller = proxy_datagram_new(worker, end, server->backend->send_proxy_udp, &request->source,
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

    if (server_site_is_stale(site)) /* meanwhile the old answer stands */
        server_site_ask(site);
    if (!site->addr_count) {
        *reason = REASON_NAME_UNKNOWN;
        return NULL;
    }
    addr = server_site_addr(site, request->port);
    end = udp_end_new(worker, &addr, &error);
    if (!end) {
        *reason = reason_of_errno(error);
        return NULL;
    }
    return server_member_tell(site->server, worker, request, end, reason);
}

static void server_member_unused(struct member *member)
{
    mem_free(server_member_of(member));
}

static const struct member_ops server_member_ops = {
    .open = server_member_open,
    .cancel = server_member_cancel,
    .open_datagrams = server_member_open_datagrams,
    .unused = server_member_unused,
};

static void server_site_init(struct server_site *site, struct server_member *server,
                             struct worker *worker)
{
    const struct addr *known = &server->server->host.addr;

    site->server = server;
    site->worker = worker;
    list_init(&site->waiting);
    if (!known->length)
        return;
    site->addrs[0] = *known;
    site->addr_count = 1;
}

struct member *server_member_new(struct worker *const *workers, uint32_t count,
                                 const struct backend_settings *backend,
                                 const struct backend_server *server)
{
    struct server_member *made = mem_new(sizeof(*made) + count * sizeof(struct server_site));

    if (!made)
        return NULL;
    made->member.ops = &server_member_ops;
    made->member.weight = server->weight;
    made->member.tier = server->tier;
    made->member.max_conn = server->max_conn;
    snprintf(made->member.name, sizeof(made->member.name), "%s", server->name);
    made->backend = backend;
    made->server = server;
    for (uint32_t i = 0; i < count; i++)
        server_site_init(&made->sites[i], made, workers[i]);
    return &made->member;
}

void server_member_start(struct member *member, const struct worker *worker)
{
    struct server_site *site = server_site_of(member, worker);

    if (!site->addr_count)
        server_site_ask(site);
}

void server_member_stop(struct member *member, const struct worker *worker,
                        server_member_fn *stopped, void *context)
{
    struct server_site *site = server_site_of(member, worker);

    site->stopping = true;
    site->stopped = stopped;
    site->context = context;
    server_site_settle(site);
}
