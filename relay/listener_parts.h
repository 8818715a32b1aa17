/* relay/listener_parts.h - inside a listener.  Seen by listener*.c only.  Thread: its worker's. */
#ifndef RELAY_LISTENER_PARTS_H
#define RELAY_LISTENER_PARTS_H

#include "core/mem.h"
#include "core/sock.h"
#include "relay/gate.h"
#include "relay/listener.h"
#include "relay/listener_leave.h"
#include "relay/session.h"
#include "relay/tcp_door.h"
#include "relay/udp_door.h"

/* A port: in the listener's list until its door is closed, then freed. */
struct tcp_port {
    struct list link;
    struct listener *listener;
    struct addr asked; /* as the settings have it */
    bool dealt;
    struct tcp_door door;
};
struct udp_port {
    struct list link;
    struct listener *listener; /* NULL: it leaves */
    struct addr asked;
    struct udp_leave_part *leaves; /* NULL: it does not */
    uint32_t number;               /* among those it leaves with */
    bool ending;                   /* closes when it has no session */
    struct udp_door door;
};
struct listener_ports {
    struct list tcp, udp;
};

/* What a reload brings. */
struct listener_next {
    struct listener_options options;
    struct session_frame *frame;
    struct listener_ports ports;
};

struct listener {
    struct listener_options options;
    char name[SETTINGS_NAME_SIZE];
    struct session_frame *frame; /* of new sessions */
    struct tcp_options tcp;
    struct gate gate;
    struct listener_next *next; /* NULL: no reload is under way */
    /* One door per port and protocol, until it is closed. */
    struct listener_ports ports;
    uint64_t complained_ns;
    /* Users. */
    struct list sessions;
    uint32_t session_count;
    struct mem_tide tide;
    struct udp_sessions datagrams;
    bool has_datagrams, datagrams_idle;
    uint64_t next_id;
    uint32_t next_worker; /* that the next one is dealt to */
    /* What status tells. */
    uint64_t accepted, refused;
    struct traffic traffic;
    struct task task;
    listener_fn *idle;
    void *idle_context;
    bool closing, stopping, told_emptied, told_idle;
    bool leaving, quiet; /* quiet: it has told that it has no users */
};

/* ---- listener.c ---- */
void listener_settle(struct listener *listener); /* something has gone; it may have ended */
struct session_frame *listener_frame_new(struct listener *listener,
                                         const struct listener_options *options) MUST_CHECK;
void listener_frame_free(struct session_frame *frame);                           /* NULL: no-op */
void listener_frame_put(struct listener *listener, struct session_frame *frame); /* by a session */

/* ---- listener_ports.c ---- */
/* Takes this worker's sockets out of the share into `ports`, ready to be opened. */
int listener_ports_make(struct listener *listener, const struct listener_settings *settings,
                        struct listener_ports *ports, char *error, size_t error_size) MUST_CHECK;
void listener_ports_open(struct listener *listener, struct listener_ports *ports);
void listener_ports_drop(struct listener *listener, struct listener_ports *ports); /* not opened */
/* Those that the settings do not have any more, and a changed backlog.  UDP ports were given away
 * before. */
void listener_ports_switch(struct listener *listener, const struct listener_settings *settings);
void listener_ports_tune(struct listener *listener);
void listener_ports_close_tcp(struct listener *listener);
void listener_ports_close_udp(struct listener *listener);
void listener_port_left(uint32_t *users);
void udp_port_move(struct udp_port *port, struct listener *to); /* NULL: it stays where it is */
void udp_port_end(struct udp_port *port);

/* ---- listener_leave.c ---- */
void udp_leave_part_settle(struct udp_leave_part *part); /* a port has closed */

/* ---- listener_users.c: a user has come by a door of this worker alone, or of all workers ---- */
tcp_door_accepted_fn listener_accepted, listener_deal;
session_ended_fn listener_session_ended;
session_left_fn listener_session_left;
void listener_count_all(struct listener *listener); /* max_connections counts those that are here */
void listener_forbid(struct listener *listener);    /* ends those whom the gate forbids now */

#endif
