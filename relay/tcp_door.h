/* relay/tcp_door.h - one listening stream socket: accepts, and pauses when the system has no room.
 * A listener may have thousands, so a door is small.  Until closed(), those come whom the kernel
 * had accepted before. Owner: who embeds it.  Thread: the worker's.  Life: open -> close -> closed.
 */
#ifndef RELAY_TCP_DOOR_H
#define RELAY_TCP_DOOR_H

#include "core/addr.h"
#include "core/worker.h"

struct tcp_door;
typedef void tcp_door_accepted_fn(struct tcp_door *door, int fd); /* fd is taken */
typedef void tcp_door_closed_fn(struct tcp_door *door);

struct tcp_door {
    struct worker *worker;
    const char *name; /* the listener's, for the log */
    tcp_door_accepted_fn *accepted;
    tcp_door_closed_fn *closed; /* once, after close, never from inside it */
    void *context;
    int fd;
    bool passes_options; /* what it accepts has its socket's: so TCP, not unix */
    bool closing;
    uint64_t *complained_ns; /* the owner's, for all its doors: when a pause was last logged */
    struct op op;
    struct timer timer;
    struct task task;
};

/* Name, functions, context and complained_ns are set by the owner before.  fd listens; taken. */
void tcp_door_open(struct tcp_door *door, struct worker *worker, int fd);
void tcp_door_close(struct tcp_door *door);

#endif
