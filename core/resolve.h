/* core/resolve.h - host names to addresses, by c-ares, on the control thread.
 *
 * Owner of a request: who embeds it, until its mail has run.  Thread: resolve_ask may be called by
 * any worker; the answer comes as mail on that worker.  A request that was asked cannot be taken
 * back: its owner waits for the answer before it goes, at most as long as the resolver's own limit.
 * Numeric hosts are answered by mail too, without a query and with a ttl_s of UINT32_MAX. */
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
    uint32_t ttl_s; /* of the address that expires first; 0 from /etc/hosts */
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
