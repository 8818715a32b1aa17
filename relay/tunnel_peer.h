/* relay/tunnel_peer.h - inside the server's end of a tunnel: the server, its connections (peers),
 * and the registered client instances (members).  Seen by tunnel_server.c, tunnel_peer.c,
 * tunnel_member.c and tunnel_open.c only.
 *
 * A peer is one QUIC connection, from handshake to closed().  A member is one client instance and
 * owns a list of registered peers; it is in the pool while it has one that takes opens.  A member
 * lives until it has no peer and no session refers to it.
 * Thread: the worker's. */
#ifndef RELAY_TUNNEL_PEER_H
#define RELAY_TUNNEL_PEER_H

#include "balancer/balancer.h"
#include "core/table.h"
#include "core/tls.h"
#include "core/worker.h"
#include "quic/quic.h"
#include "relay/settings.h"
#include "relay/tunnel_control.h"
#include "relay/tunnel_datagram.h"
#include "relay/tunnel_server.h"
#include "relay/tunnel_watch.h"

struct tunnel_server {
    /* Set by new. */
    struct worker *worker;
    struct tunnel_share *share;
    const struct tunnel_settings *settings;
    struct tls_context *tls;
    struct backend_pool *pool;
    struct quic_endpoint **endpoints; /* one per `listen`; NULL where not open */
    /* Changes while running. */
    struct list peers, members;
    struct table instances; /* the members again, by instance */
    uint64_t instance_seed;
    uint32_t peer_count;
    uint32_t member_count;   /* in the list */
    uint32_t endpoint_count; /* open, or not idle yet */
    uint8_t state;
    tunnel_idle_fn *idle;
    void *context;
    struct task settling;
};
/* Something has gone: a server that is stopping may have ended. */
void tunnel_server_settle(struct tunnel_server *server);
bool tunnel_server_takes_clients(const struct tunnel_server *server);

struct tunnel_member {
    struct member member; /* its name is the identity's */
    struct tunnel_server *server;
    struct list link;         /* in the server's */
    struct table_entry entry; /* in its table of instances */
    struct list peers;        /* its registered connections */
    struct wire_service *services;
    uint32_t service_count;
    uint8_t instance[WIRE_INSTANCE_SIZE];
    char label[WIRE_NAME_MAX + 1];
    uint8_t state;
    bool unused; /* nobody refers to it any more */
};

struct tunnel_peer {
    struct tunnel_server *server;
    struct quic_connection *quic;
    struct tunnel_member *member; /* once registered */
    struct list link;             /* in the server's */
    struct list member_link;      /* in the member's */
    struct tunnel_control control;
    struct tunnel_sessions sessions;
    struct tunnel_watch watch;
    struct timer timer;            /* to register; then from heartbeat to heartbeat */
    char name[SETTINGS_NAME_SIZE]; /* the identity, once allowed */
    uint8_t slot;
    uint8_t state;
};

/* ---- tunnel_peer.c ---- */
bool tunnel_peer_accept(struct tunnel_server *server, struct quic_connection *quic);
/* Says why, closes the connection; closed() follows. */
void tunnel_peer_close(struct tunnel_peer *peer, enum wire_code code, const char *words);
void tunnel_peer_drain(struct tunnel_peer *peer); /* tells the client that we are leaving */

/* ---- tunnel_member.c ---- */
/* The instance's member, made when there is none, takes the peer; one that it had in the same slot
 * is closed.  0, or a wire_code that refuses. */
enum wire_code tunnel_member_join(struct tunnel_peer *peer, const struct wire_register *reg);
void tunnel_member_leave(struct tunnel_peer *peer);      /* its connection is gone */
void tunnel_member_retire(struct tunnel_member *member); /* takes no opens any more */
void tunnel_member_suspected(struct tunnel_member *member, bool suspect);
/* The connection for something new; NULL when there is none. */
struct tunnel_peer *tunnel_member_peer(const struct tunnel_member *member);
bool tunnel_member_offers(const struct tunnel_member *member, const char *service,
                          enum protocol protocol);
static inline struct tunnel_member *tunnel_member_of(struct member *member)
{
    return container_of(member, struct tunnel_member, member);
}

/* ---- tunnel_open.c ---- */
int tunnel_open_start(struct tunnel_member *member, struct open_request *request) MUST_CHECK;
void tunnel_open_cancel(struct open_request *request);

#endif
