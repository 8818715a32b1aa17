#include "relay/server_pool.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "relay/server_pool_parts.h"

void server_pool_settle(struct server_pool *pool)
{
    server_pool_fn *stopped = pool->stopped;

    if (!stopped || pool->server_count || pool->asked)
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
    server_pool_settle(pool);
}

void pool_server_remove(struct pool_server *server)
{
    list_remove(&server->link);
    if (server->pooled)
        backend_pool_remove(server->pool->members, server->member);
    else
        server_member_stop(server->member);
}

void pool_server_log(const struct pool_server *server, enum log_level level, const char *words)
{
    LOG(pool_worker(server->pool)->log, level, words,
        LOG_TEXT("backend", backend_pool_name(server->pool->members)),
        LOG_TEXT("member", server->member->name));
}

/* One that a record names joins when all workers know where it is, so that nobody waits for it. */
static void pool_server_ready(void *context)
{
    struct pool_server *server = context;

    if (server->pooled || server->fixed)
        return;
    server->ready = true;
    if (!server->pool->change)
        pool_server_join(server);
}

void pool_server_join(struct pool_server *server)
{
    server->ready = false;
    if (backend_pool_add(server->pool->members, server->member)) {
        pool_server_log(server, LOG_ERROR, "no memory for a server that was found");
        pool_server_remove(server);
        return;
    }
    server->pooled = true;
    pool_server_log(server, LOG_INFO, "server found");
}

struct pool_server *pool_server_new(struct server_pool *pool, const struct backend_server *settings)
{
    struct pool_server *server = mem_new(sizeof(*server));
    const struct server_member_options options = {.by_index = pool->by_index,
                                                  .workers = pool->workers,
                                                  .backend = &pool->backend,
                                                  .ready = pool_server_ready,
                                                  .ended = pool_server_ended,
                                                  .context = server};

    if (!server)
        return NULL;
    server->pool = pool;
    server->settings = *settings;
    list_init(&server->link);
    server->member = server_member_new(&options, settings);
    if (!server->member) {
        mem_free(server);
        return NULL;
    }
    pool->server_count++;
    return server;
}

/* ---- life ---- */

int pool_lines_make(struct pool_lines *lines, uint32_t count)
{
    lines->count = count;
    lines->servers = mem_new((count + 1) * sizeof(*lines->servers));
    lines->names = mem_new((count + 1) * sizeof(*lines->names));
    if (lines->servers && lines->names)
        return 0;
    pool_lines_free(lines);
    return -ENOMEM;
}

void pool_lines_free(struct pool_lines *lines)
{
    mem_free(lines->servers);
    mem_free(lines->names);
    *lines = (struct pool_lines){0};
}

struct pool_ways *pool_ways_new(const struct backend_settings *settings)
{
    struct pool_ways *ways = mem_new(sizeof(*ways));

    if (!ways)
        return NULL;
    ways->backend = *settings;
    ways->backend.servers = NULL;
    ways->backend.server_count = 0;
    return ways;
}

static int pool_add_server(struct server_pool *pool, uint32_t index,
                           const struct backend_server *settings)
{
    struct pool_server *server = pool_server_new(pool, settings);

    if (!server)
        return -ENOMEM;
    server->fixed = true;
    if (backend_pool_add(pool->members, server->member)) {
        server_member_stop(server->member);
        return -ENOMEM;
    }
    server->pooled = true;
    pool->lines.servers[index] = server;
    return 0;
}

static int pool_add_line(struct server_pool *pool, uint32_t index,
                         const struct backend_server *settings)
{
    if (!settings->host.srv)
        return pool_add_server(pool, index, settings);
    pool->lines.names[index] = srv_line_new(pool, settings);
    return pool->lines.names[index] ? 0 : -ENOMEM;
}

static int pool_fill(struct server_pool *pool, const struct backend_settings *settings)
{
    int rc;

    pool->ways = pool_ways_new(settings);
    pool->members =
        backend_pool_new(&(struct pool_options){.name = settings->name,
                                                .balance = settings->balance,
                                                .owner = pool_worker(pool),
                                                .workers = pool->workers,
                                                .eject_after = settings->eject_after,
                                                .eject_ns = settings->eject_ns,
                                                .eject_max_ns = settings->eject_max_ns});
    if (!pool->members || !pool->ways)
        return -ENOMEM;
    atomic_store(&pool->backend, &pool->ways->backend);
    rc = pool_lines_make(&pool->lines, settings->server_count);
    for (uint32_t i = 0; !rc && i < settings->server_count; i++)
        rc = pool_add_line(pool, i, &settings->servers[i]);
    return rc;
}

struct server_pool *server_pool_new(const struct backend_settings *settings,
                                    struct worker *const *by_index, uint32_t workers)
{
    struct server_pool *pool = mem_new(sizeof(*pool));

    if (!pool)
        return NULL;
    pool->by_index = by_index;
    pool->workers = workers;
    if (pool_fill(pool, settings))
        server_pool_free(&pool);
    return pool;
}

struct backend_pool *server_pool_members(const struct server_pool *pool)
{
    return pool->members;
}

bool server_pool_is_started(const struct server_pool *pool)
{
    return pool->started;
}

void server_pool_start(struct server_pool *pool)
{
    pool->started = true;
    for (uint32_t i = 0; i < pool->lines.count; i++)
        if (pool->lines.servers[i])
            server_member_start(pool->lines.servers[i]->member);
        else
            srv_line_ask(pool->lines.names[i]);
}

void server_pool_stop(struct server_pool *pool, server_pool_fn *stopped, void *context)
{
    pool->stopping = true;
    for (uint32_t i = 0; i < pool->lines.count; i++)
        if (pool->lines.names[i])
            srv_line_stop(pool->lines.names[i]);
    pool_lines_free(&pool->lines);
    while (backend_pool_count(pool->members))
        backend_pool_remove(pool->members, backend_pool_member(pool->members, 0));
    pool->stopped = stopped;
    pool->context = context;
    server_pool_settle(pool);
}

/* One that was not started has been seen by nobody. */
void server_pool_free(struct server_pool **handle)
{
    struct server_pool *pool = *handle;

    if (!pool)
        return;
    for (uint32_t i = 0; i < pool->lines.count; i++)
        mem_free(pool->lines.names ? pool->lines.names[i] : NULL);
    pool_lines_free(&pool->lines);
    if (pool->members && pool->started)
        backend_pool_free(&pool->members);
    else if (pool->members)
        backend_pool_discard(&pool->members);
    must(!pool->server_count);
    mem_free(pool->ways);
    mem_free(pool);
    *handle = NULL;
}
