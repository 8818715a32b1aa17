/* relay/server_pool.h - the servers of one [backend]: the pool of them, and who is in it.  Those
 * that the file names are always; those that SRV records name come and go with the records, which
 * are asked for again when they are old.  A name that has no records any more keeps its servers.
 *
 * Owner: the crew.  Thread: new and free are the control thread's while no worker turns, the rest
 * is worker 0's.  Life: new -> start -> stop -> stopped -> free.  Without a start, no stop. */
#ifndef RELAY_SERVER_POOL_H
#define RELAY_SERVER_POOL_H

#include "balancer/balancer.h"
#include "relay/settings.h"

struct server_pool;
typedef void server_pool_fn(void *context);

/* All but the settings' and the workers' storage is copied; these are borrowed until free.  NULL:
 * no memory. */
struct server_pool *server_pool_new(const struct backend_settings *settings,
                                    struct worker *const *by_index, uint32_t workers) MUST_CHECK;
struct backend_pool *server_pool_members(const struct server_pool *pool);
void server_pool_start(struct server_pool *pool);
/* Nobody is picked any more; `stopped`, perhaps before the return, when no session of any worker is
 * on a server and no name is being asked for. */
void server_pool_stop(struct server_pool *pool, server_pool_fn *stopped, void *context);
void server_pool_free(struct server_pool **pool);

#endif
