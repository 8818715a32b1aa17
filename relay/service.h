/* relay/service.h - what a tunnel client offers: its services, and the users' connections and UDP
 * sessions that servers open to them.
 *
 * Owner: the tunnel client embeds `struct services`.  Thread: the worker's.
 * Life: init -> connections and sessions come and go, each ending with its stream or its tunnel
 * -> release, once nothing is active and no name is being asked for. */
#ifndef RELAY_SERVICE_H
#define RELAY_SERVICE_H

#include "core/mem.h"
#include "core/resolve.h"
#include "core/stream.h"
#include "core/worker.h"
#include "relay/settings.h"
#include "relay/tunnel_datagram.h"
#include "relay/tunnel_wire.h"

struct services;
struct service {
    struct services *services;
    struct service_settings settings;
    struct list link; /* in those that are offered; in none once it is not any more */
    uint32_t users;   /* opens that have not come to an end; not offered: freed after the last */
    /* Where it is: from the settings, or as the name was last resolved. */
    struct addr addrs[RESOLVE_MAX];
    uint32_t addr_count;
    uint64_t stale_ns; /* when a name is asked for again */
    bool asked;
    struct resolve_request resolve;
    struct list waiting; /* for the name's first answer */
};

struct services {
    /* Set by init. */
    struct worker *worker;
    struct list offered; /* in the order of the file */
    uint32_t count;
    struct list next;                           /* of a reload: those that will be new */
    void (*quieter)(struct services *services); /* something ended; may be called from anywhere */
    /* Changes while running. */
    uint32_t active; /* connections and UDP sessions */
    struct mem_tide tide;
    uint32_t asked; /* names being asked for */
    bool draining;  /* takes nothing new */
};

int services_init(struct services *services, struct worker *worker, const struct settings *settings,
                  void (*quieter)(struct services *services)) MUST_CHECK; /* 0 or -ENOMEM */
void services_release(struct services *services);
/* Other settings, in two steps, the second of which cannot fail.  0 or -ENOMEM; then forget. */
int services_prepare(struct services *services, const struct settings *settings) MUST_CHECK;
void services_forget(struct services *services);
/* True: the offer is another. */
bool services_switch(struct services *services, const struct settings *settings);
void service_put(struct service *service);      /* an open of it has come to its end */
void services_start(struct services *services); /* asks for names ahead of the first user */
/* NULL: none of that name speaks the protocol. */
struct service *services_find(struct services *services, const char *name, enum protocol protocol);
/* WIRE_CODE_NONE: the flow may be served by *service; else why not. */
enum wire_code services_admit(struct services *services, const struct wire_flow *flow,
                              enum protocol protocol, struct service **service);
void services_ended(struct services *services); /* one of the active ones */

/* Told once when the name is answered, one way or the other; not when it has addresses already. */
struct service_wait {
    struct list link;
    void (*answered)(struct service_wait *wait);
};
/* True: there are addresses.  False: `wait` hears later, unless it is NULL. */
bool service_ready(struct service *service, struct service_wait *wait);

/* ---- service_tcp.c ---- */
/* A stream that a server opened (taken): reads its header, connects, answers, pumps. */
void service_accept(struct services *services, struct stream *stream);

/* ---- service_udp.c ---- */
/* A datagram, UDP_OPEN and UDP_CLOSE of a server; `sessions` are those of its tunnel. */
void service_datagram(struct services *services, struct tunnel_sessions *sessions,
                      const uint8_t *data, uint32_t length);
void service_session_open(struct services *services, struct tunnel_sessions *sessions, uint32_t id,
                          const struct wire_flow *flow);
void service_session_close(struct tunnel_sessions *sessions, uint32_t id, uint16_t code);
void service_sessions_expire(struct tunnel_sessions *sessions);
void service_sessions_lost(struct tunnel_sessions *sessions);

#endif
