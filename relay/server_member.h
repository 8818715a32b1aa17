/* relay/server_member.h - a server address as a member of a pool: opened by TCP connect, or by a
 * connected UDP socket.  A name is resolved at start, and again when its answer is old and a
 * connect failed; opens that come before the first answer wait for it.
 *
 * Owner: its pool, until unused; it then frees itself, once nothing of it is in flight, and calls
 * `gone`.  Thread: the worker's. */
#ifndef RELAY_SERVER_MEMBER_H
#define RELAY_SERVER_MEMBER_H

#include "balancer/balancer.h"
#include "core/worker.h"
#include "relay/settings.h"

typedef void server_member_gone_fn(void *context);

/* settings: borrowed until gone.  NULL: no memory. */
struct member *server_member_new(struct worker *worker, const struct backend_settings *backend,
                                 const struct backend_server *server, server_member_gone_fn *gone,
                                 void *context) MUST_CHECK;
void server_member_start(
    struct member *member); /* the worker runs: asks for its name's addresses */

#endif
