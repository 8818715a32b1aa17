/* relay/status.h - what a relay is doing, as plain structs: a picture that one worker takes of its
 * own state at one moment, for another thread to keep.
 *
 * Owner: whoever asked; status_release.  Thread: relay_status is called on the worker's thread, by
 * a mail; the rest by whoever holds the picture.  Pictures of several workers are made one by
 * status_merge. */
#ifndef RELAY_STATUS_H
#define RELAY_STATUS_H

#include "core/traffic.h"
#include "relay/settings.h"

enum { STATUS_TEXT_SIZE = 256 };

struct status_listener {
    const void *id; /* the same on all workers, and no other's */
    bool leaving;   /* takes nobody new */
    char name[SETTINGS_NAME_SIZE], backend[SETTINGS_NAME_SIZE];
    struct addr addr; /* of its first bind */
    enum protocol protocol;
    uint32_t connections, udp_sessions; /* now */
    uint64_t connections_total, udp_sessions_total, refused_total;
    struct traffic traffic;
};

struct status_member {
    const void *id; /* the same on all workers, and no other's; NULL: one is known by its name */
    char name[SETTINGS_NAME_SIZE];
    uint32_t backend; /* index in status->backends */
    enum member_state state;
    bool ejected; /* for failing in a row, and it has not served since */
    uint32_t active;
    uint64_t total, failures;
    struct traffic traffic;
};

struct status_backend {
    const void *id; /* as a listener's; NULL: one is known by its name */
    bool leaving;
    char name[SETTINGS_NAME_SIZE];
    bool tunnel;      /* its members are tunnel clients */
    struct addr addr; /* tunnels: where clients dial in */
};

/* One connection of a registered tunnel client. */
struct status_client {
    char identity[SETTINGS_NAME_SIZE], label[STATUS_TEXT_SIZE];
    uint32_t tunnel; /* index in status->backends */
    struct addr addr;
    enum member_state state;
    uint32_t version, streams;
    uint64_t rtt_ns, packets_lost, congestion_window;
    struct traffic traffic; /* of the connection: packets to us, and from us */
};

/* One link of our own [client] to a server. */
struct status_server {
    char name[STATUS_TEXT_SIZE];
    const char *state; /* a constant text */
    bool registered;
    struct addr addr;
    uint32_t streams;
    uint64_t rtt_ns, packets_lost, congestion_window;
    struct traffic traffic;
};

struct status {
    bool by_name; /* one row for all listeners, or tunnels, of a name */
    struct status_listener *listeners;
    struct status_backend *backends; /* backends, then tunnels */
    struct status_member *members;
    struct status_client *clients;
    struct status_server *servers;
    uint32_t listener_count, backend_count, member_count, client_count, server_count;
    uint32_t services_active; /* connections and UDP sessions that our [client] serves */
};

void status_release(struct status *status); /* what is in it */
bool status_has_leavers(const struct status *status);
const char *status_leaving(bool leaving); /* "leaving", or "open" */
/* Adds another worker's picture; `by_name` is that of `into`.  0, or -ENOMEM: what was added so far
 * stays. */
int status_merge(struct status *into, const struct status *from) MUST_CHECK;
/* One more of each kind, zeroed; NULL: no memory. */
struct status_listener *status_add_listener(struct status *status) MUST_CHECK;
struct status_backend *status_add_backend(struct status *status) MUST_CHECK;
struct status_member *status_add_member(struct status *status) MUST_CHECK;
struct status_client *status_add_client(struct status *status) MUST_CHECK;
struct status_server *status_add_server(struct status *status) MUST_CHECK;
const char *status_member_state(enum member_state state); /* "fit" */
bool status_member_fit(const struct status_member *member);

#endif
