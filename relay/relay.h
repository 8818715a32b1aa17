/* relay/relay.h - the face of the relays: a running configuration on one worker.
 *
 * relay_new makes pools, members, tunnels, clients and listeners from settings; relay_start opens
 * them; relay_drain takes no more users and lets the rest end; relay_stop ends all.
 * Owner: cli/run, the demo, the simulator.  Thread: the worker's; new, start and free may also be
 * called while the worker does not run. */
#ifndef RELAY_RELAY_H
#define RELAY_RELAY_H

#include <stddef.h>

#include "core/worker.h"
#include "relay/settings.h"
#include "relay/status.h"

struct relay;

/* On the worker's thread, once, when everything has ended after relay_drain or relay_stop. */
typedef void relay_ended_fn(void *context);

struct relay_options {
    struct worker *worker;
    const struct settings *settings; /* borrowed until relay_free */
    relay_ended_fn *ended;
    void (*registered)(void *context); /* may be NULL: a tunnel of a [client] was registered */
    void *context;
};
/* NULL: error holds a sentence that names what failed (a port taken, a file, a name). */
struct relay *relay_new(const struct relay_options *options, char *error,
                        size_t error_size) MUST_CHECK;
/* On failure what was opened stays so until relay_stop, and ended() follows that. */
int relay_start(struct relay *relay, char *error, size_t error_size) MUST_CHECK;
void relay_drain(struct relay *relay); /* for at most drain_timeout, then stops */
void relay_stop(struct relay *relay);
void relay_free(struct relay **relay); /* after ended(), or before relay_start */

/* Where a listener or tunnel is bound (port 0 has become a real one). 0 or -ENOENT. */
int relay_listener_addr(const struct relay *relay, const char *listener, struct addr *addr);
int relay_tunnel_addr(const struct relay *relay, const char *tunnel, struct addr *addr);

/* What it is doing now, added to `status` (status_release).  On the worker's thread.  0 or -ENOMEM.
 */
int relay_status(const struct relay *relay, struct status *status) MUST_CHECK;

#endif
