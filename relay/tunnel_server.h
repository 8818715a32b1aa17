/* relay/tunnel_server.h - the server's end of one [tunnel]: takes registrations of tunnel clients
 * and makes each a member of the tunnel's pool.
 * Owner: relay.  Thread: the worker's.
 * Life: new -> start -> drain, perhaps -> stop -> idle -> free.  Before start, free alone. */
#ifndef RELAY_TUNNEL_SERVER_H
#define RELAY_TUNNEL_SERVER_H

#include "balancer/balancer.h"
#include "core/worker.h"
#include "relay/settings.h"

struct tunnel_server;
struct status;
typedef void tunnel_idle_fn(void *context);

/* settings: borrowed until free.  NULL: error is a sentence. */
struct tunnel_server *tunnel_server_new(struct worker *worker,
                                        const struct tunnel_settings *settings, char *error,
                                        size_t error_size) MUST_CHECK;
int tunnel_server_start(struct tunnel_server *server, char *error, size_t error_size) MUST_CHECK;
struct backend_pool *tunnel_server_pool(struct tunnel_server *server); /* lives until free */
/* Of its index-th `listen`, as bound.  0 or -ENOENT. */
int tunnel_server_addr(const struct tunnel_server *server, uint32_t index, struct addr *addr);
/* Takes no new clients and tells those it has that it is leaving; what is open goes on. */
void tunnel_server_drain(struct tunnel_server *server);
/* Closes every client; idle is called once, later, when nothing is left.  Sessions that were on its
 * members have ended by then. */
void tunnel_server_stop(struct tunnel_server *server, tunnel_idle_fn *idle, void *context);
/* Its registered clients' connections, as those of status->backends[tunnel].  0 or -ENOMEM. */
int tunnel_server_status(const struct tunnel_server *server, uint32_t tunnel,
                         struct status *status) MUST_CHECK;
void tunnel_server_free(struct tunnel_server **server);

#endif
