/* bench/stage/stage.h - what each part of the way costs by itself.
 *
 * A stage runs for some seconds and prints one JSON object per line: {"stage": …, figures}.
 * Two ends stand on two threads with a worker and a core each; CPU is that of turns that had
 * something to do. */
#ifndef BENCH_STAGE_STAGE_H
#define BENCH_STAGE_STAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/tls.h"
#include "tests/unit/certs.h"
#include "tests/unit/real_worker.h"

struct stage_options {
    double seconds;    /* of each measurement, after a warm-up */
    int cores[2];      /* first end, second end */
    uint32_t packet;   /* UDP payload */
    uint64_t transfer; /* memory: bytes */
};

/* 0, or 1 with a sentence on standard error. */
int stage_aead(const struct stage_options *options);
int stage_udp(const struct stage_options *options);
int stage_tcp(const struct stage_options *options);
int stage_quic(const struct stage_options *options);
int stage_memory(const struct stage_options *options);

/* One of the two ends.  start and finish run on its thread; finish may turn the worker until all is
 * closed.  The second starts when the first has said where it is. */
struct end {
    int core;
    void (*start)(struct end *end);
    void (*finish)(struct end *end);
    void *own;
    struct addr *addr; /* shared by both */
    struct real_worker real;
    uint64_t bytes, packets, batches, busy_ns; /* so far */
    /* Of the measured window. */
    double cpu_s;
    uint64_t moved, moved_packets, moved_batches;
};
void ends_run(struct end *first, struct end *second, double seconds);
static inline struct end *end_of(struct worker *worker)
{
    return container_of(container_of(worker, struct real_worker, worker), struct end, real);
}

/* Certificates in a throw-away folder, and TLS contexts from them; once a process. */
struct stage_papers {
    struct tls_context *server, *client;
};
/* hooks may be NULL.  NULL: said why on standard error. */
const struct stage_papers *stage_papers(const struct tls_hooks *hooks);

#endif
