/* relay/server_member.h - a server address as a member of a pool: opened by TCP connect, or by a
 * connected UDP socket.  Each worker resolves a name for itself, at the start and again when the
 * answer is old; a name that cannot be resolved any more keeps its last addresses.  Opens that come
 * before the first answer wait for it.
 *
 * Owner: its pool.  Thread: worker 0's, as the pool's owner.
 * Life: new -> start, perhaps -> in the pool -> ended, once it is unused and no worker has anything
 * in flight for it; then it has freed itself.  What was never started ends at once. */
#ifndef RELAY_SERVER_MEMBER_H
#define RELAY_SERVER_MEMBER_H

#include "balancer/balancer.h"
#include "core/worker.h"
#include "relay/settings.h"

typedef void server_member_fn(void *context);

struct server_member_options {
    struct worker *const *by_index; /* borrowed until it has ended */
    uint32_t workers;
    /* Borrowed, too; what is there stands for a turn. */
    const _Atomic(const struct backend_settings *) *backend;
    server_member_fn *ready; /* once after the start: every worker has had an answer, good or bad */
    server_member_fn *ended;
    void *context;
};

/* NULL: no memory. */
struct member *server_member_new(const struct server_member_options *options,
                                 const struct backend_server *server) MUST_CHECK;
/* All workers run: each asks for the addresses of its name. */
void server_member_start(struct member *member);
/* The backend's settings are others now. */
void server_member_adjust(struct member *member);
/* For one that is in no pool: ended follows, perhaps before the return. */
void server_member_stop(struct member *member);

#endif
