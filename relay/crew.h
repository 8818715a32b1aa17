/* relay/crew.h - what the relays of all workers of a process share: settings, the sockets bound for
 * them, limits that count over all, the ways from one to another.
 *
 * Owner: cli/process, the simulator.  Thread: made, asked for addresses and freed by the control
 * thread, before the first relay is made and after the last one is freed; each relay takes its own
 * part in between. */
#ifndef RELAY_CREW_H
#define RELAY_CREW_H

#include "relay/bindings.h"
#include "relay/listener.h"
#include "relay/relay.h"
#include "relay/server_pool.h"
#include "relay/tunnel_client.h"
#include "relay/tunnel_server.h"

struct crew {
    struct os *os;
    const struct settings *settings;
    uint32_t workers;
    struct worker *by_index[SETTINGS_WORKERS_MAX];
    struct listener_share *listeners; /* by settings->listeners */
    struct tunnel_share *tunnels;     /* by settings->tunnels */
    struct server_pool **pools;       /* by settings->backends */
    struct client_share client;       /* the [client]'s tunnels */
};

#endif
