/* relay/listener_parts.h - inside a listener.  Seen by listener*.c only.  Thread: its worker's. */
#ifndef RELAY_LISTENER_PARTS_H
#define RELAY_LISTENER_PARTS_H

#include "core/mem.h"
#include "core/sock.h"
#include "relay/gate.h"
#include "relay/listener.h"
#include "relay/session.h"
#include "relay/tcp_door.h"
#include "relay/udp_door.h"

struct listener {
    struct listener_options options;
    struct session_frame frame;
    struct tcp_options tcp;
    struct gate gate;
    /* One door per port and protocol; those that are open are counted. */
    struct tcp_door *tcp_doors;
    struct udp_door *udp_doors;
    uint32_t tcp_count, udp_count;
    uint32_t tcp_open, udp_open; /* not closed yet */
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
    bool closing, stopping, told_emptied, told_idle;
};

/* listener.c: something has gone; a listener that is closing may have ended. */
void listener_settle(struct listener *listener);

/* listener_users.c: a user has come by a door of this worker alone, or of all workers. */
tcp_door_accepted_fn listener_accepted, listener_deal;
session_ended_fn listener_session_ended;
session_left_fn listener_session_left;

#endif
