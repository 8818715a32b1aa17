/* relay/rate_table.h - how often each source address may come: a token bucket per address (IPv6:
 * per /64), in a table of fixed size.
 *
 * Where the table is full of sources that still owe time, the one that owes least is forgotten, so
 * that strangers cost no memory and, at worst, are let in too often.
 * Owner: a listener, on all workers at once.  Thread: any; workers that meet at one place may each
 * let one too many in. */
#ifndef RELAY_RATE_TABLE_H
#define RELAY_RATE_TABLE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/addr.h"
#include "core/option.h"

struct rate_table;
/* NULL: no memory.  `seed` keeps strangers from choosing their place. */
struct rate_table *rate_table_new(const struct rate *rate, uint64_t seed) MUST_CHECK;
void rate_table_free(struct rate_table **table);
/* Whether that source may come once more now; counts it then. */
bool rate_table_take(struct rate_table *table, const struct addr *source,
                     uint64_t now_ns) MUST_CHECK;

/* The address that limits count by: without its port, the /64 of an IPv6 one, and an IPv4 one that
 * a proxy wrote as IPv6 as what it is. */
struct addr rate_source(const struct addr *source);

#endif
