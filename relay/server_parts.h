/* relay/server_parts.h - inside a server as a member.  Seen by server_*.c only.
 * Thread: a site is its worker's, the rest the owner's. */
#ifndef RELAY_SERVER_PARTS_H
#define RELAY_SERVER_PARTS_H

#include "core/mem.h"
#include "core/resolve.h"
#include "relay/server_health.h"
#include "relay/server_member.h"

enum server_order { SERVER_START, SERVER_STOP, SERVER_ORDERS };

/* What one worker knows of the server; its own, but for the mail. */
struct server_site {
    struct server_member *server;
    struct worker *worker;
    /* What the name stands for. */
    struct addr addrs[RESOLVE_MAX];
    uint32_t addr_count, addr_next;
    uint64_t stale_ns; /* when it is asked for again */
    bool asked, answered;
    bool unknown; /* the last answer was none, and it was said */
    struct resolve_request resolve;
    struct timer timer;
    struct list waiting; /* opens that wait for the first answer */
    /* What the owner orders, and waits for. */
    struct mail mails[SERVER_ORDERS];
    bool owed[SERVER_ORDERS];
    bool stopping;
};

enum server_life { SERVER_NEW, SERVER_STARTING, SERVER_RUNNING, SERVER_STOPPING };

struct server_member {
    struct member member;
    struct server_member_options options;
    struct backend_server server;
    /* The owner's. */
    enum server_life life;
    bool sites_stopped;
    struct server_health health;
    struct {
        struct mail mail;      /* every site has done it */
        _Atomic uint32_t left; /* sites that have not */
    } orders[SERVER_ORDERS];
    struct server_site sites[]; /* by worker */
};

static inline struct server_member *server_member_of(struct member *member)
{
    return container_of(member, struct server_member, member);
}
/* As it is in this turn. */
static inline const struct backend_settings *server_backend(const struct server_member *server)
{
    return atomic_load_explicit(server->options.backend, memory_order_acquire);
}
static inline struct server_site *server_site_of(struct member *member, const struct worker *worker)
{
    return &server_member_of(member)->sites[worker->index];
}

/* ---- server_site.c ---- */
/* When an answer is too old: the backend's resolve_interval, else its TTL; soon, where there was
 * none. */
uint64_t server_answer_stale_ns(const struct backend_settings *backend,
                                const struct resolve_request *resolve, uint64_t now_ns);
void server_site_init(struct server_site *site, struct server_member *server,
                      struct worker *worker);
void server_site_refresh(struct server_site *site); /* asks where the answer is too old */

/* ---- server_member.c ---- */
void server_opens_go_on(struct list *waiting);

#endif
