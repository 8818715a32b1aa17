/* relay/crew.h - what the relays of all workers of a process share: settings, the sockets bound for
 * them, limits that count over all, the ways from one to another.
 *
 * Owner: cli/process, the simulator.  Thread: made, changed, asked for addresses and freed by the
 * control thread; each relay takes its own part when it is told to.
 *
 * An edition is one configuration with what stands for its sections; it is constant once a worker
 * has seen it.  What two editions have in common is one thing, in both.  What the next one has no
 * more leaves: it is among the crew's leavers until no worker has anything of it. */
#ifndef RELAY_CREW_H
#define RELAY_CREW_H

#include "relay/bindings.h"
#include "relay/listener.h"
#include "relay/listener_leave.h"
#include "relay/relay.h"
#include "relay/server_pool.h"
#include "relay/tunnel_client.h"
#include "relay/tunnel_server.h"

struct edition {
    const struct settings *settings;
    struct settings *owned;            /* the same, where they are the edition's to free */
    struct listener_share **listeners; /* by settings->listeners */
    struct tunnel_share **tunnels;     /* by settings->tunnels */
    struct server_pool **pools;        /* by settings->backends */
    struct client_share *client;       /* NULL without [client] */
    struct list leavers;               /* what leaves when this one comes into force */
    uint32_t left;                     /* leavers whose settings these are */
    uint32_t modes_set;                /* files whose mode was changed for it */
};

enum leaver_kind { LEAVER_LISTENER, LEAVER_PORTS, LEAVER_TUNNEL, LEAVER_CLIENT, LEAVER_POOL };
struct leaver {
    struct list link;
    enum leaver_kind kind;
    union {
        struct listener_share *listener;
        struct udp_leave *ports; /* of a listener that goes or stays */
        struct tunnel_share *tunnel;
        struct client_share *client;
        struct server_pool *pool;
    };
    struct edition *from;   /* the last one that had it */
    uint64_t deadline_ns;   /* tunnels and clients end then, whatever they do */
    bool gone;              /* no worker has it; mail about it may still be under way */
    _Atomic uint32_t users; /* tunnels and clients: workers where something is open */
    _Atomic uint32_t parts; /* workers that have something of it */
    _Atomic bool ending;    /* nobody uses it any more: they are to let go of it */
};

struct crew {
    struct os *os;
    uint32_t workers;
    struct worker *by_index[SETTINGS_WORKERS_MAX];
    struct edition *now, *next; /* next: while a reload is under way, else NULL */
    struct list leavers;
};

/* ---- edition.c ---- */
/* With what `old` (NULL: none) has of it.  NULL: *failed and a sentence; nothing has changed. */
struct edition *edition_new(struct crew *crew, const struct settings *settings, struct edition *old,
                            int *failed, char *error, size_t error_size) MUST_CHECK;
void edition_settle(struct edition *edition, const struct edition *old);
/* No worker has seen it: what it was the first to have is freed. */
void edition_forget(struct edition **edition, struct crew *crew, const struct edition *old);
/* No worker runs any more: with everything that it has. */
void edition_close(struct edition **edition, struct crew *crew);
void edition_free(struct edition **edition); /* alone */
struct backend_pool *edition_pool(const struct edition *edition, const char *name);
/* The listener that has a port, by its index; -1: none.  Port 0 is nobody's. */
int32_t edition_listener_at(const struct edition *edition, enum protocol protocol,
                            const struct addr *addr);
void leaver_free(struct leaver *leaver); /* with its share */

/* ---- edition_modes.c ---- */
/* 0, or -errno and a sentence; the other follows then, too. */
int edition_set_modes(struct edition *edition, const struct edition *old, struct os *os,
                      char *error, size_t error_size) MUST_CHECK;
void edition_put_modes_back(struct edition *edition, const struct edition *old, struct os *os);

/* ---- leaver.c ---- */
/* What `old` has and `edition` has not, as its leavers.  0 or -ENOMEM. */
int edition_find_leavers(struct edition *edition, const struct edition *old,
                         uint32_t workers) MUST_CHECK;
void leaver_forget(struct leaver *leaver); /* it stays */
void leaver_begin(struct leaver *leaver);  /* all workers know of it */
/* Other settings are in force: ports of it that they have are not its any more. */
void leaver_settle(struct leaver *leaver, const struct edition *edition);
/* With each sweep: whether nobody uses it any more, or it has had its time. */
bool leaver_is_done(struct leaver *leaver, uint64_t now_ns);
bool leaver_is_free(const struct leaver *leaver); /* nor refers to it */

#endif
