/* relay/udp_session.h - the UDP sessions of one listener: one per source address and address that
 * was asked, each with a far end on a member.
 *
 * One datagram out per datagram in; answers leave from the address that was asked; a session ends
 * udp_timeout after its last datagram either way, or with its far end.  It stays its listener's
 * where its socket becomes another's: all listeners of a worker look into one table.
 * Owner: the listener.  Thread: the worker's.  Life: init -> stop -> idle -> release. */
#ifndef RELAY_UDP_SESSION_H
#define RELAY_UDP_SESSION_H

#include "balancer/balancer.h"
#include "core/list.h"
#include "core/table.h"
#include "core/udp_end.h"
#include "core/worker.h"
#include "relay/gate.h"
#include "relay/udp_source.h"

/* The sessions of all listeners of a worker.  Owner: the relay.  Life: init -> release, when there
 * is none. */
struct udp_table {
    struct table sessions;
    struct worker *worker;
    uint64_t hash_seed;
};
int udp_table_init(struct udp_table *table, struct worker *worker) MUST_CHECK;
void udp_table_release(struct udp_table *table);

struct udp_sessions_options {
    struct worker *worker;
    struct udp_table *table; /* borrowed until release */
    struct backend_pool *pool;
    struct gate *gate;           /* borrowed until release, like next_id */
    uint64_t *next_id;           /* the listener's, for sessions of all kinds */
    uint32_t id_step;            /* from one id to the next */
    struct udp_sources *sources; /* sessions of all workers, that the limits count; borrowed, too */
    const char *listener, *service;
    uint64_t timeout_ns;
    struct udp_limits limits;
    uint32_t retries;
    struct traffic *traffic;     /* the listener's */
    void (*idle)(void *context); /* after stop, when the last session is gone */
    void *context;
    void (*emptied)(void *context); /* each time the last session has gone; may be NULL */
    void *emptied_context;
    void (*left)(uint32_t *users); /* none came by that socket any more; or NULL */
};

struct udp_sessions {
    struct udp_sessions_options options;
    struct list by_age; /* least recently used first */
    struct timer timer;
    struct task task;
    uint64_t refused_ns; /* when a refused user last had a line */
    uint64_t total;      /* begun so far */
    uint32_t count;      /* those that still close included */
    bool closed;         /* set by the owner: sources without a session are not served any more */
    bool stopping, told;
};

void udp_sessions_init(struct udp_sessions *sessions, const struct udp_sessions_options *options);
/* By which socket a datagram came, and between whom. */
struct udp_arrival {
    struct udp_sessions *sessions;     /* who takes those without a session; NULL: nobody */
    struct udp_sender *sender;         /* for answers; borrowed while it has users */
    uint32_t *users;                   /* of that socket: sessions; counted here */
    const struct addr *source, *local; /* local: the address and port that were asked */
};
/* A user's datagram; all but sessions and sender is borrowed until return. */
void udp_table_received(struct udp_table *table, const struct udp_arrival *arrival,
                        const uint8_t *data, uint32_t length);
/* Ends those that the gate forbids now. */
void udp_sessions_forbid(struct udp_sessions *sessions);
void udp_sessions_stop(struct udp_sessions *sessions, enum reason reason);
void udp_sessions_release(struct udp_sessions *sessions);

#endif
