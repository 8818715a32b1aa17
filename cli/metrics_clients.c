/* Tunnel clients in metrics: one row per tunnel and identity however many connections it has, and
 * never more rows than METRICS_CLIENTS_MAX by name; the rest is summed up as "other". */
#include <stdlib.h>
#include <string.h>

#include "cli/metrics.h"
#include "cli/report.h"
#include "core/mem.h"

/* All of one identity in one tunnel. */
struct client_group {
    const char *name;
    uint32_t tunnel;
    uint64_t connections, streams, packets_lost, window, rtt_ns; /* the worst round trip */
    struct traffic traffic;
};

struct client_groups {
    struct client_group *items;
    uint32_t count;
};

static int client_compare(const void *a, const void *b)
{
    const struct status_client *const *left = a, *const *right = b;

    if ((*left)->tunnel != (*right)->tunnel)
        return (*left)->tunnel < (*right)->tunnel ? -1 : 1;
    return strcmp((*left)->identity, (*right)->identity);
}

static void group_add(struct client_group *group, const struct status_client *client)
{
    group->connections++;
    group->streams += client->streams;
    group->packets_lost += client->packets_lost;
    group->window += client->congestion_window;
    if (client->rtt_ns > group->rtt_ns)
        group->rtt_ns = client->rtt_ns;
    traffic_add(&group->traffic, client->traffic.in, client->traffic.out);
}

/* The group of a client, in the order of tunnels and names.  Past the bound each tunnel has one
 * group more. */
static struct client_group *groups_find(struct client_groups *groups,
                                        const struct status_client *client)
{
    struct client_group *last = groups->count ? &groups->items[groups->count - 1] : NULL;
    const char *name = client->identity;

    if (last && last->tunnel == client->tunnel && strcmp(last->name, name) == 0)
        return last;
    if (groups->count >= METRICS_CLIENTS_MAX)
        name = "other";
    if (last && last->tunnel == client->tunnel && strcmp(last->name, name) == 0)
        return last;
    groups->items[groups->count] = (struct client_group){.name = name, .tunnel = client->tunnel};
    return &groups->items[groups->count++];
}

/* False: no memory. */
static bool groups_make(struct client_groups *groups, const struct status *status)
{
    size_t count = status->client_count;
    const struct status_client **sorted = mem_raw((count + 1) * sizeof(*sorted));

    groups->items = mem_raw((count + 1) * sizeof(*groups->items));
    for (size_t i = 0; sorted && i < count; i++)
        sorted[i] = &status->clients[i];
    if (sorted && groups->items) {
        qsort(sorted, count, sizeof(*sorted), client_compare);
        for (size_t i = 0; i < count; i++)
            group_add(groups_find(groups, sorted[i]), sorted[i]);
    }
    mem_free(sorted);
    return sorted && groups->items;
}

static uint64_t group_connections(const struct client_group *group)
{
    return group->connections;
}
static uint64_t group_streams(const struct client_group *group)
{
    return group->streams;
}
static uint64_t group_packets_lost(const struct client_group *group)
{
    return group->packets_lost;
}
static uint64_t group_window(const struct client_group *group)
{
    return group->window;
}

static const struct {
    const char *name, *type, *help;
    uint64_t (*value)(const struct client_group *group);
} client_families[] = {
    {"client_connections",             "gauge", "QUIC connections of a tunnel client",       group_connections},
    {"client_streams",                 "gauge", "Streams open to a tunnel client",           group_streams    },
    {"client_packets_lost",            "gauge", "Packets lost by connections that are open",
     group_packets_lost                                                                                       },
    {"client_congestion_window_bytes", "gauge", "Bytes that may be on their way to it",
     group_window                                                                                             },
};

static void clients_bytes(struct writer *out, const struct status *status,
                          const struct client_groups *groups)
{
    metrics_family(out, "client_bytes", "gauge",
                   "Bytes in packets from (in) and to (out) a client's open connections");
    for (uint32_t i = 0; i < groups->count; i++)
        for (int d = 0; d < 2; d++) {
            const struct client_group *group = &groups->items[i];
            const struct metrics_label labels[] = {
                {"tunnel",     status->backends[group->tunnel].name},
                {"client",            group->name},
                {"direction",d ? "out" : "in"},
                {0 }
            };

            metrics_row(out, "client_bytes", labels, d ? group->traffic.out : group->traffic.in);
        }
}

static void clients_families(struct writer *out, const struct status *status,
                             const struct client_groups *groups)
{
    for (size_t f = 0; f <= ARRAY_COUNT(client_families); f++) {
        bool rtt = f == ARRAY_COUNT(client_families);
        const char *name = rtt ? "client_round_trip_seconds" : client_families[f].name;

        metrics_family(out, name, "gauge",
                       rtt ? "Round trip to a tunnel client" : client_families[f].help);
        for (uint32_t i = 0; i < groups->count; i++) {
            const struct metrics_label labels[] = {
                {"tunnel",               status->backends[groups->items[i].tunnel].name},
                {"client",                      groups->items[i].name},
                {0}
            };

            if (rtt)
                metrics_row_seconds(out, name, labels, groups->items[i].rtt_ns);
            else
                metrics_row(out, name, labels, client_families[f].value(&groups->items[i]));
        }
    }
}

static void tunnels_clients(struct writer *out, const struct status *status)
{
    metrics_family(out, "tunnel_clients", "gauge", "Connections of registered tunnel clients");
    for (uint32_t b = 0; b < status->backend_count; b++) {
        const struct metrics_label labels[] = {
            {"tunnel", status->backends[b].name},
            {0       }
        };
        uint64_t count = 0;

        for (uint32_t i = 0; i < status->client_count; i++)
            count += status->clients[i].tunnel == b;
        if (status->backends[b].tunnel)
            metrics_row(out, "tunnel_clients", labels, count);
    }
}

static void links_registered(struct writer *out, const struct status *status)
{
    const struct metrics_label none[] = {{0}};
    uint64_t registered = 0;

    for (uint32_t i = 0; i < status->server_count; i++)
        registered += status->servers[i].registered;
    metrics_family(out, "servers", "gauge", "Servers that our client keeps a tunnel to");
    metrics_row(out, "servers", none, status->server_count);
    metrics_family(out, "servers_registered", "gauge", "Of them, those with a registered tunnel");
    metrics_row(out, "servers_registered", none, registered);
}

void metrics_clients(struct writer *out, const struct status *status)
{
    struct client_groups groups = {0};

    tunnels_clients(out, status);
    links_registered(out, status);
    if (groups_make(&groups, status)) {
        clients_families(out, status, &groups);
        clients_bytes(out, status, &groups);
    } else {
        out->failed = true;
    }
    mem_free(groups.items);
}
