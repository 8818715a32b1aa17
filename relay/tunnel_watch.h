/* relay/tunnel_watch.h - notices a peer that has fallen silent, long before QUIC's idle timeout.
 *
 * Whoever sends something that must be answered says so (expect).  No packet for max(patience,
 * 3 PTO) makes the peer suspect, and it is pinged; still none for 2 s makes it dead.
 * Owner: who embeds it.  Thread: the worker's.
 * Life: start -> events -> stop; a stopped watch may be started again. */
#ifndef RELAY_TUNNEL_WATCH_H
#define RELAY_TUNNEL_WATCH_H

#include <stdint.h>

#include "core/worker.h"
#include "quic/quic.h"

struct tunnel_watch;
struct tunnel_watch_events {
    void (*suspected)(struct tunnel_watch *watch);
    void (*recovered)(struct tunnel_watch *watch);
    void (*died)(struct tunnel_watch *watch); /* the watch has stopped */
};

struct tunnel_watch {
    /* Set by start. */
    struct worker *worker;
    struct quic_connection *quic; /* borrowed until stop; NULL: stopped */
    const struct tunnel_watch_events *events;
    uint64_t patience_ns;
    /* Changes while running. */
    struct timer timer;
    uint64_t asked_ns;   /* since when a packet is waited for */
    uint64_t suspect_ns; /* since when it is suspect */
    uint8_t state;
};

void tunnel_watch_start(struct tunnel_watch *watch, struct worker *worker,
                        struct quic_connection *quic, uint64_t patience_ns,
                        const struct tunnel_watch_events *events);
void tunnel_watch_expect(struct tunnel_watch *watch);  /* a packet should come, from now on */
void tunnel_watch_suspect(struct tunnel_watch *watch); /* the caller has waited long enough */
void tunnel_watch_stop(struct tunnel_watch *watch);
/* How long an answer over this connection may take: max(patience, 3 PTO). */
uint64_t tunnel_watch_patience(const struct tunnel_watch *watch);

#endif
