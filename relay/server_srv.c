/* The servers that SRV records name. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "relay/server_pool_parts.h"

enum { SERVERS_MAX = 1024 }; /* of one name */
#define AGAIN_NS 1000000000ull

/* ---- what records say ---- */

static int record_compare(const void *left, const void *right)
{
    const struct srv_record *a = left, *b = right;

    if (a->priority != b->priority)
        return a->priority < b->priority ? -1 : 1;
    if (a->port != b->port)
        return a->port < b->port ? -1 : 1;
    return strcmp(a->host, b->host);
}

static struct pool_server *line_find(const struct srv_line *line, const struct srv_record *record)
{
    for (struct list *link = line->servers.next; link != &line->servers; link = link->next) {
        struct pool_server *server = container_of(link, struct pool_server, link);

        if (server->port == record->port && !strcmp(server->host, record->host))
            return server;
    }
    return NULL;
}

/* HOST:PORT; of a name too long for that, enough to see and to tell it from others. */
static void record_name(const struct srv_record *record, char name[SETTINGS_NAME_SIZE])
{
    uint32_t hash = 2166136261;

    if (snprintf(name, SETTINGS_NAME_SIZE, "%s:%u", record->host, record->port) <
        SETTINGS_NAME_SIZE)
        return;
    for (const char *at = record->host; *at; at++)
        hash = (hash ^ (uint8_t)*at) * 16777619;
    snprintf(name, SETTINGS_NAME_SIZE, "%.48s~%08x:%u", record->host, hash, record->port);
}

static void record_settings(const struct srv_line *line, const struct srv_record *record,
                            enum member_tier tier, struct backend_server *settings)
{
    *settings = line->settings;
    settings->host = (struct host){.port = record->port};
    if (addr_from_host(&settings->host.addr, record->host, record->port)) /* no name, but seen */
        settings->host.addr.length = 0;
    /* The dot ends the name: no search list for it. */
    snprintf(settings->host.name, sizeof(settings->host.name), "%.254s.", record->host);
    record_name(record, settings->name);
    settings->tier = tier;
    settings->weight = record->weight;
}

static void line_add(struct srv_line *line, const struct srv_record *record, enum member_tier tier)
{
    struct backend_server settings;
    struct pool_server *server;

    record_settings(line, record, tier, &settings);
    server = pool_server_new(line->pool, &settings);
    if (!server) {
        LOG(pool_worker(line->pool)->log, LOG_ERROR, "no memory for a server that was found",
            LOG_TEXT("backend", backend_pool_name(line->pool->members)),
            LOG_TEXT("member", settings.name));
        return;
    }
    snprintf(server->host, sizeof(server->host), "%s", record->host);
    server->port = record->port;
    server->listed = true;
    list_append(&line->servers, &server->link);
    server_member_start(server->member);
}

/* One that stays keeps its connections and counts. */
static void line_keep(struct pool_server *server, const struct srv_record *record,
                      enum member_tier tier)
{
    struct member *member = server->member;

    server->listed = true;
    if (member->tier == tier && member->weight == record->weight)
        return;
    if (!server->pooled) {
        member->tier = tier;
        member->weight = record->weight;
    } else if (backend_pool_move(server->pool->members, member, tier, record->weight)) {
        pool_server_log(server, LOG_ERROR, "no memory for a server's new weight");
    }
}

/* Another line has it already: one server is one member. */
static bool line_is_late(const struct srv_line *line, const struct srv_record *record)
{
    const struct pool_lines *lines = &line->pool->lines;
    char name[SETTINGS_NAME_SIZE];

    record_name(record, name);
    for (uint32_t i = 0; i < lines->count; i++) {
        if (lines->servers[i] && !strcmp(lines->servers[i]->member->name, name))
            return true;
        if (lines->names[i] && lines->names[i] != line && line_find(lines->names[i], record))
            return true;
    }
    return false;
}

static void line_take_record(struct srv_line *line, const struct srv_record *record,
                             enum member_tier tier)
{
    struct pool_server *server = line_find(line, record);

    if (server && !server->listed)
        line_keep(server, record, tier);
    else if (!server && !line_is_late(line, record))
        line_add(line, record, tier);
}

static void line_remove_unlisted(struct srv_line *line)
{
    struct list *next;

    for (struct list *link = line->servers.next; link != &line->servers; link = next) {
        struct pool_server *server = container_of(link, struct pool_server, link);

        next = link->next;
        if (!server->listed) {
            pool_server_log(server, LOG_INFO, "server gone");
            pool_server_remove(server);
        }
        server->listed = false;
    }
}

/* The lowest priority is the line's tier, each higher one a tier below, as far as there are any. */
static void line_take_records(struct srv_line *line, struct srv_record *records, uint32_t count)
{
    enum member_tier tier = line->settings.tier;

    qsort(records, count, sizeof(*records), record_compare);
    if (count > SERVERS_MAX)
        count = SERVERS_MAX;
    for (uint32_t i = 0; i < count; i++) {
        if (i && records[i].priority != records[i - 1].priority && tier < TIER_FALLBACK)
            tier++;
        line_take_record(line, &records[i], tier);
    }
    line_remove_unlisted(line);
}

/* ---- the name ---- */

static void line_free(struct srv_line *line)
{
    struct server_pool *pool = line->pool;

    mem_free(line);
    server_pool_settle(pool);
}

static void line_answered(struct resolve_request *request)
{
    struct srv_line *line = container_of(request, struct srv_line, request);
    struct worker *worker = pool_worker(line->pool);
    uint64_t at_ns = server_answer_stale_ns(line->pool->backend, request, worker->now_ns);

    line->asked = false;
    line->pool->asked--;
    if (line->gone) {
        mem_free(request->records);
        line_free(line);
        return;
    }
    if (line->pool->change) { /* not while others are made ready for their places */
        mem_free(request->records);
        at_ns = worker->now_ns + AGAIN_NS;
    } else if (!request->error) {
        line_take_records(line, request->records, request->count);
        mem_free(request->records);
    } else {
        counter_add(worker->counters, COUNTER_NAMES_FAILED, 1);
        LOG(worker->log, LOG_WARN, "servers not found",
            LOG_TEXT("backend", backend_pool_name(line->pool->members)),
            LOG_TEXT("name", request->host), LOG_TEXT("reason", reason_text(REASON_NAME_UNKNOWN)));
    }
    if (timer_set(&worker->timers, &line->timer, at_ns))
        LOG(worker->log, LOG_ERROR, "servers will not be looked for again: no memory for a timer",
            LOG_TEXT("backend", backend_pool_name(line->pool->members)),
            LOG_TEXT("name", request->host));
}

void srv_line_ask(struct srv_line *line)
{
    struct worker *worker = pool_worker(line->pool);

    line->asked = true;
    line->pool->asked++;
    line->request = (struct resolve_request){.srv = true, .worker = worker, .done = line_answered};
    snprintf(line->request.host, sizeof(line->request.host), "%s", line->settings.host.name);
    resolve_ask(worker->resolver, &line->request);
}

static void line_timed(struct timer *timer)
{
    srv_line_ask(container_of(timer, struct srv_line, timer));
}

/* ---- life ---- */

struct srv_line *srv_line_new(struct server_pool *pool, const struct backend_server *settings)
{
    struct srv_line *line = mem_new(sizeof(*line));

    if (!line)
        return NULL;
    line->pool = pool;
    line->settings = *settings;
    list_init(&line->servers);
    timer_init(&line->timer, line_timed);
    return line;
}

void srv_line_join(struct srv_line *line)
{
    struct list *next;

    for (struct list *link = line->servers.next; link != &line->servers; link = next) {
        struct pool_server *server = container_of(link, struct pool_server, link);

        next = link->next;
        if (server->ready)
            pool_server_join(server);
    }
}

void srv_line_stop(struct srv_line *line)
{
    timer_stop(&pool_worker(line->pool)->timers, &line->timer);
    while (!list_empty(&line->servers))
        pool_server_remove(container_of(line->servers.next, struct pool_server, link));
    line->gone = true;
    if (line->asked)
        resolve_give_up(&line->request);
    else
        line_free(line);
}
