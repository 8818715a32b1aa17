/* balancer/balancer.h - pools of members, and how one is picked.
 *
 * A member is a server address or a tunnel client; this folder does not know which.  Members are
 * made by relay (server_member, tunnel_member), put into a pool, and opened by sessions.
 * Thread: in this version one worker's; picking takes no lock and makes no syscall. */
#ifndef BALANCER_BALANCER_H
#define BALANCER_BALANCER_H

#include <stdbool.h>
#include <stdint.h>

#include "core/addr.h"
#include "core/datagram.h"
#include "core/reason.h"
#include "core/stream.h"

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

struct member_ops {
    /* 0, or -ENOMEM: nothing follows then. */
    int (*open)(struct member *member, struct open_request *request) MUST_CHECK;
    /* failed(REASON_ABANDONED) follows when nothing of it is in flight any more. */
    void (*cancel)(struct member *member, struct open_request *request);
    /* The far end of a UDP session, at once; NULL: *reason says why.  The caller sets events and
     * owner before it does anything else. */
    struct datagram_end *(*open_datagrams)(struct member *member,
                                           const struct datagram_request *request,
                                           enum reason *reason);
    /* No pool has it and no session is on it any more: free it. */
    void (*unused)(struct member *member);
};

enum member_state { MEMBER_FIT, MEMBER_SUSPECT, MEMBER_GONE };

struct member {
    const struct member_ops *ops;
    char name[65];
    enum member_state state; /* the member's own to change between FIT and SUSPECT */
    uint32_t active;         /* sessions on it: member_hold, member_drop */
    uint64_t total, failures;
};

/* A session refers to a member from its pick until it ends. */
void member_hold(struct member *member);
void member_drop(struct member *member);

enum balance { BALANCE_ROUND_ROBIN, BALANCE_LEAST_CONN };

struct backend_pool;
struct backend_pool *backend_pool_new(const char *name, enum balance balance) MUST_CHECK;
void backend_pool_free(struct backend_pool **pool); /* removes what is left */
const char *backend_pool_name(const struct backend_pool *pool);
int backend_pool_add(struct backend_pool *pool, struct member *member) MUST_CHECK; /* -ENOMEM */
/* Never picked again: MEMBER_GONE, and unused() once no session is on it. */
void backend_pool_remove(struct backend_pool *pool, struct member *member);
uint32_t backend_pool_count(const struct backend_pool *pool);
struct member *backend_pool_member(const struct backend_pool *pool, uint32_t index);

/* Which members a session tried already, so that a retry goes elsewhere. */
enum { PICK_TRIED_MAX = 8 };
struct pick {
    const struct member *tried[PICK_TRIED_MAX];
    uint32_t tried_count;
};
/* A member, held for the caller and noted in `pick`; NULL when none is left.  Suspect ones are
 * taken when no fit one is left. */
struct member *backend_pick(struct backend_pool *pool, struct pick *pick) MUST_CHECK;

#endif
