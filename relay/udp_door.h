/* relay/udp_door.h - one bound UDP socket of a listener: receives from users and answers them.
 * A listener may have thousands, so a door is small and sessions are the listener's.
 * Owner: who embeds it.  Thread: the worker's.  Life: init -> open -> close -> closed, or drop. */
#ifndef RELAY_UDP_DOOR_H
#define RELAY_UDP_DOOR_H

#include "core/addr.h"
#include "core/worker.h"
#include "relay/udp_session.h"

struct udp_door;
typedef void udp_door_fn(struct udp_door *door);

struct udp_door {
    struct worker *worker;
    udp_door_fn *closed; /* once, after close, never from inside it */
    int fd;
    bool closing, sender_stopped;
    uint32_t users;   /* sessions of it; the sessions' to count */
    struct addr addr; /* as bound: what was asked, where the kernel does not say */
    struct op op;
    struct msghdr message; /* tells the kernel how much room addresses and control bytes take */
    struct udp_sender *sender;
    struct udp_table *table;       /* borrowed; no session of the door is left when it closes */
    struct udp_sessions *sessions; /* the owner's: who takes new users; NULL: nobody */
    struct task task;
};

/* closed, table and sessions are set by the owner before.  fd is bound; taken, on failure
 * too.  0 or -errno: nothing follows then. */
int udp_door_init(struct udp_door *door, struct worker *worker, int fd) MUST_CHECK;
void udp_door_open(struct udp_door *door);
void udp_door_drop(struct udp_door *door); /* in place of open */
void udp_door_close(struct udp_door *door);

#endif
