/* What the two ends of a tunnel say of themselves. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "relay/status.h"
#include "relay/tunnel_link.h"
#include "relay/tunnel_peer.h"

static int peer_status(const struct tunnel_peer *peer, uint32_t tunnel, struct status *status)
{
    struct status_client *client = status_add_client(status);
    struct quic_stats stats;

    if (!client)
        return -ENOMEM;
    snprintf(client->identity, sizeof(client->identity), "%s", peer->name);
    snprintf(client->label, sizeof(client->label), "%s", peer->member->label);
    client->tunnel = tunnel;
    client->state = peer->member->member.state;
    client->version = peer->version;
    quic_peer_addr(peer->quic, &client->addr);
    quic_stats(peer->quic, &stats);
    client->streams = stats.streams;
    client->rtt_ns = stats.smoothed_rtt_ns;
    client->packets_lost = stats.packets_lost;
    client->congestion_window = stats.congestion_window;
    client->traffic = (struct traffic){.in = stats.bytes_in, .out = stats.bytes_out};
    return 0;
}

int tunnel_server_status(const struct tunnel_server *server, uint32_t tunnel, struct status *status)
{
    int rc = 0;

    for (struct list *at = server->peers.next; !rc && at != &server->peers; at = at->next) {
        const struct tunnel_peer *peer = container_of(at, struct tunnel_peer, link);

        if (peer->member)
            rc = peer_status(peer, tunnel, status);
    }
    return rc;
}

static int link_status(const struct tunnel_link *link, struct status *status)
{
    struct status_server *server = status_add_server(status);
    struct quic_stats stats;

    if (!server)
        return -ENOMEM;
    snprintf(server->name, sizeof(server->name), "%s", link->server->server_name);
    server->registered = link->quic && link->registered;
    server->state = server->registered             ? "registered"
                    : tunnel_link_is_stopped(link) ? "stopped"
                                                   : "connecting";
    server->addr = link->server->host.addr;
    if (!link->quic)
        return 0;
    quic_peer_addr(link->quic, &server->addr);
    quic_stats(link->quic, &stats);
    server->streams = stats.streams;
    server->rtt_ns = stats.smoothed_rtt_ns;
    server->packets_lost = stats.packets_lost;
    server->congestion_window = stats.congestion_window;
    server->traffic = (struct traffic){.in = stats.bytes_in, .out = stats.bytes_out};
    return 0;
}

int tunnel_client_status(const struct tunnel_client *client, struct status *status)
{
    int rc = 0;

    for (struct list *at = client->links.next; !rc && at != &client->links; at = at->next)
        if (!tunnel_link_rests(container_of(at, struct tunnel_link, link)))
            rc = link_status(container_of(at, struct tunnel_link, link), status);
    status->services_active += tunnel_client_active(client);
    return rc;
}
