/* relay/relay.h - the face of the relays: a running configuration, on each of a process's workers.
 *
 * crew_new binds every socket for all workers; with a relay on each worker the configuration runs.
 * relay_new makes pools, members, tunnels, clients and listeners from settings; relay_start opens
 * them; relay_drain takes no more users and lets the rest end; relay_stop ends all.
 * Owner: cli/relay_thread, the simulator.  Thread: the worker's; new, start and free may also be
 * called while the worker does not run. */
#ifndef RELAY_RELAY_H
#define RELAY_RELAY_H

#include <stddef.h>

#include "core/worker.h"
#include "relay/settings.h"
#include "relay/status.h"

struct relay;
struct crew;

/* What the relays of all workers share (crew.h).  NULL: *failed is -errno, and error holds
 * a sentence that names what failed (a port taken).  settings: borrowed until crew_free, like the
 * workers, which need not be made yet. */
struct crew *crew_new(struct os *os, const struct settings *settings, struct worker *const *workers,
                      uint32_t count, int *failed, char *error, size_t error_size) MUST_CHECK;
void crew_free(struct crew **crew); /* no relay of it is left, and none of its workers runs */
/* Where a listener or tunnel is bound (port 0 has become a real one). 0 or -ENOENT. */
int crew_listener_addr(const struct crew *crew, const char *listener, struct addr *addr);
int crew_tunnel_addr(const struct crew *crew, const char *tunnel, struct addr *addr);

/* On the worker's thread, once, when everything has ended after relay_drain or relay_stop. */
typedef void relay_ended_fn(void *context);

struct relay_options {
    struct worker *worker; /* its index is below the crew's number of workers */
    struct crew *crew;     /* borrowed until relay_free */
    relay_ended_fn *ended;
    /* Once, when nothing is left to wait for after relay_drain; relay_stop is the caller's then, on
     * all workers.  May be NULL: it stops by itself. */
    void (*drained)(void *context);
    void (*registered)(void *context); /* may be NULL: a tunnel of a [client] was registered */
    void *context;
};
/* All relays of a crew are made before the first one starts. */
/* NULL: error holds a sentence that names what failed (a file, a name). */
struct relay *relay_new(const struct relay_options *options, char *error,
                        size_t error_size) MUST_CHECK;
/* On failure what was opened stays so until relay_stop, and ended() follows that. */
int relay_start(struct relay *relay, char *error, size_t error_size) MUST_CHECK;
void relay_drain(struct relay *relay); /* for at most drain_timeout, then stops */
void relay_stop(struct relay *relay);
/* After ended() and when no other relay of the crew runs any more, or before relay_start. */
void relay_free(struct relay **relay);

/* What it is doing now, added to `status` (status_release).  On the worker's thread.  0 or -ENOMEM.
 */
int relay_status(const struct relay *relay, struct status *status) MUST_CHECK;

#endif
