/* core/traffic.h - bytes that went through a listener or a member, counted as they move.
 * Owner: who embeds it.  Thread: the worker's; others are told by its snapshots. */
#ifndef CORE_TRAFFIC_H
#define CORE_TRAFFIC_H

#include <stdint.h>

struct traffic {
    uint64_t in, out; /* from users, to users */
};

static inline void traffic_add(struct traffic *traffic, uint64_t in, uint64_t out)
{
    traffic->in += in;
    traffic->out += out;
}

#endif
