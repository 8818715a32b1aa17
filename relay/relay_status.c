/* What a relay does, for whoever asks. */
#include <errno.h>
#include <stdio.h>

#include "relay/relay_parts.h"

/* This worker's part; the parts of all are added up. */
static void member_account(struct member *member, const struct worker *worker,
                           struct status_member *to)
{
    struct member_load *load = member_load(member, worker);

    to->id = member;
    to->state = member_state(member);
    to->ejected = member_ejected(member) > 0;
    to->total = load->held;
    to->active = (uint32_t)(load->held - load->dropped);
    to->failures = load->failures;
    to->traffic = load->traffic;
}

struct member_picture {
    const struct worker *worker;
    struct status *status;
};

/* Of the backend that was added last. */
static int member_status(struct member *member, void *context)
{
    const struct member_picture *picture = context;
    struct status_member *to = status_add_member(picture->status);

    if (!to)
        return -ENOMEM;
    snprintf(to->name, sizeof(to->name), "%s", member->name);
    to->backend = picture->status->backend_count - 1;
    member_account(member, picture->worker, to);
    return 0;
}

static int relay_status_backend(const struct relay *relay, const struct backend_pool *pool,
                                const char *name, bool tunnel, struct status *status)
{
    struct member_picture picture = {relay->options.worker, status};
    struct status_backend *backend = status_add_backend(status);

    if (!backend)
        return -ENOMEM;
    snprintf(backend->name, sizeof(backend->name), "%s", name);
    backend->tunnel = tunnel;
    return backend_pool_visit(pool, member_status, &picture);
}

static int relay_status_tunnel(const struct relay *relay, const struct tunnel_share *share,
                               bool leaving, struct status *status)
{
    struct tunnel_server *tunnel = share->by_worker[relay->options.worker->index];
    struct backend_pool *pool = tunnel_server_pool(tunnel);
    int rc = relay_status_backend(relay, pool, backend_pool_name(pool), true, status);
    struct status_backend *backend = rc ? NULL : &status->backends[status->backend_count - 1];

    if (!backend)
        return rc;
    backend->id = share;
    backend->leaving = leaving || relay->state != RELAY_RUNNING;
    quic_port_addr(share->ports[0], &backend->addr);
    return tunnel_server_status(tunnel, status->backend_count - 1, status);
}

static int relay_status_listener(const struct listener *listener, struct status *status)
{
    struct status_listener *to = status_add_listener(status);

    if (!to)
        return -ENOMEM;
    listener_status(listener, to);
    return 0;
}

static int relay_status_leaver(const struct relay *relay, const struct relay_leaver *part,
                               struct status *status)
{
    if (part->listener)
        return relay_status_listener(part->listener, status);
    return part->tunnel ? relay_status_tunnel(relay, part->leaver->tunnel, true, status) : 0;
}

int relay_status(const struct relay *relay, struct status *status)
{
    const struct settings *settings = relay->now.edition->settings;
    int rc = 0;

    for (uint32_t i = 0; !rc && i < settings->listener_count; i++)
        rc = relay_status_listener(relay->now.listeners[i], status);
    for (uint32_t i = 0; !rc && i < settings->backend_count; i++)
        rc = relay_status_backend(relay, server_pool_members(relay->now.edition->pools[i]),
                                  settings->backends[i].name, false, status);
    for (uint32_t i = 0; !rc && i < settings->tunnel_count; i++)
        rc = relay_status_tunnel(relay, relay->now.edition->tunnels[i], false, status);
    for (struct list *at = relay->leavers.next; !rc && at != &relay->leavers; at = at->next)
        rc = relay_status_leaver(relay, container_of(at, struct relay_leaver, link), status);
    if (!rc && relay->now.client)
        rc = tunnel_client_status(relay->now.client, status);
    return rc;
}
