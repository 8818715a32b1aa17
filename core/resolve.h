/* core/resolve.h - host names to addresses, by c-ares, on the control thread.
 *
 * Owner of a request: who embeds it, until its mail has run.  Thread: resolve_ask may be called by any
 * worker; the answer comes as mail on that worker.  A request that was asked cannot be taken back:
 * its owner waits for the answer before it goes (it comes within the resolver's own limit, 10 s).
 * Numeric hosts are answered too, without a query. */
#ifndef CORE_RESOLVE_H
#define CORE_RESOLVE_H

#include <stdint.h>

#include "core/addr.h"
#include "core/worker.h"

enum { RESOLVE_MAX = 8 };

struct resolve_request;
typedef void resolve_done_fn(struct resolve_request *request);
struct resolve_request {
    /* Set by the owner. */
    char host[256];
    uint16_t port;
    struct worker *worker; /* who is told */
    resolve_done_fn *done; /* on that worker's thread */
    /* The answer. */
    int error; /* 0, or -ENOENT (no such name), -ETIMEDOUT, -EAGAIN (no name server), -ENOMEM */
    uint32_t count;
    struct addr addrs[RESOLVE_MAX];
    uint32_t ttl_s;
    /* Private to the resolver. */
    struct mail mail;
    struct resolve_request *next;
    struct resolver *resolver;
};

struct resolver {
    void (*ask)(struct resolver *resolver, struct resolve_request *request);
};
static inline void resolve_ask(struct resolver *resolver, struct resolve_request *request)
{
    resolver->ask(resolver, request);
}

/* The c-ares one.  The control thread polls its descriptors: */
struct ares_resolver;
struct pollfd;
struct resolver *resolver_open(int *error) MUST_CHECK;
void resolver_close(struct resolver **resolver); /* answers what is open with -EAGAIN */
/* Fills up to `room` pollfds (the first is the wake-up eventfd) and lowers *timeout_ms; returns how
 * many.  After poll(2), resolver_ready does the work.  Control thread only. */
uint32_t resolver_poll(struct resolver *resolver, struct pollfd *fds, uint32_t room, int *timeout_ms);
void resolver_ready(struct resolver *resolver, const struct pollfd *fds, uint32_t count);

#endif
