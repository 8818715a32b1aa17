/* Claims about reloads of a tunnel's two ends for which there is no memory. */
#include <stdio.h>

#include "core/mem.h"
#include "tests/sim/kernel.h"
#include "tests/sim/papers.h"
#include "tests/sim/tunnel.h"
#include "tests/unit/test.h"

enum { TEXT_SIZE = 2048, SWEEPS = 60, TWO_WORKERS = 1 /* a seed whose hosts have so many */ };

#define SERVER                                                                                     \
    "[server]\nworkers = 2\ndrain_timeout = 2s\n"                                                  \
    "[tunnel pods]\nlisten = 10.0.0.1:8443\ntls = edge\nauth = mtls\nallow = pod-*.example\n"      \
    "[listener l0]\nbind = 10.0.0.1:80\nbackend = pods\nservice = s0\n"
#define CLIENT                                                                                     \
    "[client]\nid = client-1\nworkers = 2\ndrain_timeout = 2s\ntls = edge\n"                       \
    "server = tunnel.example:8443 name=qmux-server\n"

/* One end's sections, less and more. */
struct end {
    const char *who, *less, *more;
};
static const struct end server = {"server", SERVER,
                                  SERVER
                                  "[tunnel more]\nlisten = 10.0.0.1:8444\ntls = edge\nauth = mtls\n"
                                  "allow = pod-*.example\n"
                                  "[listener l1]\nbind = 10.0.0.1:81\nbackend = pods\n"
                                  "[listener l2]\nbind = 10.0.0.1:180\nbackend = more\n"};
static const struct end client = {
    "pod-1", CLIENT "[service s0]\ntarget = 10.0.2.1:8080\n",
    CLIENT "server = 10.0.0.1:9443 name=qmux-server\n"
           "[service s0]\ntarget = 10.0.2.1:8080\n[service s1]\ntarget = 10.0.2.1:8081\n"};

static int change(struct station *station, const struct end *end, const char *sections)
{
    const char *folder = papers();
    char text[TEXT_SIZE], error[512];

    snprintf(text, sizeof(text),
             "%s[tls edge]\ncert = %s/%s.crt\nkey = %s/%s.key\nca = %s/ca.crt\n", sections, folder,
             end->who, folder, end->who, folder);
    return station_change(station, text, error, sizeof(error));
}

static void change_to_less(struct station *station, const struct end *end)
{
    check(change(station, end, end->less) == 0);
    for (int i = 0; i < SWEEPS && (!i || crew_is_left(station->crew)); i++) {
        station_sweep(station);
        sim_run(station->sim, SIM_SECOND / 4); /* an offer takes a while to arrive, too */
    }
    check(!crew_is_left(station->crew));
}

/* Returns how many were refused. */
static uint32_t refuse_each(struct station *station, const struct end *end)
{
    uint32_t refused = 0;
    bool met = true;

    change_to_less(station, end);
    for (uint64_t n = 1; met; n++) {
        const struct settings *settings = crew_settings(station->crew);
        uint32_t fds = station->host->fds;
        int rc;

        mem_fail_at(n);
        rc = change(station, end, end->more);
        met = mem_failed();
        mem_fail_at(0);
        refused += rc != 0;
        if (rc && (crew_settings(station->crew) != settings || station->host->fds != fds))
            sim_fault(station->sim, "allocation %llu: refused, and not without a trace",
                      (unsigned long long)n);
        if (!rc && met)
            change_to_less(station, end);
    }
    return refused;
}

static void users_come(struct tunnel *tunnel)
{
    for (int i = 0; i < 8; i++)
        visitors_send(&tunnel->visitors, tunnel->users, "10.0.0.1", &tunnel_doors[0]);
    visitors_await(&tunnel->visitors);
    tunnel->visitors.count = 0;
}

static void tunnel_open(struct tunnel *tunnel)
{
    tunnel_build(tunnel, &(struct sim_options){.seed = TWO_WORKERS, .calm = true}, 1);
    sim_run(tunnel->sim, 2 * SIM_SECOND);
}

TEST(a_server_without_memory_for_other_settings_keeps_its_tunnels_and_users)
{
    struct tunnel tunnel;

    tunnel_open(&tunnel);
    check(refuse_each(&tunnel.server, &server) > 100);
    users_come(&tunnel);
    check(tunnel_end(&tunnel).faults == 0);
}

TEST(a_client_without_memory_for_other_settings_keeps_its_tunnels_and_users)
{
    struct tunnel tunnel;

    tunnel_open(&tunnel);
    check(refuse_each(&tunnel.clients[0], &client) > 50);
    users_come(&tunnel);
    check(tunnel_end(&tunnel).faults == 0);
}
