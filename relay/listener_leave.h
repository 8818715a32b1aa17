/* relay/listener_leave.h - UDP ports that a reload took from a listener: each serves the sessions
 * that it has, whichever listener's they are.
 *
 * A port is closed on all workers together, once none has a session of it: the kernel deals sources
 * out by how many sockets a port has, so one that closed early would lead the datagrams of others
 * astray.  Until then another reload may take the port over, as it is.
 * Owner: the crew's leaver; a worker's part, with its sockets, its relay's. */
#ifndef RELAY_LISTENER_LEAVE_H
#define RELAY_LISTENER_LEAVE_H

#include <stdatomic.h>

#include "core/list.h"
#include "relay/settings.h"

struct listener;
struct listener_share;

/* The control thread's to change; workers look at it while they take a step. */
enum udp_leave_state {
    UDP_STAYS,  /* or is another listener's now */
    UDP_LEAVES, /* may have sessions */
    UDP_CLOSES, /* has none: with the next sweep it is closed */
    UDP_CLOSED, /* that was the last sweep */
};
struct udp_leave {
    const struct listener_settings *settings; /* which had the ports; borrowed until free */
    struct listener_share *share;             /* the same, until all workers have switched */
    uint32_t count;
    struct udp_leave_port {
        enum udp_leave_state state;
        _Atomic uint32_t used; /* sockets that have sessions */
    } ports[];                 /* by their number among the listener's */
};

/* ---- the control thread's ---- */
/* All of them stay.  NULL: no memory. */
struct udp_leave *udp_leave_new(const struct listener_settings *settings,
                                struct listener_share *share) MUST_CHECK;
void udp_leave_free(struct udp_leave **leave); /* no worker has a part of it */
/* Whether that port may be taken over. */
bool udp_leave_offers(const struct udp_leave *leave, const struct addr *addr);
void udp_leave_taken(struct udp_leave *leave, uint32_t number); /* by all workers */
/* When all workers have settled: those that nobody uses close with the first sweep. */
void udp_leave_look(struct udp_leave *leave);
/* After each step SWEEP of the workers.  Whether all are closed or taken. */
bool udp_leave_sweep(struct udp_leave *leave);

/* ---- a worker's ---- */
/* Who has a port from now on, among the listeners of this worker; NULL: nobody. */
struct listener_heirs {
    struct listener *(*find)(const void *context, enum protocol protocol, const struct addr *addr);
    const void *context;
};
struct udp_leave_part {
    struct udp_leave *leave;
    struct list ports;
    bool stopping, told;
    void (*idle)(void *context); /* once, after stop, also from inside it: all are closed */
    void *context;
};
void udp_leave_part_init(struct udp_leave_part *part, struct udp_leave *leave,
                         void (*idle)(void *context), void *context);
/* At a switch: those that leave with it, out of the listener's. */
void udp_leave_part_take(struct udp_leave_part *part, struct listener *listener);
/* At a later one. */
void udp_leave_part_give(struct udp_leave_part *part, const struct listener_heirs *heirs);
void udp_leave_part_sweep(struct udp_leave_part *part);
void udp_leave_part_stop(struct udp_leave_part *part); /* each closes with its last session */

#endif
