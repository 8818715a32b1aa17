/* A relay takes other settings: it makes ready what they need, then switches within one turn. */
#include <string.h>

#include "core/mem.h"
#include "relay/relay_parts.h"

static void relay_complain(const struct relay *relay, const char *error)
{
    LOG(relay->options.worker->log, LOG_ERROR, "a part of the new settings failed",
        LOG_TEXT("error", error));
}

static void relay_switch_servers(struct relay *relay)
{
    const struct edition *edition = relay->now.edition;

    if (!relay_owns_servers(relay))
        return;
    for (uint32_t i = 0; i < edition->settings->backend_count; i++)
        if (server_pool_is_started(edition->pools[i]))
            server_pool_switch(edition->pools[i]);
        else
            server_pool_start(edition->pools[i]);
}

static void relay_switch_tunnels(struct relay *relay)
{
    const struct edition *edition = relay->now.edition;
    char error[512];

    for (uint32_t i = 0; i < edition->settings->tunnel_count; i++)
        if (!edition->tunnels[i]->fresh)
            tunnel_server_switch(relay->now.tunnels[i], &edition->settings->tunnels[i]);
        else if (tunnel_server_start(relay->now.tunnels[i], error, sizeof(error)))
            relay_complain(relay, error);
}

static void relay_switch_client(struct relay *relay)
{
    const struct edition *edition = relay->now.edition;

    if (!edition->client)
        return;
    if (edition->client->fresh)
        tunnel_client_start(relay->now.client);
    else
        tunnel_client_switch(relay->now.client);
}

static struct listener *relay_next_at(const void *context, enum protocol protocol,
                                      const struct addr *addr)
{
    const struct relay_parts *next = context;
    int32_t at = edition_listener_at(next->edition, protocol, addr);

    return at < 0 ? NULL : next->listeners[at];
}

/* Before anything closes. */
static void relay_move_ports(struct relay *relay)
{
    const struct listener_heirs heirs = {relay_next_at, &relay->next};

    for (uint32_t i = 0; i < relay->now.edition->settings->listener_count; i++)
        listener_give(relay->now.listeners[i], &heirs);
    for (struct list *at = relay->leavers.next; at != &relay->leavers; at = at->next) {
        struct relay_leaver *leaver = container_of(at, struct relay_leaver, link);

        if (leaver->leaver->kind == LEAVER_PORTS)
            udp_leave_part_give(&leaver->ports, &heirs);
    }
}

static void relay_switch(struct relay *relay)
{
    struct relay_parts old = relay->now;

    relay_move_ports(relay);
    for (struct list *at = relay->next.leavers.next; at != &relay->next.leavers; at = at->next)
        relay_leaver_close(container_of(at, struct relay_leaver, link));
    list_take_all(&relay->leavers, &relay->next.leavers);
    relay->now = relay->next;
    relay->next = (struct relay_parts){0};
    relay_switch_servers(relay);
    relay_switch_tunnels(relay);
    relay_switch_client(relay);
    for (uint32_t i = 0; i < relay->now.edition->settings->listener_count; i++)
        listener_switch(relay->now.listeners[i]);
    relay_parts_release(&old);
}

static void relay_settle(struct relay *relay)
{
    for (struct list *at = relay->leavers.next; at != &relay->leavers; at = at->next)
        relay_leaver_settle(container_of(at, struct relay_leaver, link));
    if (relay->now.client)
        tunnel_client_settle_change(relay->now.client);
}

static void relay_sweep(struct relay *relay)
{
    struct list *next;

    for (struct list *at = relay->leavers.next; at != &relay->leavers; at = next) {
        next = at->next;
        relay_leaver_sweep(container_of(at, struct relay_leaver, link));
    }
}

int relay_take(struct relay *relay, enum relay_change change, char *error, size_t error_size)
{
    if (relay->state != RELAY_RUNNING)
        return 0;
    switch (change) {
    case RELAY_PREPARE:
        return relay_parts_make(relay, &relay->next, relay->options.crew->next, error, error_size);
    case RELAY_SWITCH:
        relay_switch(relay);
        break;
    case RELAY_SETTLE:
        relay_settle(relay);
        break;
    case RELAY_FORGET:
        if (relay->next.edition)
            relay_parts_forget(relay, &relay->next);
        break;
    case RELAY_SWEEP:
        relay_sweep(relay);
        break;
    }
    return 0;
}
