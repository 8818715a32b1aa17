/* core/resolve.h - host names to addresses, service names to hosts, by c-ares, on the control
 * thread.
 *
 * Owner of a request: who embeds it, until its mail has run.  Thread: resolve_ask may be called by
 * any worker; the answer comes as mail on that worker.  A request that was asked cannot be taken
 * back: its owner waits for the answer before it goes, at most as long as the resolver's own limit,
 * and hardly at all once it has given up.
 * Numeric hosts are answered by mail too, without a query and with a ttl_s of UINT32_MAX. */
#ifndef CORE_RESOLVE_H
#define CORE_RESOLVE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/addr.h"
#include "core/worker.h"

enum { RESOLVE_MAX = 8 };

/* One host that serves a name. */
struct srv_record {
    char host[256]; /* in small letters, without the last dot */
    uint16_t port, priority, weight;
};

struct resolve_request;
typedef void resolve_done_fn(struct resolve_request *request);
struct resolve_request {
    /* Set by the owner. */
    char host[256];
    uint16_t port;
    bool srv;              /* its SRV records are asked for, not its addresses */
    struct worker *worker; /* who is told */
    resolve_done_fn *done; /* on that worker's thread */
    /* The answer. */
    int error; /* 0, or -ENOENT (no such name), -ETIMEDOUT, -EAGAIN (no name server), -ENOMEM */
    uint32_t count;
    struct addr addrs[RESOLVE_MAX];
    struct srv_record *records; /* `count` of them, at least one; the owner's to mem_free */
    uint32_t ttl_s;             /* of what expires first; 0 from /etc/hosts */
    /* Private to the resolver. */
    struct mail mail;
    struct resolve_request *next;
    struct resolver *resolver;
    _Atomic bool given_up;
};

struct resolver {
    void (*ask)(struct resolver *resolver, struct resolve_request *request);
    void (*hurry)(struct resolver *resolver); /* some request was given up */
};
static inline void resolve_ask(struct resolver *resolver, struct resolve_request *request)
{
    request->resolver = resolver;
    request->count = 0;
    request->records = NULL;
    request->ttl_s = 0;
    atomic_store(&request->given_up, false);
    resolver->ask(resolver, request);
}
/* On the asking worker, before the answer: whatever it would be, it comes now. */
static inline void resolve_give_up(struct resolve_request *request)
{
    atomic_store(&request->given_up, true);
    request->resolver->hurry(request->resolver);
}

/* The c-ares one.  Names in /etc/hosts are known; resolv.conf, its search list included, is read
 * when the resolver is opened, and again, in the background, when it has changed. */
struct resolver_options {
    const char *resolv_conf; /* NULL: /etc/resolv.conf; borrowed, like the next, until the close */
    const char *hosts_file;  /* NULL: /etc/hosts */
    uint32_t try_ms;         /* how long the first server has; 0: 2 s */
    uint32_t limit_ms;       /* for one request altogether; 0: 10 s */
};
struct resolver *resolver_open(int *error) MUST_CHECK; /* NULL: *error is -errno */
struct resolver *resolver_open_with(const struct resolver_options *options, int *error) MUST_CHECK;
/* Answers what is open with -EAGAIN, by mail; nobody asks any more. */
void resolver_close(struct resolver **resolver);

/* The control thread polls for it: fills up to `room` (RESOLVER_FDS suffice) pollfds, of which the
 * first is the wake-up eventfd, lowers *timeout_ms (-1: for ever), returns how many.  After
 * poll(2), whatever it returned, resolver_ready does the work. */
enum { RESOLVER_FDS = 32 };
struct pollfd;
uint32_t resolver_poll(struct resolver *resolver, struct pollfd *fds, uint32_t room,
                       int *timeout_ms);
void resolver_ready(struct resolver *resolver, const struct pollfd *fds, uint32_t count);

#endif
