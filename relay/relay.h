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
const struct settings *crew_settings(const struct crew *crew); /* in force */
/* Where a listener or tunnel is bound (port 0 has become a real one). 0 or -ENOENT. */
int crew_listener_addr(const struct crew *crew, const char *listener, struct addr *addr);
int crew_tunnel_addr(const struct crew *crew, const char *tunnel, struct addr *addr);

/* ---- other settings, while it runs ----
 * The control thread calls crew_prepare, and where that succeeds has each relay take the step
 * PREPARE; if all could, SWITCH, then crew_switched, SETTLE and crew_settled; else FORGET and
 * crew_forget.  No step begins before all relays have taken the one before.
 * What was removed leaves in its own time: while crew_is_left is true, at once and then now and
 * then the relays take the step SWEEP and then crew_sweep is called. A port that moves from one
 * listener to another goes over as it is, with who waits there. */
/* Binds what is new.  0: the settings are taken; or -errno and a sentence: nothing has changed. */
int crew_prepare(struct crew *crew, struct settings *settings, char *error,
                 size_t error_size) MUST_CHECK;
void crew_switched(struct crew *crew, uint64_t now_ns);
void crew_settled(struct crew *crew); /* the old settings are freed, unless leavers need them */
void crew_forget(struct crew *crew);  /* the new ones are */
bool crew_is_left(const struct crew *crew);
void crew_sweep(struct crew *crew, uint64_t now_ns);

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

enum relay_change { RELAY_PREPARE, RELAY_SWITCH, RELAY_SETTLE, RELAY_FORGET, RELAY_SWEEP };
/* Of a relay that runs and does not drain.  Only PREPARE may fail: then error holds a sentence. */
int relay_take(struct relay *relay, enum relay_change change, char *error,
               size_t error_size) MUST_CHECK;

/* What it is doing now, added to `status` (status_release).  On the worker's thread.  0 or -ENOMEM.
 */
int relay_status(const struct relay *relay, struct status *status) MUST_CHECK;

#endif
