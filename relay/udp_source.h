/* relay/udp_source.h - how many UDP sessions a listener has on all its workers, in all and from
 * each source address (IPv6: each /64): counted exactly, when one begins and when it ends. Owner:
 * the listener's share.  Thread: any.  A source lives as long as its sessions. */
#ifndef RELAY_UDP_SOURCE_H
#define RELAY_UDP_SOURCE_H

#include "core/addr.h"
#include "core/counter.h"
#include "core/reason.h"

struct udp_sources;
struct udp_source;
struct udp_limits {
    uint32_t sessions, per_source;
};

/* NULL: no memory.  `seed` keeps strangers from choosing their place. */
struct udp_sources *udp_sources_new(uint64_t seed) MUST_CHECK;
void udp_sources_free(struct udp_sources **sources); /* all were given back */
/* One session more.  NULL: *reason says why, and a limit that was reached is counted. */
struct udp_source *udp_source_take(struct udp_sources *sources, const struct addr *addr,
                                   const struct udp_limits *limits, struct counters *counters,
                                   enum reason *reason) MUST_CHECK;
void udp_source_give(struct udp_sources *sources, struct udp_source *source);

#endif
