/* relay/bindings.h - the sockets of one [listener], bound before any worker listens.
 *
 * A shared port has a socket per worker and the kernel deals users out; a port of a long run, a
 * path, or a socket that a service manager handed us listening, has one socket on one worker, which
 * deals accepted connections out. Owner: the listeners' share.  Thread: the control thread's at
 * start, reload and end; a worker takes its own sockets in between. */
#ifndef RELAY_BINDINGS_H
#define RELAY_BINDINGS_H

#include <stddef.h>

#include "core/os.h"
#include "relay/settings.h"

struct bindings {
    struct os *os;
    const struct listener_settings *settings; /* borrowed until close */
    uint32_t workers, ports;
    int *tcp, *udp;    /* by port and worker, -1: none; NULL without that protocol */
    bool *dealt;       /* by port: TCP has one socket there, whose worker deals users out */
    struct addr first; /* as bound; length 0: it is not among them */
};

/* Sockets that we have already, and that are left out: a listener keeps them, or takes them over.
 */
struct bindings_held {
    bool (*holds)(const void *context, enum protocol protocol, const struct addr *addr);
    const void *context;
};
/* 0 or -errno, and a sentence; then nothing stays open. */
int bindings_open(struct bindings *bindings, struct os *os,
                  const struct listener_settings *settings, const struct bindings_held *held,
                  uint32_t workers, char *error, size_t error_size) MUST_CHECK;
/* The caller's from now on; -1: that worker has none there. */
int bindings_take_tcp(struct bindings *bindings, uint32_t port, uint32_t worker);
int bindings_take_udp(struct bindings *bindings, uint32_t port, uint32_t worker);
void bindings_close(struct bindings *bindings); /* those that nobody took */

#endif
