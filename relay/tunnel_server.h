/* relay/tunnel_server.h - the server's end of one [tunnel]: takes registrations of tunnel clients
 * and makes each a member of the tunnel's pool.
 * Owner: relay.  Thread: the worker's.
 * Life: new -> start -> drain, perhaps -> stop -> idle -> free.  Before start, free alone. */
#ifndef RELAY_TUNNEL_SERVER_H
#define RELAY_TUNNEL_SERVER_H

#include "balancer/balancer.h"
#include "core/list.h"
#include "core/table.h"
#include "core/worker.h"
#include "relay/settings.h"
#include "relay/tunnel_wire.h"

struct tunnel_server;
struct status;
/* What the tunnel servers of all workers that stand for one [tunnel] share. */
struct tunnel_share {
    /* Set by open. */
    const struct tunnel_settings *settings; /* the registrar's to change; borrowed until close */
    uint32_t workers;
    struct quic_port **ports; /* by `listen` */
    uint8_t instance[WIRE_INSTANCE_SIZE];
    struct backend_pool *pool; /* the registrar's to change */
    bool fresh;                /* made for the edition that it is first in */
    struct tls_context *next_tls[SETTINGS_WORKERS_MAX]; /* for each worker to take */
    /* Set by the servers' new, constant while any runs. */
    struct tunnel_server *by_worker[SETTINGS_WORKERS_MAX];
    /* The registrar's, who is worker 0: client instances, whichever worker has their connections.
     */
    struct list members;
    struct table instances; /* the members again */
    uint64_t instance_seed;
    uint32_t member_count; /* in the list */
};
/* Reads the files of its [tls].  workers: borrowed until close.  0 or -errno, and a sentence; then
 * nothing stays open. */
int tunnel_share_open(struct tunnel_share *share, struct os *os,
                      const struct tunnel_settings *settings, struct worker *const *workers,
                      uint32_t count, char *error, size_t error_size) MUST_CHECK;
void tunnel_share_close(struct tunnel_share *share);
/* A reload, on the control thread: reads the files of its [tls].  0 or -errno, and a sentence: then
 * nothing has changed. */
int tunnel_share_prepare(struct tunnel_share *share, const struct tunnel_settings *settings,
                         char *error, size_t error_size) MUST_CHECK;
void tunnel_share_forget(struct tunnel_share *share);

typedef void tunnel_idle_fn(void *context);

/* Once for each worker of the share, which is borrowed until free.  NULL: error is a sentence. */
struct tunnel_server *tunnel_server_new(struct worker *worker, struct tunnel_share *share,
                                        char *error, size_t error_size) MUST_CHECK;
int tunnel_server_start(struct tunnel_server *server, char *error, size_t error_size) MUST_CHECK;
struct backend_pool *tunnel_server_pool(struct tunnel_server *server); /* lives until free */
/* Other settings, for what begins from now on; clients that may not be here any more are closed. */
void tunnel_server_switch(struct tunnel_server *server, const struct tunnel_settings *settings);
/* No session is on any of its clients, as far as this worker has to know. */
bool tunnel_server_is_quiet(const struct tunnel_server *server);
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
