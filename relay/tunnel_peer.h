/* relay/tunnel_peer.h - inside the server's end of a tunnel: the server, its connections (peers),
 * and the registered client instances (members).  Seen by tunnel_server.c, tunnel_peer.c,
 * tunnel_judge.c, tunnel_member.c, tunnel_registrar.c, tunnel_want.c, tunnel_open.c, tunnel_words.c
 * and tunnel_status.c only.
 *
 * A server is one worker's part of a [tunnel].  A peer is one QUIC connection, from handshake to
 * closed(), and its worker's.  A member is one client instance, wherever its connections are: the
 * registrar (worker 0) makes, lists and ends it; each worker keeps the peers that it has of it.
 * A peer's ticket goes to the registrar with its registration and with its end, and comes back each
 * time; the peer waits for it.
 * Thread: the worker's, except where the registrar is named. */
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
    struct quic_endpoint **endpoints; /* one per `listen`; NULL where not open */
    /* Changes while running. */
    struct list peers;
    uint32_t peer_count;
    uint32_t endpoint_count;    /* open, or not idle yet */
    uint32_t wants;             /* on their way (tunnel_want.c) */
    uint64_t strangers_told_ns; /* until when the allowance of the log is spent (tunnel_words.c) */
    uint8_t state;
    tunnel_idle_fn *idle;
    void *context;
    struct task settling;
};
/* Something has gone: a server that is stopping may have ended. */
void tunnel_server_settle(struct tunnel_server *server);
bool tunnel_server_takes_clients(const struct tunnel_server *server);

/* A worker's own part of a member. */
struct tunnel_post {
    struct list peers; /* its registered connections here, the newest first */
    uint64_t want_ns;  /* when it may be asked for one again */
};

struct tunnel_member {
    struct member member; /* its name is the identity's */
    /* Constant after its birth. */
    struct tunnel_share *share;
    uint8_t instance[WIRE_INSTANCE_SIZE];
    char label[WIRE_NAME_MAX + 1];
    /* The registrar's. */
    struct list link;         /* in the share's */
    struct table_entry entry; /* in its table of instances */
    struct list tickets;      /* of its connections */
    bool retired;             /* out of the pool */
    bool unused;              /* nobody refers to it any more */
    /* Each worker's own. */
    struct tunnel_post posts[]; /* by worker */
};

enum ticket_state {
    TICKET_NONE,    /* never joined, or left */
    TICKET_ASKED,   /* with the registrar, to join */
    TICKET_HELD,    /* joined */
    TICKET_LEAVING, /* with the registrar, to leave */
};
struct tunnel_ticket {
    struct mail mail, retire_mail, replace_mail;
    struct tunnel_peer *peer;
    uint8_t instance[WIRE_INSTANCE_SIZE];
    char label[WIRE_NAME_MAX + 1];
    uint8_t slot;
    /* The registrar's answer. */
    struct tunnel_member *member;
    enum wire_code code;
    /* The registrar's. */
    struct list link; /* in the member's */
    bool replaced;
    /* The peer's. */
    enum ticket_state state;
    bool retired;
};

struct tunnel_peer {
    struct tunnel_server *server;
    struct quic_connection *quic;
    struct tunnel_member *member; /* once registered, until closed() */
    struct list link;             /* in the server's */
    struct list member_link;      /* in the member's post of this worker */
    struct tunnel_control control;
    struct tunnel_sessions sessions;
    struct tunnel_watch watch;
    struct timer timer;            /* to register; then from heartbeat to heartbeat */
    char name[SETTINGS_NAME_SIZE]; /* the identity, once allowed */
    /* As registered. */
    struct wire_service *services;
    uint32_t service_count;
    uint16_t version;
    uint64_t features;
    struct tunnel_ticket ticket;
    uint64_t used_ns; /* when it last had, or was given, something to carry */
    uint8_t state;
    bool parting; /* it has left its place, and is ended if nothing comes any more */
    bool closed;  /* the connection is gone; the ticket has to come back */
};

/* ---- tunnel_peer.c ---- */
bool tunnel_peer_accept(struct tunnel_server *server, struct quic_connection *quic);
/* Says why, closes the connection; closed() follows. */
void tunnel_peer_close(struct tunnel_peer *peer, enum wire_code code, const char *words);
void tunnel_peer_drain(struct tunnel_peer *peer); /* tells the client that we are leaving */
void tunnel_peer_log(struct tunnel_peer *peer, enum log_level level, const char *event,
                     enum reason reason, const char *words);
/* Asks the client for a connection to that worker as well. */
void tunnel_peer_want(struct tunnel_peer *peer, uint16_t worker);

/* The registrar's answers: ticket.member and ticket.code are set; the ticket is back for good; a
 * newer connection has taken its slot. */
void tunnel_peer_joined(struct tunnel_peer *peer);
void tunnel_peer_left(struct tunnel_peer *peer);
void tunnel_peer_replaced(struct tunnel_peer *peer);

/* ---- tunnel_judge.c ---- */
/* The first of its names that the tunnel allows; NULL: none. */
const char *tunnel_peer_allowed_name(const struct tunnel_peer *peer);
void tunnel_peer_judge(struct tunnel_peer *peer); /* closes one that is not allowed any more */

/* ---- tunnel_registrar.c ---- */
/* From the peer's worker; the answer may come before the call returns. */
void tunnel_registrar_join(struct tunnel_peer *peer, const struct wire_register *reg);
void tunnel_registrar_leave(struct tunnel_peer *peer);
void tunnel_registrar_retire(struct tunnel_peer *peer); /* its client takes nothing new */
/* On the registrar: other settings; whether no session is on any client. */
void tunnel_registrar_switch(struct tunnel_share *share, const struct tunnel_settings *settings);
bool tunnel_registrar_is_quiet(const struct tunnel_share *share);
/* On the registrar: the pool has no use for it any more. */
void tunnel_registrar_unused(struct tunnel_member *member);

/* On the registrar: a connection of that client, or NULL.  It lives until mail that is sent to its
 * worker now has come. */
struct tunnel_peer *tunnel_registrar_peer(const struct tunnel_share *share, const char *name,
                                          const uint8_t *instance);

/* ---- tunnel_want.c ---- */
/* A user came to this worker, which has no connection of the member: one is asked for. */
void tunnel_member_want(struct tunnel_member *member, struct worker *worker);
/* A further connection that nobody used for long leaves its place: how long to wait for who is on
 * the way, 0 where it stays. */
uint64_t tunnel_peer_part(struct tunnel_peer *peer);
/* After that time: whether to end it.  If not, it has taken its place again. */
bool tunnel_peer_parted(struct tunnel_peer *peer);

/* ---- tunnel_member.c ---- */
extern const struct member_ops tunnel_member_ops;
void tunnel_member_attach(struct tunnel_member *member, struct tunnel_peer *peer);
void tunnel_member_detach(struct tunnel_peer *peer);
/* Whether other workers look for the member here.  False: it has no other place to leave to. */
bool tunnel_member_leave_place(struct tunnel_peer *peer);
void tunnel_member_take_place(struct tunnel_peer *peer);
void tunnel_member_suspected(struct tunnel_member *member, bool suspect);
/* This worker's connection for something new; NULL when there is none. */
struct tunnel_peer *tunnel_member_peer(const struct tunnel_member *member,
                                       const struct worker *worker);
bool tunnel_peer_offers(const struct tunnel_peer *peer, const char *service,
                        enum protocol protocol);
static inline struct tunnel_member *tunnel_member_of(struct member *member)
{
    return container_of(member, struct tunnel_member, member);
}

/* ---- tunnel_words.c ---- */
void tunnel_peer_tell_registered(const struct tunnel_peer *peer);
void tunnel_peer_tell_end(struct tunnel_peer *peer, const struct quic_closing *closing);

/* ---- tunnel_open.c ---- */
int tunnel_open_start(struct tunnel_member *member, struct worker *worker,
                      struct open_request *request) MUST_CHECK;
void tunnel_open_cancel(struct open_request *request);

#endif
