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

/* What goes along when a session moves to the worker that has its member: made and freed by
 * session_move.c, carried by the listener. */
struct session_luggage {
    struct addr source, destination;
    uint64_t id, began_ns;
    uint16_t port;
    int fd;
    struct pick pick;
    struct member *picked; /* held by the worker that is left */
    uint32_t length;       /* of what the user has said */
    uint8_t bytes[];
};
/* In place of `ended`: carry it to another worker, which resumes it.  The luggage is taken. */
typedef void session_left_fn(void *context, struct session *session,
                             struct session_luggage *luggage);
typedef void session_step_fn(struct session *session);
/* Ends a step that waits; session_refuse follows from it. */
typedef void session_stop_fn(struct session *session, enum reason reason);

enum { SESSION_STEPS_MAX = 4 };

/* What sessions of one listener share that began under the same settings; the listener's, who frees
 * it when it has another and the last session has ended. */
struct session_frame {
    uint32_t users; /* sessions; the listener counts */
    struct worker *worker;
    struct backend_pool *pool;
    struct gate *gate;
    char listener[SETTINGS_NAME_SIZE], service[SETTINGS_NAME_SIZE];
    struct pump_limits limits;
    uint64_t buffer_limit, connect_timeout_ns, selection_timeout_ns;
    uint32_t retries;
    struct traffic *traffic; /* the listener's, counted as bytes move */
    uint64_t *refused;       /* the listener's */
    enum zero_copy zero_copy;
    enum accept_proxy accept_proxy;
    session_step_fn *steps[SESSION_STEPS_MAX]; /* in order; session_open is the last */
    session_ended_fn *ended;
    session_left_fn *left; /* NULL: every member is on every worker */
    void *context;
};

struct session {
    struct list link; /* the listener's */
    void *carried;    /* the listener's: how it came from another worker, which waits for its end */
    struct session_frame *frame;
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
    bool counted;            /* the listener's: among those that max_connections counts */
    struct opening *opening; /* NULL once done */
    /* Then. */
    struct member *member; /* held while pumping */
    struct splice splice;
};

/* fd (taken, on failure too) is a user's connection that was just accepted; local is its own
 * address, or NULL where only the socket knows; picked (taken, too) is held, or NULL.  NULL: no
 * memory. */
struct session *session_start(struct session_frame *frame, int fd, const struct addr *local,
                              uint64_t id, struct member *picked) MUST_CHECK;
void session_stop(struct session *session, enum reason reason);
/* Past the gate: it is known who the user is, and was let in. */
bool session_was_admitted(const struct session *session);
/* After a move: the descriptor is taken out of the luggage, and its member held here too.  NULL: no
 * memory. */
struct session *session_resume(struct session_frame *frame,
                               struct session_luggage *luggage) MUST_CHECK;
/* Frees it; a connection that is still in it is reset. */
void session_luggage_drop(struct os *os, struct session_luggage *luggage);

/* ---- for steps ---- */
void session_next(struct session *session);
void session_refuse(struct session *session, enum reason reason);
session_step_fn session_gate, session_open; /* session.c */
session_step_fn session_proxy;              /* proxy_step.c */
/* After session_open, instead of its member: the user's end is left (session_move.c). */
void session_leave(struct session *session, struct stream *user, const struct pick *pick);

#endif
