#include "relay/server_pool.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "relay/server_parts.h"

enum { SERVERS_MAX = 1024 }; /* of one name */

/* A server = srv:NAME. */
struct srv_line {
    struct server_pool *pool;
    const struct backend_server *settings;
    struct list servers; /* as the last good answer says */
    struct timer timer;
    struct resolve_request request;
    bool asked;
};

/* A server, as long as there is anything of it. */
struct pool_server {
    struct server_pool *pool;
    struct member *member;
    struct list link; /* of its line's; in none when it leaves, or stands in the file */
    char host[256];
    uint16_t port;
    bool pooled, listed; /* listed: the answer that is being read has it */
};

struct server_pool {
    const struct backend_settings *settings;
    struct worker *const *by_index;
    uint32_t workers;
    struct backend_pool *members;
    struct srv_line *lines;
    uint32_t line_count;
    uint32_t server_count; /* those that leave included */
    /* The end. */
    bool stopping;
    server_pool_fn *stopped; /* NULL: told */
    void *context;
};

static struct worker *pool_worker(const struct server_pool *pool)
{
    return pool->by_index[0];
}

static void pool_settle(struct server_pool *pool)
{
    server_pool_fn *stopped = pool->stopped;

    for (uint32_t i = 0; i < pool->line_count; i++)
        if (pool->lines[i].asked)
            return;
    if (!stopped || pool->server_count)
        return;
    pool->stopped = NULL;
    stopped(pool->context);
}

/* ---- one server ---- */

static void pool_server_ended(void *context)
{
    struct pool_server *server = context;
    struct server_pool *pool = server->pool;

    pool->server_count--;
    mem_free(server);
    pool_settle(pool);
}

static void pool_server_remove(struct pool_server *server)
{
    list_remove(&server->link);
    if (server->pooled)
        backend_pool_remove(server->pool->members, server->member);
    else
        server_member_stop(server->member);
}

static void pool_server_log(const struct pool_server *server, enum log_level level,
                            const char *words)
{
    LOG(pool_worker(server->pool)->log, level, words,
        LOG_TEXT("backend", server->pool->settings->name),
        LOG_TEXT("member", server->member->name));
}

/* One that a record names joins when all workers know where it is, so that nobody waits for it. */
static void pool_server_ready(void *context)
{
    struct pool_server *server = context;

    if (server->pooled)
        return;
    if (backend_pool_add(server->pool->members, server->member)) {
        pool_server_log(server, LOG_ERROR, "no memory for a server that was found");
        pool_server_remove(server);
        return;
    }
    server->pooled = true;
    pool_server_log(server, LOG_INFO, "server found");
}

static struct pool_server *pool_server_new(struct server_pool *pool,
                                           const struct backend_server *settings)
{
    struct pool_server *server = mem_new(sizeof(*server));
    const struct server_member_options options = {.by_index = pool->by_index,
                                                  .workers = pool->workers,
                                                  .backend = pool->settings,
                                                  .ready = pool_server_ready,
                                                  .ended = pool_server_ended,
                                                  .context = server};

    if (!server)
        return NULL;
    server->pool = pool;
    list_init(&server->link);
    server->member = server_member_new(&options, settings);
    if (!server->member) {
        mem_free(server);
        return NULL;
    }
    pool->server_count++;
    return server;
}

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
    *settings = *line->settings;
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
            LOG_TEXT("backend", line->pool->settings->name), LOG_TEXT("member", settings.name));
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
    const struct server_pool *pool = line->pool;
    char name[SETTINGS_NAME_SIZE];

    record_name(record, name);
    for (uint32_t i = 0; i < pool->settings->server_count; i++)
        if (!strcmp(pool->settings->servers[i].name, name))
            return true;
    for (uint32_t i = 0; i < pool->line_count; i++)
        if (&pool->lines[i] != line && line_find(&pool->lines[i], record))
            return true;
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
    enum member_tier tier = line->settings->tier;

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

static void line_answered(struct resolve_request *request)
{
    struct srv_line *line = container_of(request, struct srv_line, request);
    struct worker *worker = pool_worker(line->pool);
    uint64_t at_ns = server_answer_stale_ns(line->pool->settings, request, worker->now_ns);

    line->asked = false;
    if (line->pool->stopping) {
        mem_free(request->records);
        pool_settle(line->pool);
        return;
    }
    if (!request->error) {
        line_take_records(line, request->records, request->count);
        mem_free(request->records);
    } else {
        counter_add(worker->counters, COUNTER_NAMES_FAILED, 1);
        LOG(worker->log, LOG_WARN, "servers not found",
            LOG_TEXT("backend", line->pool->settings->name), LOG_TEXT("name", request->host),
            LOG_TEXT("reason", reason_text(REASON_NAME_UNKNOWN)));
    }
    if (timer_set(&worker->timers, &line->timer, at_ns))
        LOG(worker->log, LOG_ERROR, "servers will not be looked for again: no memory for a timer",
            LOG_TEXT("backend", line->pool->settings->name), LOG_TEXT("name", request->host));
}

static void line_ask(struct srv_line *line)
{
    struct worker *worker = pool_worker(line->pool);

    line->asked = true;
    line->request = (struct resolve_request){.srv = true, .worker = worker, .done = line_answered};
    snprintf(line->request.host, sizeof(line->request.host), "%s", line->settings->host.name);
    resolve_ask(worker->resolver, &line->request);
}

static void line_timed(struct timer *timer)
{
    line_ask(container_of(timer, struct srv_line, timer));
}

/* ---- life ---- */

static void pool_add_line(struct server_pool *pool, const struct backend_server *settings)
{
    struct srv_line *line = &pool->lines[pool->line_count++];

    line->pool = pool;
    line->settings = settings;
    list_init(&line->servers);
    timer_init(&line->timer, line_timed);
}

static int pool_add_server(struct server_pool *pool, const struct backend_server *settings)
{
    struct pool_server *server = pool_server_new(pool, settings);

    if (!server)
        return -ENOMEM;
    if (backend_pool_add(pool->members, server->member)) {
        server_member_stop(server->member);
        return -ENOMEM;
    }
    server->pooled = true;
    return 0;
}

static int pool_fill(struct server_pool *pool)
{
    const struct backend_settings *settings = pool->settings;
    int rc = 0;

    pool->members =
        backend_pool_new(&(struct pool_options){.name = settings->name,
                                                .balance = settings->balance,
                                                .owner = pool_worker(pool),
                                                .workers = pool->workers,
                                                .eject_after = settings->eject_after,
                                                .eject_ns = settings->eject_ns,
                                                .eject_max_ns = settings->eject_max_ns});
    pool->lines = mem_new((settings->server_count + 1) * sizeof(struct srv_line));
    if (!pool->members || !pool->lines)
        return -ENOMEM;
    for (uint32_t i = 0; !rc && i < settings->server_count; i++) {
        if (settings->servers[i].host.srv)
            pool_add_line(pool, &settings->servers[i]);
        else
            rc = pool_add_server(pool, &settings->servers[i]);
    }
    return rc;
}

struct server_pool *server_pool_new(const struct backend_settings *settings,
                                    struct worker *const *by_index, uint32_t workers)
{
    struct server_pool *pool = mem_new(sizeof(*pool));

    if (!pool)
        return NULL;
    pool->settings = settings;
    pool->by_index = by_index;
    pool->workers = workers;
    if (pool_fill(pool))
        server_pool_free(&pool);
    return pool;
}

struct backend_pool *server_pool_members(const struct server_pool *pool)
{
    return pool->members;
}

void server_pool_start(struct server_pool *pool)
{
    for (uint32_t i = 0; i < backend_pool_count(pool->members); i++)
        server_member_start(backend_pool_member(pool->members, i));
    for (uint32_t i = 0; i < pool->line_count; i++)
        line_ask(&pool->lines[i]);
}

static void line_stop(struct srv_line *line)
{
    timer_stop(&pool_worker(line->pool)->timers, &line->timer);
    if (line->asked)
        resolve_give_up(&line->request);
    while (!list_empty(&line->servers))
        pool_server_remove(container_of(line->servers.next, struct pool_server, link));
}

void server_pool_stop(struct server_pool *pool, server_pool_fn *stopped, void *context)
{
    pool->stopping = true;
    for (uint32_t i = 0; i < pool->line_count; i++)
        line_stop(&pool->lines[i]);
    while (backend_pool_count(pool->members))
        backend_pool_remove(pool->members, backend_pool_member(pool->members, 0));
    pool->stopped = stopped;
    pool->context = context;
    pool_settle(pool);
}

void server_pool_free(struct server_pool **handle)
{
    struct server_pool *pool = *handle;

    if (!pool)
        return;
    if (pool->members)
        backend_pool_free(&pool->members);
    must(!pool->server_count);
    mem_free(pool->lines);
    mem_free(pool);
    *handle = NULL;
}
