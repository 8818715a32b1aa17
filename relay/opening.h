/* relay/opening.h - finds a member for a user and opens it, trying others when one refuses.
 *
 * What the user sends meanwhile goes to the member at once and is kept (64 KB at most, then
 * receiving waits), so that it can be said again to the next one.  A next one that only another
 * worker can open is the session's to follow, if it can move.
 *
 * Owner: the session, until done has been called; then the opening has freed itself.  Thread: the
 * worker's. */
#ifndef RELAY_OPENING_H
#define RELAY_OPENING_H

#include <stdbool.h>
#include <stdint.h>

#include "balancer/balancer.h"
#include "core/stream.h"
#include "core/worker.h"

struct opening;

struct opened {
    struct stream *user;    /* NULL when it is gone (closed and freed) */
    struct stream *backend; /* NULL when no member took it */
    struct member *member;  /* of the backend; held, member_drop is the caller's */
    bool user_ended;        /* the FIN was passed on already */
    uint64_t user_bytes;    /* received so far */
    enum reason reason;     /* REASON_DONE when there is a backend and a user */
    /* Picked and held, but on other workers only; NULL: not so.  What the user said is back in
     * `received`, and `pick` knows who was tried. */
    struct member *elsewhere;
    struct pick pick;
};
/* Never from inside opening_start or opening_stop. */
typedef void opening_done_fn(void *context, const struct opened *opened);

struct opening_options {
    struct worker *worker;
    struct backend_pool *pool; /* borrowed until done */
    const char *service;       /* borrowed until done */
    struct addr source, destination;
    uint16_t port; /* that the user came by */
    uint64_t connect_timeout_ns;
    uint32_t retries;       /* further members after the first */
    struct member *picked;  /* and held already; taken when it starts; NULL: none is */
    struct queue *received; /* what the user said before; taken when it starts */
    bool user_ended;        /* and it has said all */
    bool may_move;
    const struct pick *tried; /* on another worker, the picked one too; NULL: nothing was */
    opening_done_fn *done;
    void *context;
};
/* Takes the user's stream (starts and listens to it).  NULL without memory: the user is the
 * caller's still. */
struct opening *opening_start(const struct opening_options *options,
                              struct stream *user) MUST_CHECK;
/* Ends it: done follows, with that reason; streams that are left are in `opened`. */
void opening_stop(struct opening *opening, enum reason reason);

#endif
