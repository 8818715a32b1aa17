/* What a reload has removed: it takes nothing new, and when nobody uses it any more on any worker,
 * the crew has it stopped and freed. */
#include "core/mem.h"
#include "relay/relay_parts.h"

static void leaver_became_idle(void *context)
{
    struct relay_leaver *part = context;

    part->idle = true;
    if (part->awaited)
        relay_part_done(part->relay);
}

struct relay_leaver *relay_leaver_new(struct relay *relay, struct leaver *leaver)
{
    struct relay_leaver *part = mem_new(sizeof(*part));
    uint32_t worker = relay->options.worker->index;

    if (!part)
        return NULL;
    list_init(&part->link);
    part->relay = relay;
    part->leaver = leaver;
    if (leaver->kind == LEAVER_LISTENER)
        part->listener = leaver->listener->by_worker[worker];
    if (leaver->kind == LEAVER_PORTS)
        udp_leave_part_init(&part->ports, leaver->ports, leaver_became_idle, part);
    if (leaver->kind == LEAVER_TUNNEL)
        part->tunnel = leaver->tunnel->by_worker[worker];
    if (leaver->kind == LEAVER_CLIENT)
        part->client = relay->now.client;
    return part;
}

static void leaver_is_unused(void *context)
{
    struct relay_leaver *part = context;

    if (part->unused)
        return;
    part->unused = true;
    atomic_fetch_sub(&part->leaver->users, 1);
    if (part->client)
        relay_listener_emptied(part->relay);
}

void relay_leaver_close(struct relay_leaver *part)
{
    uint32_t worker = part->relay->options.worker->index;

    if (part->listener)
        listener_take_leave(part->listener, leaver_became_idle, part);
    if (part->leaver->kind == LEAVER_PORTS)
        udp_leave_part_take(&part->ports, part->leaver->ports->share->by_worker[worker]);
    if (part->tunnel)
        tunnel_server_drain(part->tunnel);
    if (part->client)
        tunnel_client_drain(part->client, leaver_is_unused, part);
}

void relay_leaver_settle(struct relay_leaver *part)
{
    if (part->listener)
        listener_leave(part->listener);
    part->settled = true;
}

static void leaver_stop(struct relay_leaver *part)
{
    if (part->stopping)
        return;
    part->stopping = true;
    switch (part->leaver->kind) {
    case LEAVER_LISTENER:
        listener_stop(part->listener, part->relay->stop_reason);
        break;
    case LEAVER_PORTS:
        udp_leave_part_stop(&part->ports);
        break;
    case LEAVER_TUNNEL:
        tunnel_server_stop(part->tunnel, leaver_became_idle, part);
        break;
    case LEAVER_CLIENT:
        tunnel_client_stop(part->client, leaver_became_idle, part);
        break;
    case LEAVER_POOL:
        server_pool_stop(part->leaver->pool, leaver_became_idle, part);
        break;
    }
}

void relay_leaver_free(struct relay_leaver *part)
{
    list_remove(&part->link);
    listener_free(&part->listener);
    tunnel_server_free(&part->tunnel);
    tunnel_client_free(&part->client);
    atomic_fetch_sub(&part->leaver->parts, 1);
    mem_free(part);
}

void relay_leaver_sweep(struct relay_leaver *part)
{
    if (!part->settled)
        return;
    if (part->tunnel && tunnel_server_is_quiet(part->tunnel))
        leaver_is_unused(part);
    if (part->leaver->kind == LEAVER_PORTS)
        udp_leave_part_sweep(&part->ports);
    if (atomic_load(&part->leaver->ending))
        leaver_stop(part);
    if (part->idle)
        relay_leaver_free(part);
}

/* ---- when the relay itself drains and stops ---- */

uint32_t relay_leavers_busy(struct relay *relay)
{
    uint32_t count = 0;

    for (struct list *at = relay->leavers.next; at != &relay->leavers; at = at->next) {
        const struct relay_leaver *part = container_of(at, struct relay_leaver, link);

        count += part->listener && !listener_has_emptied(part->listener);
        count += part->client && !part->unused;
    }
    return count;
}

static enum relay_state leaver_stop_state(const struct relay_leaver *part)
{
    switch (part->leaver->kind) {
    case LEAVER_TUNNEL:
        return RELAY_STOPPING_TUNNELS;
    case LEAVER_POOL:
        return RELAY_STOPPING_SERVERS;
    default:
        return RELAY_STOPPING_USERS;
    }
}

void relay_leavers_stop(struct relay *relay)
{
    for (struct list *at = relay->leavers.next; at != &relay->leavers; at = at->next) {
        struct relay_leaver *part = container_of(at, struct relay_leaver, link);

        if (part->idle || leaver_stop_state(part) != (enum relay_state)relay->state)
            continue;
        part->awaited = true;
        relay->pending++;
        leaver_stop(part);
    }
}
