/* bench/load/load.h - load that iperf3 and wrk cannot give: a fixed rate of requests whose latency
 * counts from when each was due (so that a stall is not forgotten), echoes, discards.
 *
 * One process, one worker.  Each mode prints one JSON object at its end. */
#ifndef BENCH_LOAD_LOAD_H
#define BENCH_LOAD_LOAD_H

#include <stdbool.h>
#include <stdint.h>

#include "core/addr.h"
#include "core/worker.h"

struct load_options {
    struct addr addr; /* port only, for services */
    uint32_t connections;
    double rate; /* requests per second of all connections together; 0: as fast as answers come */
    double seconds;
    uint32_t bytes;
    bool http, udp;
    bool anew; /* a connection for each request; the service closes it (HTTP) */
};

/* A worker that ends on SIGTERM or SIGINT. */
struct load_worker {
    struct worker worker;
    struct counters counters;
};
bool load_open(struct load_worker *load);
bool load_signalled(void);
void load_turn(struct load_worker *load, uint64_t deadline_ns);

int load_echo(const struct load_options *options);
int load_discard(const struct load_options *options);
int load_requests(const struct load_options *options);
int load_flood(const struct load_options *options);

#endif
