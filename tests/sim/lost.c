/* Machines that vanish without a word, as after a kill or a pulled plug: cut off first, then
 * stopped, so that nothing of their farewell is heard. */
#include "tests/sim/kernel.h"
#include "tests/sim/tunnel.h"

/* How soon a tunnel must be back: later where its handshake may be lost, too. */
static uint64_t back_within_ns(const struct tunnel *tunnel)
{
    for (uint32_t i = 0; i < tunnel->client_count; i++) {
        if (sim_link(tunnel->client_hosts[i], tunnel->server_host)->weather.loss)
            return 20 * SIM_SECOND;
    }
    return 3 * SIM_SECOND;
}

static void visitors_some(struct tunnel *tunnel, uint32_t count)
{
    while (count--) {
        visitors_send(&tunnel->visitors, tunnel->users, "10.0.0.1", &tunnel_doors[0]);
        sim_run(tunnel->sim, sim_random(tunnel->sim, 100 * SIM_MS));
    }
}

static void server_vanish(struct tunnel *tunnel)
{
    for (uint32_t i = 0; i < tunnel->client_count; i++) {
        tunnel_cut(tunnel, i, true);
        tunnel->clients[i].registered = false;
    }
    station_stop(&tunnel->server);
    sim_workers_release(tunnel->server_host);
    for (uint32_t i = 0; i < tunnel->client_count; i++)
        tunnel_cut(tunnel, i, false);
}

/* The server is killed under load and started again: the tunnel is back, and works. */
struct sim_verdict scenario_server_lost(const struct sim_options *options)
{
    bool faulty = options->fail_op || options->fail_alloc; /* a server may fail to start */
    struct tunnel tunnel;

    tunnel_build(&tunnel, options, 0);
    tunnel.visitors.rough = true; /* who is connected now loses that */
    visitors_some(&tunnel, 1 + (uint32_t)sim_random(tunnel.sim, 4));
    server_vanish(&tunnel);
    visitors_await(&tunnel.visitors);
    tunnel.visitors.rough = faulty;
    tunnel.visitors.count = 0;
    tunnel_start_server(&tunnel);
    if (!sim_run_until(tunnel.sim, back_within_ns(&tunnel), tunnel_registered, &tunnel) && !faulty)
        sim_fault(tunnel.sim, "the tunnel is not back in time after the server is");
    visitors_some(&tunnel, 3);
    return tunnel_end(&tunnel);
}

/* One of two clients vanishes: new users wait a little and are served by the other. */
struct sim_verdict scenario_client_lost(const struct sim_options *options)
{
    struct tunnel tunnel;

    tunnel_build(&tunnel, options, 2);
    tunnel_cut(&tunnel, 0, true);
    station_stop(&tunnel.clients[0]);
    visitors_some(&tunnel, 4);
    return tunnel_end(&tunnel);
}
