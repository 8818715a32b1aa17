/* quic/limit.h - how often something may happen: token buckets.  Internal to quic.
 * Owner: who embeds them.  Thread: its worker's. */
#ifndef QUIC_LIMIT_H
#define QUIC_LIMIT_H

#include <stdbool.h>
#include <stdint.h>

#include "core/addr.h"

struct bucket {
    uint64_t filled_ns; /* when `tokens` was right */
    uint32_t tokens;
};
/* Takes one token of a bucket that gains `rate` a second and holds `burst`: false when empty. */
bool bucket_take(struct bucket *bucket, uint32_t rate, uint32_t burst, uint64_t now_ns);

/* One bucket per source prefix (IPv4 /24, IPv6 /56), in a table of fixed size: prefixes that meet
 * in a slot share it. */
enum { LIMIT_PREFIXES = 1024 };
struct prefix_limit {
    struct bucket buckets[LIMIT_PREFIXES];
    uint64_t seed;
};
bool prefix_limit_take(struct prefix_limit *limit, const struct addr *source, uint32_t rate,
                       uint32_t burst, uint64_t now_ns);

#endif
