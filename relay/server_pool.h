/* relay/server_pool.h - the servers of one [backend]: the pool of them, and who is in it.  Those
 * that the file names are always; those that SRV records name come and go with the records, which
 * are asked for again when they are old.  A name that has no records any more keeps its servers.
 *
 * Owner: the crew.  Thread: new is the control thread's; free is, too, when no worker has it; the
 * rest is worker 0's.
 * Life: new -> start -> (prepare -> switch or forget)... -> stop -> stopped -> free.  Without a
 * start, no stop. */
#ifndef RELAY_SERVER_POOL_H
#define RELAY_SERVER_POOL_H

#include "balancer/balancer.h"
#include "relay/settings.h"

struct server_pool;
typedef void server_pool_fn(void *context);

/* All but the workers' storage is copied; that is borrowed until free.  NULL: no memory. */
struct server_pool *server_pool_new(const struct backend_settings *settings,
                                    struct worker *const *by_index, uint32_t workers) MUST_CHECK;
struct backend_pool *server_pool_members(const struct server_pool *pool);
void server_pool_start(struct server_pool *pool);
bool server_pool_is_started(const struct server_pool *pool);
/* Other settings, in two steps, the second of which cannot fail.  Servers that are in both stay
 * what they are, with their counts; new ones are looked up meanwhile.  settings: borrowed between.
 * 0 or -ENOMEM; then forget. */
int server_pool_prepare(struct server_pool *pool,
                        const struct backend_settings *settings) MUST_CHECK;
void server_pool_switch(struct server_pool *pool);
void server_pool_forget(struct server_pool *pool); /* no-op where nothing was prepared */
/* Nobody is picked any more; `stopped`, perhaps before the return, when no session of any worker is
 * on a server and no name is being asked for. */
void server_pool_stop(struct server_pool *pool, server_pool_fn *stopped, void *context);
void server_pool_free(struct server_pool **pool);

#endif
