/* relay/udp_source.h - how many UDP sessions each source address (IPv6: each /64) has.
 * Owner: udp_sessions, which embeds it.  Thread: the worker's.  An entry lives as long as its
 * sessions. */
#ifndef RELAY_UDP_SOURCE_H
#define RELAY_UDP_SOURCE_H

#include "core/addr.h"
#include "core/table.h"

struct udp_source;
struct udp_sources {
    struct table table;
    uint64_t hash_seed;
    uint32_t max; /* for each */
};

int udp_sources_init(struct udp_sources *sources, uint64_t hash_seed, uint32_t max) MUST_CHECK;
void udp_sources_release(struct udp_sources *sources);
/* One session more.  NULL: *full, or no memory. */
struct udp_source *udp_source_take(struct udp_sources *sources, const struct addr *addr,
                                   bool *full) MUST_CHECK;
void udp_source_give(struct udp_sources *sources, struct udp_source *source);

#endif
