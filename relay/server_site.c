/* Where a server is, as each worker has heard it, and how it begins and ends on all of them. */
#include <stdio.h>
#include <string.h>

#include "relay/server_parts.h"

enum { RESOLVE_AGAIN_MIN_S = 5 };

/* ---- orders that each worker carries out ---- */

/* The last one of all tells the owner. */
static void server_site_tell(struct server_site *site, enum server_order order)
{
    struct server_member *server = site->server;

    if (!site->owed[order])
        return;
    site->owed[order] = false;
    if (atomic_fetch_sub(&server->orders[order].left, 1) == 1)
        worker_post(server->options.by_index[0], &server->orders[order].mail);
}

/* Once it stops, nothing of the site may be touched any more after this. */
static void server_site_settle(struct server_site *site)
{
    if (site->asked || (!site->answered && !site->stopping))
        return;
    server_site_tell(site, SERVER_START);
    server_site_tell(site, SERVER_STOP);
}

static void server_site_started(struct mail *mail)
{
    struct server_site *site = container_of(mail, struct server_site, mails[SERVER_START]);

    site->owed[SERVER_START] = true;
    if (!site->answered)
        server_site_refresh(site);
    server_site_settle(site);
}

static void server_site_stopped(struct mail *mail)
{
    struct server_site *site = container_of(mail, struct server_site, mails[SERVER_STOP]);

    site->owed[SERVER_STOP] = site->stopping = true;
    timer_stop(&site->worker->timers, &site->timer);
    if (site->asked)
        resolve_give_up(&site->resolve);
    server_site_settle(site);
}

static void server_order(struct server_member *server, enum server_order order, mail_fn *run,
                         mail_fn *done)
{
    server->orders[order].mail.run = done;
    atomic_store(&server->orders[order].left, server->options.workers);
    for (uint32_t i = 0; i < server->options.workers; i++) {
        server->sites[i].mails[order].run = run;
        worker_post(server->sites[i].worker, &server->sites[i].mails[order]);
    }
}

/* ---- the name ---- */

/* The address in use stays so while the name stands for it. */
static void server_site_take_addrs(struct server_site *site, const struct resolve_request *resolve)
{
    struct addr used = site->addrs[site->addr_next];

    site->addr_count = resolve->count;
    site->addr_next = 0;
    memcpy(site->addrs, resolve->addrs, resolve->count * sizeof(struct addr));
    for (uint32_t i = 0; i < site->addr_count; i++)
        if (addr_equal(&site->addrs[i], &used))
            site->addr_next = i;
}

/* Said once: it is asked for every few seconds until it is known again. */
static void server_site_complain(struct server_site *site)
{
    counter_add(site->worker->counters, COUNTER_NAMES_FAILED, 1);
    if (site->unknown)
        return;
    site->unknown = true;
    LOG(site->worker->log, LOG_WARN, "server name not resolved",
        LOG_TEXT("backend", server_backend(site->server)->name),
        LOG_TEXT("name", site->resolve.host), LOG_TEXT("reason", reason_text(REASON_NAME_UNKNOWN)));
}

uint64_t server_answer_stale_ns(const struct backend_settings *backend,
                                const struct resolve_request *resolve, uint64_t now_ns)
{
    uint32_t ttl_s = resolve->ttl_s;

    if (!resolve->error && backend->resolve_ns)
        return now_ns + backend->resolve_ns;
    if (resolve->error || ttl_s < RESOLVE_AGAIN_MIN_S)
        ttl_s = RESOLVE_AGAIN_MIN_S;
    return now_ns + ttl_s * 1000000000ull;
}

static void server_site_resolved(struct resolve_request *resolve)
{
    struct server_site *site = container_of(resolve, struct server_site, resolve);
    struct worker *worker = site->worker;
    struct list waiting;

    site->asked = false;
    site->answered = true;
    site->stale_ns = server_answer_stale_ns(server_backend(site->server), resolve, worker->now_ns);
    if (!resolve->error) {
        site->unknown = false;
        server_site_take_addrs(site, resolve);
    } else if (!site->stopping) {
        server_site_complain(site);
    }
    if (!site->stopping && timer_set(&worker->timers, &site->timer, site->stale_ns))
        site->stale_ns = 0; /* no memory: the next open asks */
    list_init(&waiting);
    list_take_all(&waiting, &site->waiting);
    server_opens_go_on(&waiting);
    server_site_settle(site);
}

void server_site_refresh(struct server_site *site)
{
    const struct host *host = &site->server->server.host;

    if (site->asked || site->stopping || host->addr.length || site->worker->now_ns < site->stale_ns)
        return;
    site->asked = true;
    site->resolve = (struct resolve_request){
        .port = host->port, .worker = site->worker, .done = server_site_resolved};
    snprintf(site->resolve.host, sizeof(site->resolve.host), "%s", host->name);
    resolve_ask(site->worker->resolver, &site->resolve);
}

static void server_site_timed(struct timer *timer)
{
    server_site_refresh(container_of(timer, struct server_site, timer));
}

void server_site_init(struct server_site *site, struct server_member *server, struct worker *worker)
{
    const struct addr *known = &server->server.host.addr;

    site->server = server;
    site->worker = worker;
    list_init(&site->waiting);
    timer_init(&site->timer, server_site_timed);
    if (!known->length)
        return;
    site->addrs[0] = *known;
    site->addr_count = 1;
    site->answered = true;
}

/* ---- beginning and end ---- */

static void server_member_end(struct server_member *server)
{
    struct server_member_options options = server->options;

    mem_free(server->member.loads); /* it may never have been in the pool */
    mem_free(server);
    options.ended(options.context);
}

static void server_member_started(struct mail *mail)
{
    struct server_member *server =
        container_of(mail, struct server_member, orders[SERVER_START].mail);

    if (server->life != SERVER_STARTING)
        return; /* it was stopped meanwhile */
    server->life = SERVER_RUNNING;
    server_health_adjust(&server->health);
    server->options.ready(server->options.context);
}

void server_health_stopped(struct server_member *server)
{
    if (server->sites_stopped)
        server_member_end(server);
}

/* A site settles its start before its stop, so that mail has run already. */
static void server_member_stopped(struct mail *mail)
{
    struct server_member *server =
        container_of(mail, struct server_member, orders[SERVER_STOP].mail);

    server->sites_stopped = true;
    if (!server->health.check)
        server_member_end(server);
}

void server_member_adjust(struct member *member)
{
    struct server_member *server = server_member_of(member);

    if (server->life == SERVER_RUNNING)
        server_health_adjust(&server->health);
}

void server_member_start(struct member *member)
{
    struct server_member *server = server_member_of(member);

    server->life = SERVER_STARTING;
    server_order(server, SERVER_START, server_site_started, server_member_started);
}

void server_member_stop(struct member *member)
{
    struct server_member *server = server_member_of(member);

    if (server->life == SERVER_NEW) {
        server_member_end(server);
        return;
    }
    server->life = SERVER_STOPPING;
    server_health_stop(&server->health);
    server_order(server, SERVER_STOP, server_site_stopped, server_member_stopped);
}
