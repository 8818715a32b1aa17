/* relay/server_pool_parts.h - inside the servers of a [backend].  Seen by server_*.c only.
 * Thread: worker 0's, once it runs. */
#ifndef RELAY_SERVER_POOL_PARTS_H
#define RELAY_SERVER_POOL_PARTS_H

#include "relay/server_parts.h"
#include "relay/server_pool.h"

/* A server = srv:NAME. */
struct srv_line {
    struct server_pool *pool;
    struct backend_server settings;
    struct list servers; /* as the last good answer says */
    struct timer timer;
    struct resolve_request request;
    bool asked;
    bool stays; /* while settings change */
    bool gone;  /* freed when it is answered */
};

/* A server, as long as there is anything of it. */
struct pool_server {
    struct server_pool *pool;
    struct member *member;
    struct backend_server settings;
    struct list link; /* of its line's; in none when it leaves, or stands in the file */
    char host[256];
    uint16_t port;
    bool pooled, listed; /* listed: the answer that is being read has it */
    bool fixed, stays;   /* fixed: it stands in the file; stays: while settings change */
    bool ready;          /* it was found, and waits for settings to have changed */
};

/* What members read on all workers: constant, and freed after a grace period. */
struct pool_ways {
    struct grace grace;
    struct backend_settings backend; /* without its servers */
};

/* Those of the file, in its order, without or with what is made for a change. */
struct pool_lines {
    struct pool_server **servers; /* by the settings' servers; NULL: an SRV name, */
    struct srv_line **names;      /* which is here */
    uint32_t count;
};
struct pool_change {
    const struct backend_settings *settings;
    struct pool_ways *ways;
    struct pool_lines lines;
    struct pool_table *table;
    struct member **order;
};

struct server_pool {
    struct worker *const *by_index;
    uint32_t workers;
    struct backend_pool *members;
    struct pool_ways *ways;
    _Atomic(const struct backend_settings *) backend; /* of the ways */
    struct pool_lines lines;
    struct pool_change *change; /* NULL: none is under way */
    uint32_t server_count;      /* those that leave included */
    uint32_t asked;             /* SRV names */
    bool started;
    /* The end. */
    bool stopping;
    server_pool_fn *stopped; /* NULL: told */
    void *context;
};

static inline struct worker *pool_worker(const struct server_pool *pool)
{
    return pool->by_index[0];
}

/* ---- server_pool.c ---- */
void server_pool_settle(struct server_pool *pool);
struct pool_server *pool_server_new(struct server_pool *pool,
                                    const struct backend_server *settings) MUST_CHECK;
void pool_server_remove(struct pool_server *server);
void pool_server_join(struct pool_server *server); /* one that was found */
void pool_server_log(const struct pool_server *server, enum log_level level, const char *words);
int pool_lines_make(struct pool_lines *lines, uint32_t count) MUST_CHECK; /* -ENOMEM */
void pool_lines_free(struct pool_lines *lines);
struct pool_ways *pool_ways_new(const struct backend_settings *settings) MUST_CHECK;

/* ---- server_srv.c ---- */
struct srv_line *srv_line_new(struct server_pool *pool,
                              const struct backend_server *settings) MUST_CHECK;
void srv_line_ask(struct srv_line *line);
void srv_line_join(struct srv_line *line); /* those that were found while settings changed */
void srv_line_stop(struct srv_line *line); /* its servers go; frees it, perhaps later */

#endif
