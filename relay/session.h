/* relay/session.h - one user's TCP connection: a chain of steps, the last of which opens a member;
 * then pump, then the end.
 *
 * A step looks at the user, perhaps waits for bytes or for time, and passes on with session_next or
 * ends it with session_refuse.  A step that is off is not in the chain.
 * Owner: its listener, whose list it is in until `ended`.  Thread: the worker's. */
#ifndef RELAY_SESSION_H
#define RELAY_SESSION_H

#include "balancer/balancer.h"
#include "core/list.h"
#include "core/worker.h"
#include "relay/gate.h"
#include "relay/opening.h"
#include "relay/splice.h"

struct session;
/* Called once, last; the session is freed after it returns. */
typedef void session_ended_fn(void *context, struct session *session);
typedef void session_step_fn(struct session *session);
/* Ends a step that waits; session_refuse follows from it. */
typedef void session_stop_fn(struct session *session, enum reason reason);

enum { SESSION_STEPS_MAX = 4 };

/* What the sessions of one listener share; lives as long as they do. */
struct session_frame {
    struct worker *worker;
    struct backend_pool *pool;
    struct gate *gate;
    const char *listener, *service;
    struct pump_limits limits;
    uint64_t buffer_limit, connect_timeout_ns, selection_timeout_ns;
    uint32_t retries;
    struct traffic *traffic; /* the listener's, counted as bytes move */
    uint64_t *refused;       /* the listener's */
    enum zero_copy zero_copy;
    enum accept_proxy accept_proxy;
    session_step_fn *steps[SESSION_STEPS_MAX]; /* in order; session_open is the last */
    session_ended_fn *ended;
    void *context;
};

struct session {
    struct list link; /* the listener's */
    const struct session_frame *frame;
    struct addr source, destination;
    uint64_t id, began_ns, connected_ns; /* connected_ns 0: never */
    uint16_t port;                       /* of ours, that the user came by */
    enum reason reason;
    /* While steps are taken. */
    uint32_t step;
    session_stop_fn *stop;   /* of the step that waits; NULL: none does */
    void *waiting;           /* that step's own */
    struct stream *user;     /* NULL: gone, or the opening's and the pump's */
    struct queue received;   /* what steps looked at and did not take */
    struct member *picked;   /* before the steps began, and held; NULL: none, or the opening's */
    bool user_ended;         /* and the FIN behind it */
    bool admitted;           /* the gate has nothing to say any more */
    struct opening *opening; /* NULL once done */
    /* Then. */
    struct member *member; /* held while pumping */
    struct splice splice;
};

/* fd (taken, on failure too) is a user's connection that was just accepted; picked (taken, too) is
 * held, or NULL.  NULL: no memory. */
struct session *session_start(const struct session_frame *frame, int fd, uint64_t id,
                              struct member *picked) MUST_CHECK;
void session_stop(struct session *session, enum reason reason);

/* ---- for steps ---- */
void session_next(struct session *session);
void session_refuse(struct session *session, enum reason reason);
session_step_fn session_gate, session_open; /* session.c */
session_step_fn session_proxy;              /* proxy_step.c */

#endif
