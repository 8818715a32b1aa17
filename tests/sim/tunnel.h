/* tests/sim/tunnel.h - the world of the tunnel scenarios: users and the server on a public network,
 * up to two clients behind NAT, services beside them.  Owner: the scenario; gone with tunnel_end.
 */
#ifndef TESTS_SIM_TUNNEL_H
#define TESTS_SIM_TUNNEL_H

#include "tests/sim/scenario.h"

enum { TUNNEL_CLIENTS = 2, TUNNEL_DOORS = 10 };

struct tunnel {
    struct sim *sim;
    struct sim_host *users, *server_host, *services, *client_hosts[TUNNEL_CLIENTS];
    struct station server, clients[TUNNEL_CLIENTS];
    uint32_t client_count;
    struct visitors visitors;
};
extern const struct door tunnel_doors[TUNNEL_DOORS]; /* the first one obeys */

/* client_count 0: any number.  Returns once all clients are registered. */
void tunnel_build(struct tunnel *tunnel, const struct sim_options *options, uint32_t client_count);
struct sim_verdict tunnel_end(struct tunnel *tunnel);
void tunnel_start_server(struct tunnel *tunnel);
bool tunnel_registered(void *tunnel); /* a sim_until_fn: all clients are */
void tunnel_cut(struct tunnel *tunnel, uint32_t client, bool cut); /* from the server, both ways */

#endif
