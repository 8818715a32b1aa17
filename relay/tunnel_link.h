/* relay/tunnel_link.h - inside the client's end of a tunnel: the client, and one link per server.
 * Seen by tunnel_client.c, tunnel_change.c, tunnel_link.c, tunnel_group.c, tunnel_fan.c,
 * tunnel_dial.c, tunnel_retry.c, tunnel_words.c and tunnel_status.c only.
 *
 * A link is one connection to one server, made again whenever it is lost.
 * Thread: the worker's. */
#ifndef RELAY_TUNNEL_LINK_H
#define RELAY_TUNNEL_LINK_H

#include "core/resolve.h"
#include "core/tls.h"
#include "core/worker.h"
#include "quic/quic.h"
#include "relay/service.h"
#include "relay/settings.h"
#include "relay/tunnel_client.h"
#include "relay/tunnel_control.h"
#include "relay/tunnel_datagram.h"
#include "relay/tunnel_watch.h"

/* A server of the [client], and the links to it on all workers.
 * Owner: the share and each link, the last of whom frees it. */
struct tunnel_group {
    struct client_server server;
    uint32_t index; /* says which worker has which slot */
    bool fresh;     /* no worker has made its links for it yet */
    bool stays;     /* the control thread's, while settings change */
    _Atomic uint32_t owners;
    /* By slot; NULL: never used.  Set by their workers before any is woken, constant while any
     * runs; what is pointed to is its worker's own. */
    struct tunnel_link *links[SETTINGS_CONNECTIONS_MAX];
};
void tunnel_group_drop(struct tunnel_group *group);

struct tunnel_client {
    /* Set by new. */
    struct tunnel_client_options options;
    const struct client_settings *settings;
    struct tls_context *tls;
    /* Changes while running. */
    struct services services;
    struct list links;
    struct list next; /* of a reload: links that will be new */
    struct tunnel_client_options next_options;
    bool changing; /* links that leave are not freed yet: others may still wake them */
    uint8_t state;
    tunnel_client_fn *drained, *idle;
    void *drained_context, *idle_context;
    struct task settling;
};
void tunnel_client_settle(struct tunnel_client *client); /* something ended */
bool tunnel_client_reconnects(const struct tunnel_client *client);

struct tunnel_link {
    /* Set by new. */
    struct tunnel_client *client;
    struct tunnel_group *group;
    const struct client_server *server; /* the group's */
    uint8_t slot;                       /* 0: the first connection to it, which wakes the others */
    struct list link;                   /* in the client's */
    /* The present connection. */
    struct quic_connection *quic; /* NULL without one */
    struct tunnel_control control;
    struct tunnel_sessions sessions;
    struct tunnel_watch watch;
    uint64_t heartbeat_ns, health_timeout_ns, probe_ns; /* as REGISTERED told */
    uint64_t beat_ns;                                   /* when the next heartbeat is due */
    /* Which of the server's workers is to answer; no workers: not known yet. */
    uint32_t server_worker, server_workers;
    uint32_t misplaced; /* connections that another worker answered, in a row */
    uint64_t fan_ns;    /* slot 0: when the others are woken again; never where the server asks */
    /* From try to try. */
    struct timer timer;
    uint32_t tries;           /* since a tunnel was last registered */
    uint32_t delays;          /* of them, those whose pause was doubled */
    uint64_t rtt_ns;          /* of the last connection; 0: none yet */
    enum reason reason;       /* what the last try failed with: told once */
    bool refused, registered; /* the last connection was */
    bool leaving;             /* its server is not the client's any more */
    uint64_t leave_ns;        /* then it ends, whatever it does */
    bool asked;               /* its server says which further connections it wants */
    uint8_t state;
    struct resolve_request resolve;
};

/* Appended to `links`. */
struct tunnel_link *tunnel_link_new(struct tunnel_client *client, struct tunnel_group *group,
                                    uint8_t slot, struct list *links) MUST_CHECK;
void tunnel_link_free(struct tunnel_link *link); /* stopped, or never started */
void tunnel_link_start(struct tunnel_link *link);
void tunnel_link_drain(struct tunnel_link *link);
void tunnel_link_stop(struct tunnel_link *link);
bool tunnel_link_is_stopped(const struct tunnel_link *link);
bool tunnel_link_rests(const struct tunnel_link *link); /* is not wanted now */
/* A further link makes its connection, if it has none, to that worker of the server. */
void tunnel_link_wake(struct tunnel_link *link, uint32_t worker, uint32_t workers);

static inline struct worker *tunnel_link_worker(const struct tunnel_link *link)
{
    return link->client->options.worker;
}

void tunnel_link_send(struct tunnel_link *link, const struct wire_message *message);

/* ---- tunnel_change.c ---- */
/* For good: no new connection is made, and this one ends when nothing is open, or its time is over.
 */
void tunnel_link_leave(struct tunnel_link *link, uint64_t until_ns);
void tunnel_link_offer(struct tunnel_link *link); /* tells what is offered now */
bool tunnel_link_in_use(const struct tunnel_link *link);
bool tunnel_link_reconnects(const struct tunnel_link *link);

/* ---- tunnel_words.c ---- */
void tunnel_link_log(struct tunnel_link *link, enum log_level level, const char *event,
                     enum reason reason, const char *words);
void tunnel_link_tell_registered(const struct tunnel_link *link);
void tunnel_link_tell_failure(struct tunnel_link *link, enum reason reason, const char *words);
void tunnel_link_tell_end(struct tunnel_link *link, const struct quic_closing *closing);

/* ---- tunnel_client.c ---- */
void tunnel_client_take_tls(struct tunnel_client *client); /* what the share has read for it */
/* This worker's links to a server. */
bool tunnel_client_make_links(struct tunnel_client *client, struct tunnel_group *group,
                              struct list *links) MUST_CHECK;

/* ---- tunnel_fan.c ---- */
void tunnel_fan_out(struct tunnel_link *first); /* it is registered: the others are wanted */
/* The server wants one to that worker. */
void tunnel_fan_want(struct tunnel_link *link, uint32_t worker);
/* Whether the worker that answered is the one that was meant, or we must do with it. */
bool tunnel_fan_keeps_place(struct tunnel_link *link, const struct wire_registered *told);

/* ---- tunnel_dial.c ---- */
void tunnel_dial_config(const struct tunnel_link *link, struct quic_config *config);
void tunnel_dial_offer(const struct tunnel_client *client, struct wire_message *message);
void tunnel_dial_register(const struct tunnel_link *link, struct wire_message *message);

/* ---- tunnel_retry.c ---- */
/* How long the next handshake may take, and the pause before it. */
uint64_t tunnel_retry_patience(const struct tunnel_link *link);
uint64_t tunnel_retry_pause(struct tunnel_link *link);

#endif
