/* balancer/balancer.h - pools of members, and how one is picked.
 *
 * A member is a server address or a tunnel client; this folder does not know which.  Members are
 * made by relay (server_member, tunnel_member), put into a pool, and opened by sessions.
 * Thread: any worker picks, without lock or syscall, from a table that is swapped whole; one thread
 * at a time (the pool's owner) adds and removes.  What workers share of a member: words that one
 * worker writes and all read (its load), and one atomic per exact limit (max_conn, ejection). */
#ifndef BALANCER_BALANCER_H
#define BALANCER_BALANCER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/addr.h"
#include "core/datagram.h"
#include "core/reason.h"
#include "core/snapshot.h"
#include "core/stream.h"
#include "core/traffic.h"
#include "core/worker.h"

struct member;
struct open_request;

/* What a session hears of its open: opened, then confirmed or failed; or failed alone.  Where
 * nothing is left to wait for once there is a stream (a TCP server), opened and confirmed come one
 * after the other.  Never from inside member_ops.open or cancel. */
struct open_events {
    /* The stream may be written to, and no more: its events still belong to the member.  Keep what
     * you write until confirmed. */
    void (*opened)(struct open_request *request, struct stream *stream);
    /* So much of that has left since (before confirmed only). */
    void (*drained)(struct open_request *request, uint64_t length);
    /* The service answered: the stream is the session's (taken).  It sets events and owner at once
     * and calls stream_start, which delivers what came behind the answer. */
    void (*confirmed)(struct open_request *request);
    /* The stream, if there was one, is gone.  may_replay: no byte can have reached a service. */
    void (*failed)(struct open_request *request, enum reason reason, bool may_replay);
};

struct open_request {
    /* Set by the session; all borrowed until confirmed or failed. */
    const struct open_events *events;
    struct addr source, destination; /* the user's address, and the one it asked for */
    uint16_t port;                   /* of ours, that it came by: for servers given without one */
    const char *service;
    uint64_t connect_timeout_ns; /* servers only; a tunnel's services have their own */
    /* The member's while the open lasts. */
    void *member_state;
};

struct datagram_request {
    struct addr source, destination;
    uint16_t port;
    const char *service;
};

/* Each is called on the worker that picked; a member that is not there fails the open. */
struct member_ops {
    /* On the worker's ring.  0, or -ENOMEM: nothing follows then. */
    int (*open)(struct member *member, struct worker *worker,
                struct open_request *request) MUST_CHECK;
    /* failed(REASON_ABANDONED) follows when nothing of it is in flight any more. */
    void (*cancel)(struct member *member, struct open_request *request);
    /* The far end of a UDP session, at once; NULL: *reason says why.  The caller sets events and
     * owner before it does anything else. */
    struct datagram_end *(*open_datagrams)(struct member *member, struct worker *worker,
                                           const struct datagram_request *request,
                                           enum reason *reason);
    /* A session would have been on this worker, where the member has no place.  May be NULL. */
    void (*missed)(struct member *member, struct worker *worker);
    /* No pool has it, no session is on it and no worker looks at it any more: free it.  On the
     * pool's owner. */
    void (*unused)(struct member *member);
};

enum member_state { MEMBER_FIT, MEMBER_SUSPECT, MEMBER_DOWN, MEMBER_GONE };
/* A lower tier is used when no member of the higher ones is fit. */
enum member_tier { TIER_VIP, TIER_NORMAL, TIER_STANDBY, TIER_FALLBACK, TIER_COUNT };
/* From in the pool to ended: a grace period, until no session is on it, and one more. */
enum member_life { MEMBER_IN, MEMBER_LEFT, MEMBER_ENDING, MEMBER_ENDED };

/* What one worker says of a member: it alone writes, all read.  The distance keeps two workers off
 * one cache line wherever the array begins. */
struct member_load {
    _Atomic uint64_t held, dropped; /* their difference: sessions that this worker picked */
    _Atomic uint64_t failures;
    int64_t turn;           /* weighted round robin: what it is owed on this worker */
    struct traffic traffic; /* what this worker's sessions moved to and from it; its own to read */
    uint64_t distance[10];
};

struct member {
    /* Set before it is added. */
    const struct member_ops *ops;
    char name[65];
    /* 0: no limit.  The owner may change it, but not from or to 0. */
    _Atomic uint32_t max_conn;
    /* Set before it is added, then changed by backend_pool_move or for backend_pool_arrange. */
    enum member_tier tier;
    _Atomic uint32_t weight; /* 0 is 1 */
    /* Bits: the workers that it can be opened on at once; 0: any.  The member's own to change. */
    _Atomic uint64_t places;
    /* The member's own to change, until it is GONE: FIT, SUSPECT (others first), DOWN (never). */
    _Atomic(enum member_state) state;
    /* The pool's. */
    const struct pool_options *options;
    struct member_load *loads; /* by worker */
    uint64_t hash;             /* of its name */
    _Atomic uint32_t taken;    /* of max_conn */
    _Atomic uint32_t failed;   /* in a row */
    _Atomic uint32_t ejected;  /* in a row */
    _Atomic uint64_t out_until_ns;
    _Atomic bool probed; /* and what came of it is not known yet */
    _Atomic uint64_t ejections;
    struct grace grace;
    struct mail mail; /* asks the owner whether it has ended */
    _Atomic bool asked;
    enum member_life life; /* the owner's */
    bool stays;            /* the owner's, while it arranges */
};

/* A session refers to a member from its pick until it ends, on one worker.  Who hands it over holds
 * it on the new worker before it is dropped on the old one. */
void member_hold(struct member *member, struct worker *worker);
void member_drop(struct member *member, struct worker *worker);
/* What came of an open: so many failures in a row eject it, one success lets it back.  Failures
 * that are our own (no memory, no descriptors, no address yet) say nothing of it.  True: it is out,
 * or back, just now. */
bool member_failed(struct member *member, struct worker *worker, enum reason reason);
bool member_succeeded(struct member *member);
static inline bool member_is_at(const struct member *member, uint32_t worker)
{
    uint64_t places = atomic_load_explicit(&member->places, memory_order_acquire);

    return !places || places >> worker & 1;
}
/* It is picked, and not here. */
static inline void member_missed(struct member *member, struct worker *worker)
{
    if (member->ops->missed)
        member->ops->missed(member, worker);
}
static inline struct member_load *member_load(struct member *member, const struct worker *worker)
{
    return &member->loads[worker->index];
}
/* What a worker's sessions moved to and from it: that worker's alone. */
static inline struct traffic *member_traffic(struct member *member, const struct worker *worker)
{
    return &member->loads[worker->index].traffic;
}
/* Sums over workers. */
uint32_t member_active(const struct member *member);
uint64_t member_total(const struct member *member);
uint64_t member_failures(const struct member *member);
static inline enum member_state member_state(const struct member *member)
{
    return atomic_load_explicit(&member->state, memory_order_relaxed);
}
/* A fit one is down, or one that was down is fit again.  False: it was so already, or is gone. */
bool member_set_down(struct member *member, bool down);
/* How often in a row it was ejected since it last served. */
static inline uint32_t member_ejected(const struct member *member)
{
    return atomic_load_explicit(&member->ejected, memory_order_relaxed);
}

enum balance {
    BALANCE_ROUND_ROBIN, /* exact on each worker, weights interleaved */
    BALANCE_LEAST_CONN,  /* by weight; of equals the worker's own, then the next in turn */
    BALANCE_RANDOM,
    BALANCE_WEIGHTED, /* random, by weight */
    BALANCE_FIRST,
    BALANCE_P2C,         /* the less loaded of two random ones */
    BALANCE_SOURCE_HASH, /* by the user's address, weighted; a new member takes only its share */
};

struct pool_options {
    const char *name; /* copied */
    _Atomic(enum balance) balance;
    struct worker *owner; /* where members end; may be NULL where one worker runs */
    uint32_t workers;     /* that pick, from index 0; 0 is 1 */
    /* Passive ejection: after so many failures in a row a member is out for eject_ns, twice that
     * after each failed probe up to eject_max_ns.  0: never. */
    _Atomic uint32_t eject_after;
    _Atomic uint64_t eject_ns, eject_max_ns;
};

struct backend_pool;
struct backend_pool *backend_pool_new(const struct pool_options *options) MUST_CHECK;
/* Another balance and other ejection, from now on; the rest of the options is not looked at. */
void backend_pool_adjust(struct backend_pool *pool, const struct pool_options *options);
/* In place of free where no other thread has seen it. */
void backend_pool_discard(struct backend_pool **pool);
/* Removes what is left, whose unused() comes from here or earlier: only the calling thread may be
 * one that picks, and no session may be left. */
void backend_pool_free(struct backend_pool **pool);
const char *backend_pool_name(const struct backend_pool *pool);
bool backend_pool_hashes(const struct backend_pool *pool); /* picks by the user's address */
int backend_pool_add(struct backend_pool *pool, struct member *member) MUST_CHECK; /* -ENOMEM */
/* Another tier or weight for one that is in the pool, which keeps all else.  0, or -ENOMEM: it
 * stays as it was. */
int backend_pool_move(struct backend_pool *pool, struct member *member, enum member_tier tier,
                      uint32_t weight) MUST_CHECK;
/* Other members, in another order, in one step that cannot fail: `admit` each that is new, and
 * reserve room for all; `arrange` then takes it.  Who is not among them is removed.  A member that
 * was admitted and then is not arranged frees its loads. */
struct pool_table;
struct pool_table *backend_pool_reserve(uint32_t count) MUST_CHECK; /* NULL: no memory; mem_free */
int backend_pool_admit(struct backend_pool *pool, struct member *member) MUST_CHECK; /* -ENOMEM */
void backend_pool_arrange(struct backend_pool *pool, struct pool_table *table,
                          struct member *const *order, uint32_t count);
/* Never picked again: MEMBER_GONE, and unused() once it has ended.  Never fails. */
void backend_pool_remove(struct backend_pool *pool, struct member *member);
/* Who may pick from it says so, and when it may not any more: any thread.  In use by nobody and out
 * of everybody's sight, it may be freed. */
void backend_pool_use(struct backend_pool *pool);
void backend_pool_disuse(struct backend_pool *pool);
bool backend_pool_in_use(const struct backend_pool *pool);
uint32_t backend_pool_count(const struct backend_pool *pool);
/* Inside one turn of a worker: every member, until visit returns an error, which is returned. */
typedef int member_visit_fn(struct member *member, void *context);
int backend_pool_visit(const struct backend_pool *pool, member_visit_fn *visit, void *context);
/* On the owner's thread, or while nobody adds or removes. */
struct member *backend_pool_member(const struct backend_pool *pool, uint32_t index);

/* Which members a session tried already, so that a retry goes elsewhere. */
enum { PICK_TRIED_MAX = 8 };
struct pick {
    struct worker *worker;
    const struct addr *source; /* the user's; source_hash only */
    bool here;                 /* only members that can be opened on this worker */
    const struct member *tried[PICK_TRIED_MAX];
    uint32_t tried_count;
    bool met_full; /* one was passed over for its max_conn; set by backend_pick */
};
/* A member, held for the caller and noted in `pick`; NULL when none is left.  Of all tiers fit ones
 * come first, then suspect ones, then ejected ones: trying is better than refusing.  Those that
 * were found down are not tried. */
struct member *backend_pick(struct backend_pool *pool, struct pick *pick) MUST_CHECK;

#endif
