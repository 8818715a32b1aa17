/* A backend takes other settings: new servers are made and looked up, then all change at once. */
#include <errno.h>
#include <string.h>

#include "relay/server_pool_parts.h"

/* ---- who stays ---- */

static bool hosts_are_equal(const struct host *a, const struct host *b)
{
    return a->srv == b->srv && a->port == b->port && !strcmp(a->name, b->name) &&
           a->addr.length == b->addr.length && (!a->addr.length || addr_equal(&a->addr, &b->addr));
}

/* A limit that is given for the first time, or taken away, makes it another: what came before was
 * not counted. */
static bool servers_are_one(const struct backend_server *a, const struct backend_server *b)
{
    return !strcmp(a->name, b->name) && hosts_are_equal(&a->host, &b->host) &&
           !a->max_conn == !b->max_conn;
}

static struct pool_server *pool_find_server(const struct server_pool *pool, uint32_t guess,
                                            const struct backend_server *settings)
{
    for (uint32_t i = 0; i < pool->lines.count; i++) {
        struct pool_server *server = pool->lines.servers[(guess + i) % pool->lines.count];

        if (server && !server->stays && servers_are_one(&server->settings, settings))
            return server;
    }
    return NULL;
}

static struct srv_line *pool_find_name(const struct server_pool *pool,
                                       const struct backend_server *settings)
{
    for (uint32_t i = 0; i < pool->lines.count; i++) {
        struct srv_line *line = pool->lines.names[i];

        if (line && !line->stays && servers_are_one(&line->settings, settings))
            return line;
    }
    return NULL;
}

/* ---- making ready ---- */

static int change_add_server(struct server_pool *pool, struct pool_server **at,
                             const struct backend_server *settings)
{
    struct pool_server *server = pool_server_new(pool, settings);

    if (!server)
        return -ENOMEM;
    server->fixed = true;
    *at = server;
    if (backend_pool_admit(pool->members, server->member))
        return -ENOMEM;
    server_member_start(server->member);
    return 0;
}

static int change_add(struct server_pool *pool, uint32_t index,
                      const struct backend_server *settings)
{
    struct pool_lines *lines = &pool->change->lines;

    if (settings->host.srv) {
        lines->names[index] = pool_find_name(pool, settings);
        if (lines->names[index])
            lines->names[index]->stays = true;
        else
            lines->names[index] = srv_line_new(pool, settings);
        return lines->names[index] ? 0 : -ENOMEM;
    }
    lines->servers[index] = pool_find_server(pool, index, settings);
    if (!lines->servers[index])
        return change_add_server(pool, &lines->servers[index], settings);
    lines->servers[index]->stays = true;
    return 0;
}

int server_pool_prepare(struct server_pool *pool, const struct backend_settings *settings)
{
    struct pool_change *change = pool->change = mem_new(sizeof(*change));
    uint32_t most = settings->server_count + backend_pool_count(pool->members);
    int rc;

    if (!change)
        return -ENOMEM;
    change->settings = settings;
    change->ways = pool_ways_new(settings);
    change->table = backend_pool_reserve(most);
    change->order = mem_new((most + 1) * sizeof(*change->order));
    if (!change->ways || !change->table || !change->order)
        return -ENOMEM;
    rc = pool_lines_make(&change->lines, settings->server_count);
    for (uint32_t i = 0; !rc && i < settings->server_count; i++)
        rc = change_add(pool, i, &settings->servers[i]);
    return rc;
}

/* ---- the change ---- */

static uint32_t change_order_line(const struct srv_line *line, struct member **order)
{
    uint32_t count = 0;

    for (struct list *at = line->servers.next; at != &line->servers; at = at->next) {
        struct pool_server *server = container_of(at, struct pool_server, link);

        if (server->pooled)
            order[count++] = server->member;
    }
    return count;
}

static void change_server(struct pool_server *server, const struct backend_server *settings)
{
    struct member *member = server->member;

    server->settings = *settings;
    server->pooled = true;
    server->stays = false;
    member->tier = settings->tier;
    atomic_store_explicit(&member->weight, settings->weight, memory_order_relaxed);
    atomic_store_explicit(&member->max_conn, settings->max_conn, memory_order_relaxed);
}

static uint32_t change_order(struct pool_change *change)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < change->lines.count; i++) {
        struct pool_server *server = change->lines.servers[i];

        if (!server) {
            count += change_order_line(change->lines.names[i], change->order + count);
            continue;
        }
        change_server(server, &change->settings->servers[i]);
        change->order[count++] = server->member;
    }
    return count;
}

static void ways_passed(struct grace *grace)
{
    mem_free(container_of(grace, struct pool_ways, grace));
}

static void change_ways(struct server_pool *pool, struct pool_ways *ways)
{
    struct pool_ways *old = pool->ways;

    pool->ways = ways;
    atomic_store(&pool->backend, &ways->backend);
    grace_begin(&old->grace, pool_worker(pool), ways_passed);
    backend_pool_adjust(pool->members,
                        &(struct pool_options){.balance = ways->backend.balance,
                                               .eject_after = ways->backend.eject_after,
                                               .eject_ns = ways->backend.eject_ns,
                                               .eject_max_ns = ways->backend.eject_max_ns});
}

/* Names that are new are asked for, and those whose servers are to be something else. */
static void change_names(struct server_pool *pool, const struct backend_settings *settings)
{
    for (uint32_t i = 0; i < pool->lines.count; i++) {
        struct srv_line *line = pool->lines.names[i];
        bool other;

        if (!line)
            continue;
        other = !line->stays || line->settings.tier != settings->servers[i].tier ||
                line->settings.max_conn != settings->servers[i].max_conn;
        line->stays = false;
        line->settings = settings->servers[i];
        srv_line_join(line);
        if (!other || line->asked)
            continue;
        timer_stop(&pool_worker(pool)->timers, &line->timer);
        srv_line_ask(line);
    }
}

static void change_health(const struct server_pool *pool)
{
    for (uint32_t i = 0; i < pool->lines.count; i++) {
        const struct srv_line *line = pool->lines.names[i];

        if (pool->lines.servers[i])
            server_member_adjust(pool->lines.servers[i]->member);
        for (struct list *at = line ? line->servers.next : NULL; line && at != &line->servers;
             at = at->next)
            server_member_adjust(container_of(at, struct pool_server, link)->member);
    }
}

void server_pool_switch(struct server_pool *pool)
{
    struct pool_change *change = pool->change;
    struct pool_lines old = pool->lines;
    uint32_t count;

    for (uint32_t i = 0; i < old.count; i++)
        if (old.names[i] && !old.names[i]->stays)
            srv_line_stop(old.names[i]);
    change_ways(pool, change->ways);
    count = change_order(change);
    backend_pool_arrange(pool->members, change->table, change->order, count);
    pool->lines = change->lines;
    pool->change = NULL;
    change_names(pool, change->settings);
    change_health(pool);
    pool_lines_free(&old);
    mem_free(change->order);
    mem_free(change);
}

static void forget_line(struct server_pool *pool, uint32_t index)
{
    struct pool_server *server = pool->change->lines.servers[index];
    struct srv_line *name = pool->change->lines.names[index];

    if (server && !server->stays)
        server_member_stop(server->member);
    else if (server)
        server->stays = false;
    if (name && !name->stays)
        mem_free(name);
    else if (name)
        name->stays = false;
}

void server_pool_forget(struct server_pool *pool)
{
    struct pool_change *change = pool->change;

    if (!change)
        return;
    for (uint32_t i = 0; change->lines.names && i < change->lines.count; i++)
        forget_line(pool, i);
    pool->change = NULL;
    for (uint32_t i = 0; i < pool->lines.count; i++)
        if (pool->lines.names[i])
            srv_line_join(pool->lines.names[i]);
    pool_lines_free(&change->lines);
    mem_free(change->ways);
    mem_free(change->table);
    mem_free(change->order);
    mem_free(change);
}
