/* relay/udp_session.h - the UDP sessions of one listener: one per source address and address that
 * was asked, each with a far end on a member.
 *
 * One datagram out per datagram in; answers leave from the address that was asked; a session ends
 * udp_timeout after its last datagram either way, or with its far end.
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

struct udp_sessions_options {
    struct worker *worker;
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
};

struct udp_sessions {
    struct udp_sessions_options options;
    struct table table;
    struct list by_age; /* least recently used first */
    struct timer timer;
    struct task task;
    uint64_t hash_seed;
    uint64_t refused_ns; /* when a refused user last had a line */
    uint64_t total;      /* begun so far */
    uint32_t count;      /* those that still close included */
    bool closed;         /* set by the owner: sources without a session are not served any more */
    bool stopping, told;
};

int udp_sessions_init(struct udp_sessions *sessions,
                      const struct udp_sessions_options *options) MUST_CHECK;
/* By which socket a datagram came, and between whom. */
struct udp_arrival {
    struct udp_sender *sender;         /* for answers; borrowed until idle */
    const struct addr *source, *local; /* local: the address and port that were asked */
};
/* A user's datagram; all but the sender is borrowed until return. */
void udp_sessions_received(struct udp_sessions *sessions, const struct udp_arrival *arrival,
                           const uint8_t *data, uint32_t length);
void udp_sessions_stop(struct udp_sessions *sessions, enum reason reason);
void udp_sessions_release(struct udp_sessions *sessions);

#endif
