/* tests/unit/router.h - stands between a client and a server of UDP, and may rewrite ports and lose
 * packets.  Owner: the test, which gives it its turns. */
#ifndef TESTS_UNIT_ROUTER_H
#define TESTS_UNIT_ROUTER_H

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/addr.h"
#include "core/must.h"
#include "core/os.h"
#include "tests/unit/real_worker.h"

struct router {
    int inside, outside; /* towards the client, towards the server */
    struct addr addr, client, server;
    uint32_t most; /* larger datagrams are lost; 0: none */
    uint32_t lose; /* each so many-th datagram is lost; 0: none */
    uint64_t passed, lost;
};

static inline int router_socket(void)
{
    struct addr any = loopback_addr();
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), room = 16 << 20;

    (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room));
    must(fd >= 0 && bind(fd, &any.sa, any.length) == 0);
    return fd;
}

static inline void router_open(struct router *router, const struct addr *server)
{
    *router =
        (struct router){.inside = router_socket(), .outside = router_socket(), .server = *server};
    must(os_linux.local_addr(&os_linux, router->inside, &router->addr) == 0);
}

static inline void router_close(struct router *router)
{
    close(router->inside);
    close(router->outside);
}

/* As a NAT that forgot: the server sees another port. */
static inline void router_rebind(struct router *router)
{
    close(router->outside);
    router->outside = router_socket();
}

static inline void router_pass(struct router *router, int from, int to, struct addr *source,
                               const struct addr *target)
{
    uint8_t data[65536];
    struct addr peer = {.length = sizeof(struct sockaddr_storage)};
    ssize_t length;

    while ((length = recvfrom(from, data, sizeof(data), 0, &peer.sa, &peer.length)) >= 0) {
        *source = peer;
        router->passed++;
        if ((router->most && length > router->most) ||
            (router->lose && router->passed % router->lose == 0))
            router->lost++;
        else
            (void)!sendto(to, data, (size_t)length, 0, &target->sa, target->length);
    }
}

static inline void router_turn(struct router *router)
{
    struct addr ignored;

    router_pass(router, router->inside, router->outside, &router->client, &router->server);
    router_pass(router, router->outside, router->inside, &ignored, &router->client);
}

#endif
