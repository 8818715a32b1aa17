/* A whole tunnel: users and the server on a public network, clients behind NAT beside services. */
#include <stdio.h>
#include <string.h>

#include "quic/quic.h"
#include "tests/sim/kernel.h"
#include "tests/sim/papers.h"
#include "tests/sim/tunnel.h"

const struct door tunnel_doors[TUNNEL_DOORS] = {
    {SIM_OBEY,       80, false},
    {SIM_ECHO,       81, false},
    {SIM_SLOW,       82, false},
    {SIM_CLOSE,      83, false},
    {SIM_RESET,      84, false},
    {SIM_CUT,        85, false},
    {SIM_SILENT,     86, false},
    {SIM_BLACK_HOLE, 87, false},
    {SIM_OBEY,       88, true },
    {SIM_UDP_ECHO,   89, false},
};
enum { SERVICE_PORTS = 8000, TEXT_SIZE = 4096 };

/* ---- configurations ---- */
static void server_text(char text[TEXT_SIZE], uint32_t workers, bool narrow)
{
    const char *folder = papers();
    int at = snprintf(
        text, TEXT_SIZE,
        "[server]\nworkers = %u\ndrain_timeout = 5s\n[tls edge]\n"
        "cert = %s/server.crt\nkey = %s/server.key\nca = %s/ca.crt\n"
        "[tunnel pods]\nlisten = 10.0.0.1:8443\ntls = edge\nauth = mtls\n"
        "allow = pod-*.example\nopen_timeout = 2s\n%s",
        workers, folder, folder, folder,
        narrow ? "stream_window = 64k\nstream_window_max = 128k\nconnection_window_max = 256k\n"
               : "");

    for (uint32_t i = 0; i < TUNNEL_DOORS; i++)
        at += snprintf(text + at, TEXT_SIZE - (size_t)at,
                       "[listener l%u]\nbind = 10.0.0.1:%u\nbackend = pods\nservice = s%u\n%s", i,
                       tunnel_doors[i].port, i,
                       tunnel_doors[i].kind == SIM_UDP_ECHO ? "protocol = udp\nudp_timeout = 5s\n"
                                                            : "");
}

static void client_text(char text[TEXT_SIZE], uint32_t workers, uint32_t number)
{
    const char *folder = papers();
    int at = snprintf(text, TEXT_SIZE,
                      "[client]\nid = client-%u\nworkers = %u\ndrain_timeout = 5s\n"
                      "server = tunnel.example:8443 name=qmux-server\ntls = edge\n[tls edge]\n"
                      "cert = %s/pod-%u.crt\nkey = %s/pod-%u.key\nca = %s/ca.crt\n",
                      number, workers, folder, number, folder, number, folder);

    for (uint32_t i = 0; i < TUNNEL_DOORS; i++)
        at += snprintf(text + at, TEXT_SIZE - (size_t)at, "[service s%u]\ntarget = 10.0.2.1:%u\n",
                       i, (unsigned)(SERVICE_PORTS + tunnel_doors[i].port));
}

/* ---- the world ---- */
static struct sim_weather some_weather(struct sim *sim)
{
    static const uint32_t mtus[] = {1280, 1400, 1500, 1500, 9000};
    struct sim_weather weather = {.latency_ns = SIM_MS + sim_random(sim, 40 * SIM_MS),
                                  .mtu = mtus[sim_random(sim, ARRAY_COUNT(mtus))]};

    if (sim_random(sim, 2)) {
        weather.loss = (uint32_t)sim_random(sim, 40);
        weather.duplication = (uint32_t)sim_random(sim, 20);
        weather.reorder = (uint32_t)sim_random(sim, 50);
        weather.jitter_ns = sim_random(sim, 10 * SIM_MS);
    }
    return weather;
}

static void clients_build(struct tunnel *tunnel)
{
    static const char *const inner[] = {"10.0.3.1", "10.0.4.1"};
    static const char *const outer[] = {"192.0.2.1", "192.0.2.2"};
    static const char *const names[] = {"client-1", "client-2"};
    char text[TEXT_SIZE];

    for (uint32_t i = 0; i < tunnel->client_count; i++) {
        struct sim_host *host = sim_host(tunnel->sim, names[i], inner[i]);
        struct sim_weather weather = some_weather(tunnel->sim);

        tunnel->client_hosts[i] = host;
        if (!tunnel->sim->options.calm)
            sim_weather(host, tunnel->server_host, &weather);
        sim_nat(host, outer[i]);
        client_text(text, scenario_workers(tunnel->sim), i + 1);
        station_start(&tunnel->clients[i], tunnel->sim, host, text);
    }
}

bool tunnel_registered(void *context)
{
    struct tunnel *tunnel = context;

    for (uint32_t i = 0; i < tunnel->client_count; i++) {
        if (!tunnel->clients[i].registered)
            return false;
    }
    return true;
}

static void world_prepare(void)
{
    static bool ready;
    char error[256] = "";

    papers();
    if (!ready && quic_global_init(error, sizeof(error)) < 0) {
        fprintf(stderr, "%s\n", error);
        must(!"packet protection");
    }
    ready = true;
}

void tunnel_start_server(struct tunnel *tunnel)
{
    char text[TEXT_SIZE];

    server_text(text, scenario_workers(tunnel->sim), sim_random(tunnel->sim, 2));
    station_start(&tunnel->server, tunnel->sim, tunnel->server_host, text);
}

void tunnel_build(struct tunnel *tunnel, const struct sim_options *options, uint32_t client_count)
{
    struct sim *sim;

    world_prepare();
    sim = sim_open_with(options);
    *tunnel = (struct tunnel){.sim = sim, .visitors.sim = sim};
    tunnel->client_count =
        client_count ? client_count : 1 + (uint32_t)sim_random(sim, TUNNEL_CLIENTS);
    tunnel->server_host = sim_host(sim, "server", "10.0.0.1");
    tunnel->users = sim_host(sim, "users", "10.0.1.1");
    tunnel->services = sim_host(sim, "services", "10.0.2.1");
    sim_name(sim, "tunnel.example", "10.0.0.1");
    for (uint32_t i = 0; i < TUNNEL_DOORS; i++) {
        if (!tunnel_doors[i].absent)
            sim_service(tunnel->services, tunnel_doors[i].kind,
                        (uint16_t)(SERVICE_PORTS + tunnel_doors[i].port));
    }
    tunnel->visitors.rough = options->fail_op || options->fail_alloc;
    tunnel->visitors.loses_datagrams = true;
    tunnel_start_server(tunnel);
    clients_build(tunnel);
    if (!sim_run_until(sim, 20 * SIM_SECOND, tunnel_registered, tunnel) && !tunnel->visitors.rough)
        sim_fault(sim, "no tunnel after 20 s");
}

struct sim_verdict tunnel_end(struct tunnel *tunnel)
{
    bool server_first = sim_random(tunnel->sim, 2);

    visitors_await(&tunnel->visitors);
    if (server_first)
        station_stop(&tunnel->server);
    for (uint32_t i = 0; i < tunnel->client_count; i++)
        station_stop(&tunnel->clients[i]);
    if (!server_first)
        station_stop(&tunnel->server);
    return sim_close(&tunnel->sim);
}

/* ---- what happens meanwhile ---- */
static void rebind(struct sim *sim, void *context)
{
    sim_nat_rebind(context);
}

void tunnel_cut(struct tunnel *tunnel, uint32_t client, bool cut)
{
    sim_partition(tunnel->client_hosts[client], tunnel->server_host, cut);
    sim_partition(tunnel->server_host, tunnel->client_hosts[client], cut);
}

static void cut(struct sim *sim, void *context)
{
    tunnel_cut(context, 0, true);
}

static void mend(struct sim *sim, void *context)
{
    tunnel_cut(context, 0, false);
}

enum mishap { MISHAP_NONE, MISHAP_REBIND_QUIETLY, MISHAP_REBIND, MISHAP_CUT, MISHAPS };

/* An open that meets a rebinding waits in vain for a client that cannot be reached until it speaks
 * again, and a tunnel that is cut for long is given up: both are hard on users. */
static enum mishap mishap_plan(struct tunnel *tunnel)
{
    struct sim *sim = tunnel->sim;
    enum mishap mishap = (enum mishap)sim_random(sim, MISHAPS);
    uint64_t from = sim_random(sim, SIM_SECOND);

    tunnel->visitors.rough = mishap == MISHAP_REBIND || mishap == MISHAP_CUT;
    if (mishap == MISHAP_REBIND) {
        sim_at(sim, from, rebind, tunnel->client_hosts[0]);
    } else if (mishap == MISHAP_CUT) {
        sim_at(sim, from, cut, tunnel);
        sim_at(sim, from + sim_random(sim, 40 * SIM_SECOND), mend, tunnel);
    }
    return mishap;
}

struct sim_verdict scenario_tunnel(const struct sim_options *options)
{
    struct tunnel tunnel;
    enum mishap mishap;
    uint32_t count;

    tunnel_build(&tunnel, options, 0);
    mishap = mishap_plan(&tunnel);
    for (count = 1 + (uint32_t)sim_random(tunnel.sim, 8); count; count--) {
        visitors_send(&tunnel.visitors, tunnel.users, "10.0.0.1",
                      &tunnel_doors[sim_random(tunnel.sim, TUNNEL_DOORS)]);
        sim_run(tunnel.sim, sim_random(tunnel.sim, 100 * SIM_MS));
    }
    if (mishap == MISHAP_REBIND_QUIETLY) { /* every open has its answer: nobody may notice */
        sim_run(tunnel.sim, SIM_SECOND / 2);
        sim_nat_rebind(tunnel.client_hosts[0]);
    }
    return tunnel_end(&tunnel);
}

struct sim_verdict scenario_tunnel_session(const struct sim_options *options)
{
    struct tunnel tunnel;

    tunnel_build(&tunnel, options, 1);
    visitors_send(&tunnel.visitors, tunnel.users, "10.0.0.1", &tunnel_doors[0]);
    visitors_send(&tunnel.visitors, tunnel.users, "10.0.0.1", &tunnel_doors[9]);
    return tunnel_end(&tunnel);
}
