/* relay/server_member.h - a server address as a member of a pool: opened by TCP connect, or by a
 * connected UDP socket.  Each worker resolves a name for itself, at its start and again when the
 * answer is old; opens that come before the first answer wait for it.
 *
 * Owner: its pool, which frees it when every worker has stopped it.  Thread: start and stop are the
 * worker's that is named; the rest any. */
#ifndef RELAY_SERVER_MEMBER_H
#define RELAY_SERVER_MEMBER_H

#include "balancer/balancer.h"
#include "core/worker.h"
#include "relay/settings.h"

typedef void server_member_fn(void *context);

/* settings and workers: borrowed until it is freed.  NULL: no memory. */
struct member *server_member_new(struct worker *const *workers, uint32_t count,
                                 const struct backend_settings *backend,
                                 const struct backend_server *server) MUST_CHECK;
/* The worker runs: asks for its name's addresses. */
void server_member_start(struct member *member, const struct worker *worker);
/* No session of this worker is on it any more; `stopped` is called once, perhaps before the return,
 * when nothing of it is in flight here. */
void server_member_stop(struct member *member, const struct worker *worker,
                        server_member_fn *stopped, void *context);

#endif
