/* relay/session.h - one user's TCP connection: opening, then pump, then the end.
 * Owner: its listener, whose list it is in until `ended`.  Thread: the worker's. */
#ifndef RELAY_SESSION_H
#define RELAY_SESSION_H

#include "balancer/balancer.h"
#include "core/list.h"
#include "core/worker.h"
#include "relay/opening.h"
#include "relay/splice.h"

struct session;
/* Called once, last; the session is freed after it returns. */
typedef void session_ended_fn(void *context, struct session *session);

/* What the sessions of one listener share; lives as long as they do. */
struct session_frame {
    struct worker *worker;
    struct backend_pool *pool;
    const char *listener, *service;
    struct pump_limits limits;
    uint64_t buffer_limit, connect_timeout_ns;
    uint32_t retries;
    struct traffic *traffic; /* the listener's, counted as bytes move */
    enum zero_copy zero_copy;
    session_ended_fn *ended;
    void *context;
};

struct session {
    struct list link; /* the listener's */
    const struct session_frame *frame;
    struct opening *opening; /* NULL once done */
    struct member *member;   /* held while pumping */
    struct addr source;
    uint64_t id, began_ns;
    struct splice splice;
    enum reason reason;
};

/* fd (taken, on failure too) is a user's connection that was just accepted.  NULL: no memory. */
struct session *session_start(const struct session_frame *frame, int fd, uint64_t id) MUST_CHECK;
void session_stop(struct session *session, enum reason reason);

#endif
