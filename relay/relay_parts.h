/* relay/relay_parts.h - inside a relay.  Seen by relay*.c only.  Thread: the worker's. */
#ifndef RELAY_RELAY_PARTS_H
#define RELAY_RELAY_PARTS_H

#include "relay/crew.h"
#include "relay/udp_session.h"

enum relay_state {
    RELAY_NEW,
    RELAY_RUNNING,
    RELAY_DRAINING,
    RELAY_STOPPING_USERS,   /* listeners and the client end */
    RELAY_STOPPING_TUNNELS, /* then the tunnel servers, whose members nobody uses any more */
    RELAY_STOPPING_SERVERS, /* then, for all workers, the servers */
    RELAY_ENDED,
    RELAY_STATE_COUNT
};

/* This worker's part of what stands for an edition. */
struct relay_parts {
    const struct edition *edition;
    struct listener **listeners;
    struct tunnel_server **tunnels;
    struct tunnel_client *client; /* NULL without [client] */
    struct list leavers;          /* of a reload: what leaves with it */
};

/* This worker's part of one that leaves; freed with the last of it. */
struct relay_leaver {
    struct list link;
    struct relay *relay;
    struct leaver *leaver;
    struct listener *listener; /* of these at most one */
    struct udp_leave_part ports;
    struct tunnel_server *tunnel;
    struct tunnel_client *client;
    bool settled; /* all workers have closed theirs */
    bool unused;  /* nothing of it is open any more, and the crew knows */
    bool stopping, idle;
    bool awaited; /* by the relay's present state */
};

struct relay {
    struct relay_options options;
    struct relay_parts now, next; /* next: without an edition where no reload is under way */
    struct list leavers;
    struct udp_table sessions; /* UDP, of all listeners */
    uint32_t pending;          /* parts that the present state waits for */
    struct timer drain_timer;
    struct task task;
    enum reason stop_reason;
    uint8_t state;
};

/* ---- relay.c ---- */
void relay_part_done(void *context); /* the relay */
void relay_listener_emptied(void *context);
static inline const struct settings *relay_settings(const struct relay *relay)
{
    return relay->now.edition->settings;
}
static inline bool relay_owns_servers(const struct relay *relay)
{
    return relay->options.worker->index == 0;
}

/* ---- relay_make.c: parts for an edition ---- */
/* 0, or -errno and a sentence; its end is due in every case. */
int relay_parts_make(struct relay *relay, struct relay_parts *parts, const struct edition *edition,
                     char *error, size_t error_size) MUST_CHECK;
void relay_parts_forget(struct relay *relay, struct relay_parts *parts); /* they were not taken */
void relay_parts_free(struct relay_parts *parts);                        /* with all that it has */
void relay_parts_release(struct relay_parts *parts);                     /* alone */

/* ---- relay_leave.c ---- */
struct relay_leaver *relay_leaver_new(struct relay *relay, struct leaver *leaver) MUST_CHECK;
void relay_leaver_close(struct relay_leaver *leaver);  /* takes nothing new */
void relay_leaver_settle(struct relay_leaver *leaver); /* all workers' have been closed */
void relay_leaver_sweep(struct relay_leaver *leaver);  /* may free it */
/* Those that a drain waits for: relay_listener_emptied follows for each. */
uint32_t relay_leavers_busy(struct relay *relay);
/* Those that the present state of the way down waits for: relay_part_done follows for each. */
void relay_leavers_stop(struct relay *relay);
void relay_leaver_free(struct relay_leaver *leaver);

#endif
