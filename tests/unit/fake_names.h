/* tests/unit/fake_names.h - a resolver for whom every name stands for the addresses that the test
 * says, with the port that was asked for where they have none.  Owner: the test. */
#ifndef TESTS_UNIT_FAKE_NAMES_H
#define TESTS_UNIT_FAKE_NAMES_H

#include "core/resolve.h"

struct fake_names {
    struct resolver resolver;
    struct addr addrs[4];
    uint32_t count;
};

static inline void fake_names_mailed(struct mail *mail)
{
    struct resolve_request *request = container_of(mail, struct resolve_request, mail);

    request->done(request);
}

static inline void fake_names_ask(struct resolver *resolver, struct resolve_request *request)
{
    const struct fake_names *names = container_of(resolver, struct fake_names, resolver);

    for (request->count = 0; request->count < names->count; request->count++) {
        struct addr *addr = &request->addrs[request->count];

        *addr = names->addrs[request->count];
        if (!addr_port(addr))
            addr_set_port(addr, request->port);
    }
    request->error = 0;
    request->ttl_s = 3600;
    request->mail.run = fake_names_mailed;
    worker_post(request->worker, &request->mail);
}

static inline void fake_names_init(struct fake_names *names)
{
    *names = (struct fake_names){.resolver.ask = fake_names_ask};
}

#endif
