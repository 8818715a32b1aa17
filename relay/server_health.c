#include "relay/server_health.h"

#include <stdio.h>
#include <string.h>

#include "relay/server_parts.h"

static struct server_site *health_site(const struct server_health *health)
{
    return &health->server->sites[0];
}

static struct worker *health_worker(const struct server_health *health)
{
    return health_site(health)->worker;
}

static bool is_down(const struct server_health *health)
{
    return member_state(&health->server->member) == MEMBER_DOWN;
}

/* reason: why not, else REASON_DONE. */
static void health_log(const struct server_health *health, enum log_level level, const char *words,
                       enum reason reason)
{
    struct log_source *log = health_worker(health)->log;
    const char *backend = server_backend(health->server)->name;
    const char *member = health->server->member.name;

    if (reason == REASON_DONE)
        LOG(log, level, words, LOG_TEXT("backend", backend), LOG_TEXT("member", member));
    else
        LOG(log, level, words, LOG_TEXT("backend", backend), LOG_TEXT("member", member),
            LOG_TEXT("reason", reason_text(reason)));
}

/* ---- what answers mean ---- */

static void health_mark(struct server_health *health, bool down, enum reason reason)
{
    health->in_a_row = 0;
    if (!member_set_down(&health->server->member, down))
        return;
    counter_add(health_worker(health)->counters, down ? COUNTER_SERVERS_DOWN : COUNTER_SERVERS_BACK,
                1);
    health_log(health, down ? LOG_WARN : LOG_INFO, down ? "server is down" : "server is back",
               reason);
}

static void health_judge(struct server_health *health, enum reason reason)
{
    const struct backend_settings *backend = server_backend(health->server);
    bool bad = reason != REASON_DONE, down = is_down(health);
    uint32_t enough = !health->known ? 1 : bad ? backend->fall : backend->rise;

    counter_add(health_worker(health)->counters,
                bad ? COUNTER_HEALTH_FAILED : COUNTER_HEALTH_PASSED, 1);
    health->in_a_row = bad == down ? 0 : health->in_a_row + 1;
    health->known = true;
    if (health->in_a_row >= enough)
        health_mark(health, bad, reason);
}

/* ---- asking ---- */

/* What nobody asks any more is taken as fit. */
static void health_end(struct server_health *health)
{
    health->kind = HEALTH_NONE;
    health->known = health->spread = false;
    health_mark(health, false, REASON_DONE);
}

static void health_ask_at(struct server_health *health, uint64_t at_ns)
{
    if (!timer_set(&health_worker(health)->timers, &health->timer, at_ns))
        return;
    health_log(health, LOG_ERROR, "server is not asked any more whether it serves",
               REASON_NO_MEMORY);
    health_end(health);
}

/* All are asked at the start; from then on each has a moment of its own in the interval. */
static void health_ask_again(struct server_health *health)
{
    struct os *os = health_worker(health)->os;
    uint64_t interval_ns = server_backend(health->server)->health_interval_ns;
    uint32_t random;

    if (!health->spread) {
        os->random(os, &random, sizeof(random));
        interval_ns -= (interval_ns / 2 * (random >> 12)) >> 20;
    }
    health->spread = true;
    health_ask_at(health, health->began_ns + interval_ns);
}

static void health_ask_next(struct server_health *health);

/* A name may stand for several addresses, and an open goes on where it cannot connect: so does
 * this.  A UDP session does not. */
static bool health_goes_on(const struct server_health *health, enum reason reason)
{
    return reason != REASON_DONE && reason != REASON_HEALTH_ANSWER &&
           reason != REASON_HEALTH_SILENCE && health->kind != HEALTH_UDP &&
           health->tried < health_site(health)->addr_count;
}

/* Of several addresses, what one said itself counts before what kept us from another. */
static enum reason health_sum(struct server_health *health, enum reason reason)
{
    if (reason == REASON_DONE || health->bad == REASON_DONE || !reason_is_ours(reason))
        health->bad = reason;
    return health->bad;
}

static void health_told(void *context, enum reason reason)
{
    struct server_health *health = context;
    bool other = server_backend(health->server)->health != health->kind;

    health->check = NULL;
    reason = health_sum(health, reason);
    if (health->stopping) {
        server_health_stopped(health->server);
    } else if (other || reason == REASON_ABANDONED) {
        server_health_adjust(health);
    } else if (health_goes_on(health, reason)) {
        health_ask_next(health);
    } else {
        if (!reason_is_ours(reason))
            health_judge(health, reason);
        health_ask_again(health);
    }
}

/* The name as the server knows it: without the dot that ends it for us; an address has no TLS name.
 */
static void health_host(const struct host *host, enum health_kind kind, char text[HEALTH_HOST_SIZE])
{
    size_t length = strlen(host->name);
    int shown = (int)(length && host->name[length - 1] == '.' ? length - 1 : length);

    if (kind == HEALTH_TLS)
        snprintf(text, HEALTH_HOST_SIZE, "%.*s", host->addr.length ? 0 : shown, host->name);
    else if (!shown)
        snprintf(text, HEALTH_HOST_SIZE, "localhost");
    else if (strchr(host->name, ':'))
        snprintf(text, HEALTH_HOST_SIZE, "[%s]:%u", host->name, host->port);
    else
        snprintf(text, HEALTH_HOST_SIZE, "%.*s:%u", shown, host->name, host->port);
}

static void health_ask_next(struct server_health *health)
{
    const struct backend_settings *backend = server_backend(health->server);
    const struct host *host = &health->server->server.host;
    struct server_site *site = health_site(health);
    struct health_question question = {.kind = health->kind,
                                       .path = backend->health_path,
                                       .send_proxy = backend->send_proxy,
                                       .timeout_ns = backend->health_timeout_ns,
                                       .told = health_told,
                                       .context = health};
    char text[HEALTH_HOST_SIZE];

    health_host(host, health->kind, text);
    question.host = text;
    question.addr = site->addrs[(site->addr_next + health->tried++) % site->addr_count];
    health->check = health_ask(site->worker, &question);
    if (!health->check)
        health_ask_again(health);
}

static void health_due(struct timer *timer)
{
    struct server_health *health = container_of(timer, struct server_health, timer);
    struct server_site *site = health_site(health);

    if (member_state(&health->server->member) == MEMBER_GONE)
        return; /* it serves those that it has, and gets no more */
    health->began_ns = site->worker->now_ns;
    health->tried = 0;
    health->bad = REASON_DONE;
    server_site_refresh(site);
    if (site->addr_count) {
        health_ask_next(health);
    } else {
        health_judge(health, REASON_NAME_UNKNOWN);
        health->known = false; /* once it has an address, its first answer counts */
        health_ask_again(health);
    }
}

/* ---- beginning and end ---- */

void server_health_init(struct server_health *health, struct server_member *server)
{
    health->server = server;
    timer_init(&health->timer, health_due);
}

void server_health_adjust(struct server_health *health)
{
    const struct backend_settings *backend = server_backend(health->server);
    uint64_t next_ns = health_worker(health)->now_ns + backend->health_interval_ns;
    bool other = backend->health != health->kind;

    if (other || backend->health == HEALTH_NONE)
        timer_stop(&health_worker(health)->timers, &health->timer);
    if (other && health->check) {
        health_give_up(health->check); /* and then again */
    } else if (backend->health == HEALTH_NONE) {
        health_end(health);
    } else if (other) {
        health->kind = backend->health;
        health->known = false;
        health_ask_at(health, health_worker(health)->now_ns + backend->health_delay_ns);
    } else if (!health->check && (!timer_is_set(&health->timer) ||
                                  (health->spread && health->timer.at_ns > next_ns))) {
        health_ask_at(health, next_ns);
    }
}

void server_health_stop(struct server_health *health)
{
    health->stopping = true;
    timer_stop(&health_worker(health)->timers, &health->timer);
    if (health->check)
        health_give_up(health->check);
}
