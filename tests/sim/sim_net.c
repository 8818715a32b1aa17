/* Hosts, addresses, and the paths between them. */
#include <stdio.h>
#include <string.h>

#include "tests/sim/kernel.h"

enum { EPHEMERAL_FIRST = 32768, EPHEMERAL_COUNT = 28000 };

struct sim_host *sim_host(struct sim *sim, const char *name, const char *address)
{
    struct sim_host *host = &sim->hosts[sim->host_count];

    must(sim->host_count < SIM_HOSTS);
    *host = (struct sim_host){.sim = sim, .name = name, .index = sim->host_count++};
    host->fd_limit = SIM_FDS;
    list_init(&host->bound);
    host->next_port = (uint16_t)sim_random(sim, EPHEMERAL_COUNT);
    sim_os_init(host);
    sim_host_address(host, address);
    for (uint32_t i = 0; i < SIM_HOSTS; i++) {
        struct sim_weather weather = sim->options.weather;

        if (!weather.latency_ns)
            weather.latency_ns = SIM_MS;
        if (!weather.mtu)
            weather.mtu = 1500;
        sim->links[host->index][i].weather = sim->links[i][host->index].weather = weather;
    }
    sim->links[host->index][host->index].weather =
        (struct sim_weather){.latency_ns = 20 * SIM_US, .jitter_ns = 20 * SIM_US, .mtu = 65536};
    return host;
}

void sim_host_address(struct sim_host *host, const char *address)
{
    must(host->addr_count < SIM_ADDRESSES);
    must(addr_from_host(&host->addrs[host->addr_count++], address, 0) == 0);
}

void sim_host_descriptors(struct sim_host *host, uint32_t limit)
{
    host->fd_limit = limit;
}

struct sim_link *sim_link(struct sim_host *from, struct sim_host *to)
{
    return &from->sim->links[from->index][to->index];
}

void sim_weather(struct sim_host *a, struct sim_host *b, const struct sim_weather *weather)
{
    sim_link(a, b)->weather = sim_link(b, a)->weather = *weather;
}

void sim_partition(struct sim_host *from, struct sim_host *to, bool cut)
{
    sim_trace(from->sim, "partition", from->index, to->index, cut);
    sim_link(from, to)->cut = cut;
}

uint64_t sim_delay(struct sim *sim, const struct sim_link *link)
{
    return link->weather.latency_ns + sim_random(sim, link->weather.jitter_ns);
}

bool sim_same_address(const struct addr *a, const struct addr *b)
{
    if (addr_family(a) != addr_family(b))
        return false;
    if (addr_family(a) == AF_INET)
        return a->in4.sin_addr.s_addr == b->in4.sin_addr.s_addr;
    return memcmp(&a->in6.sin6_addr, &b->in6.sin6_addr, sizeof(a->in6.sin6_addr)) == 0;
}

static bool is_loopback(const struct addr *addr)
{
    if (addr_family(addr) == AF_INET)
        return ntohl(addr->in4.sin_addr.s_addr) >> 24 == 127;
    return IN6_IS_ADDR_LOOPBACK(&addr->in6.sin6_addr);
}

bool sim_host_has(const struct sim_host *host, const struct addr *addr)
{
    for (uint32_t i = 0; i < host->addr_count; i++) {
        if (sim_same_address(&host->addrs[i], addr))
            return true;
    }
    return is_loopback(addr);
}

struct sim_host *sim_route(struct sim_host *from, const struct addr *to)
{
    struct sim *sim = from->sim;

    if (is_loopback(to) || addr_is_wildcard(to))
        return from;
    for (uint32_t i = 0; i < sim->host_count; i++) {
        struct sim_host *host = &sim->hosts[i];

        if (sim_host_has(host, to) || (host->outer.length && sim_same_address(&host->outer, to)))
            return host;
    }
    return NULL;
}

void sim_source(struct sim_host *host, const struct addr *to, struct addr *source)
{
    if (is_loopback(to) || addr_is_wildcard(to)) {
        must(addr_from_host(source, addr_family(to) == AF_INET ? "127.0.0.1" : "::1", 0) == 0);
        return;
    }
    for (uint32_t i = 0; i < host->addr_count; i++) {
        if (addr_family(&host->addrs[i]) == addr_family(to)) {
            *source = host->addrs[i];
            return;
        }
    }
    source->length = 0;
}

uint16_t sim_ephemeral(struct sim_host *host)
{
    host->next_port = (uint16_t)((host->next_port + 1) % EPHEMERAL_COUNT);
    return (uint16_t)(EPHEMERAL_FIRST + host->next_port);
}

void sim_nat(struct sim_host *host, const char *outer_address)
{
    must(addr_from_host(&host->outer, outer_address, 0) == 0);
    host->outer_shift = (uint16_t)sim_random(host->sim, 65536);
}

void sim_nat_rebind(struct sim_host *host)
{
    host->outer_shift = (uint16_t)(host->outer_shift + 1 + sim_random(host->sim, 65535));
    sim_trace(host->sim, "rebind", host->index, host->outer_shift, 0);
}
