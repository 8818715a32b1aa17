/* relay/tunnel_client.h - the client's end: keeps registered tunnels to the servers of [client],
 * each worker its part of them, and carries what the server opens to this client's services. Owner:
 * relay.  Thread: the worker's. Life: new -> start -> drain, perhaps -> stop -> idle -> free.
 * Before start, free alone. */
#ifndef RELAY_TUNNEL_CLIENT_H
#define RELAY_TUNNEL_CLIENT_H

#include "core/worker.h"
#include "relay/settings.h"
#include "relay/tunnel_wire.h"

struct tunnel_client;
struct tunnel_link;
struct tunnel_group;
/* What the clients of all workers that stand for the [client] share. */
struct client_share {
    uint32_t workers;
    uint8_t instance[WIRE_INSTANCE_SIZE];
    /* By the settings' servers; the control thread's to change. */
    struct tunnel_group **groups;
    uint32_t count;
    struct tunnel_group **next_groups; /* of a reload */
    uint32_t next_count;
    uint32_t made; /* groups, ever */
    bool fresh;    /* made for the edition that it is first in */
    struct tls_context *next_tls[SETTINGS_WORKERS_MAX]; /* for each worker to take */
};
/* Reads the files of its [tls].  0 or -errno, and a sentence; then there is nothing to close. */
int client_share_open(struct client_share *share, struct os *os,
                      const struct client_settings *settings, uint32_t workers, char *error,
                      size_t error_size) MUST_CHECK;
void client_share_close(struct client_share *share);
/* A reload, on the control thread: reads the files of its [tls].  0 or -errno, and a sentence: then
 * nothing has changed. */
int client_share_prepare(struct client_share *share, const struct client_settings *settings,
                         char *error, size_t error_size) MUST_CHECK;
void client_share_settle(struct client_share *share); /* all workers have switched */
void client_share_forget(struct client_share *share);

struct status;
typedef void tunnel_client_fn(void *context);

struct tunnel_client_options {
    struct worker *worker;
    const struct settings *settings; /* its client and services; borrowed until free */
    struct client_share *share;      /* borrowed until free */
    tunnel_client_fn
        *registered; /* each time the first connection to a server was registered; may be NULL */
    void *context;
};
/* Once for each worker of the share.  NULL: error is a sentence. */
struct tunnel_client *tunnel_client_new(const struct tunnel_client_options *options, char *error,
                                        size_t error_size) MUST_CHECK;
void tunnel_client_start(struct tunnel_client *client);
/* Other settings, in two steps, the second of which cannot fail. */
int tunnel_client_prepare(struct tunnel_client *client, const struct tunnel_client_options *options,
                          char *error, size_t error_size) MUST_CHECK;
void tunnel_client_switch(struct tunnel_client *client);
void tunnel_client_settle_change(struct tunnel_client *client); /* all workers have switched */
void tunnel_client_forget(struct tunnel_client *client); /* no-op where nothing was prepared */
uint32_t
tunnel_client_active(const struct tunnel_client *client); /* connections and UDP sessions */
/* Asks the servers for nothing new; what is open goes on.  `drained` is called once nothing is
 * open. */
void tunnel_client_drain(struct tunnel_client *client, tunnel_client_fn *drained, void *context);
/* Ends everything; idle is called once, later. */
void tunnel_client_stop(struct tunnel_client *client, tunnel_client_fn *idle, void *context);
/* Its links, and how much it serves.  0 or -ENOMEM. */
int tunnel_client_status(const struct tunnel_client *client, struct status *status) MUST_CHECK;
void tunnel_client_free(struct tunnel_client **client);

#endif
