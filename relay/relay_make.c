/* A worker's parts for an edition: those it has already made ready for it, the rest made. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/mem.h"
#include "relay/relay_parts.h"

/* ---- listeners ---- */

/* Where a listener's users go, and with how much patience. */
static void options_find_backend(const struct edition *edition, struct listener_options *options)
{
    const struct settings *settings = edition->settings;
    const char *name = options->settings->backend;

    options->pool = edition_pool(edition, name);
    for (uint32_t i = 0; i < settings->backend_count; i++)
        if (!strcmp(settings->backends[i].name, name)) {
            options->connect_timeout_ns = settings->backends[i].connect_timeout_ns;
            options->retries = settings->backends[i].retries;
            return;
        }
    for (uint32_t i = 0; i < settings->tunnel_count; i++)
        if (!strcmp(settings->tunnels[i].name, name)) {
            options->tunnel = true;
            options->retries = settings->tunnels[i].open_retries;
        }
}

static int parts_make_listener(struct relay *relay, struct relay_parts *parts, uint32_t index,
                               char *error, size_t error_size)
{
    const struct edition *edition = parts->edition;
    struct listener_share *share = edition->listeners[index];
    struct listener_options options = {.worker = relay->options.worker,
                                       .settings = &edition->settings->listeners[index],
                                       .share = share,
                                       .sessions = &relay->sessions,
                                       .emptied = relay_listener_emptied,
                                       .idle = relay_part_done,
                                       .context = relay};

    options_find_backend(edition, &options);
    if (share->fresh)
        parts->listeners[index] = listener_new(&options);
    else
        parts->listeners[index] = share->by_worker[relay->options.worker->index];
    if (!parts->listeners[index])
        return -ENOMEM;
    if (relay->state == RELAY_NEW) /* listener_start follows */
        return 0;
    return listener_prepare(parts->listeners[index], &options, error, error_size);
}

/* ---- tunnels ---- */

static int parts_make_tunnel(struct relay *relay, struct relay_parts *parts, uint32_t index,
                             char *error, size_t error_size)
{
    struct tunnel_share *share = parts->edition->tunnels[index];

    if (share->fresh)
        parts->tunnels[index] = tunnel_server_new(relay->options.worker, share, error, error_size);
    else
        parts->tunnels[index] = share->by_worker[relay->options.worker->index];
    return parts->tunnels[index] ? 0 : -EINVAL;
}

static int parts_make_client(struct relay *relay, struct relay_parts *parts, char *error,
                             size_t error_size)
{
    struct tunnel_client_options options = {.worker = relay->options.worker,
                                            .settings = parts->edition->settings,
                                            .share = parts->edition->client,
                                            .registered = relay->options.registered,
                                            .context = relay->options.context};

    if (!parts->edition->client)
        return 0;
    if (!parts->edition->client->fresh) {
        parts->client = relay->now.client;
        return tunnel_client_prepare(parts->client, &options, error, error_size);
    }
    parts->client = tunnel_client_new(&options, error, error_size);
    return parts->client ? 0 : -EINVAL;
}

/* ---- who leaves ---- */

static int parts_make_leavers(struct relay *relay, struct relay_parts *parts)
{
    const struct list *all = &parts->edition->leavers;

    for (struct list *at = all->next; at != all; at = at->next) {
        struct leaver *leaver = container_of(at, struct leaver, link);
        struct relay_leaver *part;

        if (leaver->kind == LEAVER_POOL && !relay_owns_servers(relay))
            continue;
        part = relay_leaver_new(relay, leaver);
        if (!part)
            return -ENOMEM;
        list_append(&parts->leavers, &part->link);
    }
    return 0;
}

/* ---- backends, which worker 0 changes ---- */

static int parts_make_pools(struct relay *relay, struct relay_parts *parts)
{
    const struct settings *settings = parts->edition->settings;
    int rc = 0;

    if (relay->state == RELAY_NEW || !relay_owns_servers(relay))
        return 0;
    for (uint32_t i = 0; !rc && i < settings->backend_count; i++)
        if (server_pool_is_started(parts->edition->pools[i]))
            rc = server_pool_prepare(parts->edition->pools[i], &settings->backends[i]);
    return rc;
}

/* ---- as a whole ---- */

static int parts_make_arrays(struct relay_parts *parts)
{
    const struct settings *settings = parts->edition->settings;

    parts->listeners = mem_new((settings->listener_count + 1) * sizeof(struct listener *));
    parts->tunnels = mem_new((settings->tunnel_count + 1) * sizeof(struct tunnel_server *));
    return parts->listeners && parts->tunnels ? 0 : -ENOMEM;
}

int relay_parts_make(struct relay *relay, struct relay_parts *parts, const struct edition *edition,
                     char *error, size_t error_size)
{
    const struct settings *settings = edition->settings;
    int rc;

    snprintf(error, error_size, "%s", reason_text(REASON_NO_MEMORY));
    *parts = (struct relay_parts){.edition = edition};
    list_init(&parts->leavers);
    rc = parts_make_arrays(parts);
    for (uint32_t i = 0; !rc && i < settings->tunnel_count; i++)
        rc = parts_make_tunnel(relay, parts, i, error, error_size);
    for (uint32_t i = 0; !rc && i < settings->listener_count; i++)
        rc = parts_make_listener(relay, parts, i, error, error_size);
    if (!rc)
        rc = parts_make_client(relay, parts, error, error_size);
    if (!rc)
        rc = parts_make_pools(relay, parts);
    if (!rc)
        rc = parts_make_leavers(relay, parts);
    return rc;
}

static void parts_forget_pools(struct relay *relay, struct relay_parts *parts)
{
    for (uint32_t i = 0; i < parts->edition->settings->backend_count; i++)
        if (relay_owns_servers(relay) && server_pool_is_started(parts->edition->pools[i]))
            server_pool_forget(parts->edition->pools[i]);
}

/* What was made for it alone goes; what is also in the present parts stays as it is. */
void relay_parts_forget(struct relay *relay, struct relay_parts *parts)
{
    const struct edition *edition = parts->edition;
    struct list *link;

    while ((link = list_pop(&parts->leavers)))
        mem_free(container_of(link, struct relay_leaver, link));
    for (uint32_t i = 0; parts->listeners && i < edition->settings->listener_count; i++)
        if (edition->listeners[i]->fresh)
            listener_free(&parts->listeners[i]);
        else if (parts->listeners[i])
            listener_forget(parts->listeners[i]);
    for (uint32_t i = 0; parts->tunnels && i < edition->settings->tunnel_count; i++)
        if (edition->tunnels[i]->fresh)
            tunnel_server_free(&parts->tunnels[i]);
    if (edition->client && edition->client->fresh)
        tunnel_client_free(&parts->client);
    else if (parts->client)
        tunnel_client_forget(parts->client);
    parts_forget_pools(relay, parts);
    relay_parts_release(parts);
}

void relay_parts_free(struct relay_parts *parts)
{
    const struct edition *edition = parts->edition;

    if (!edition)
        return;
    for (uint32_t i = 0; parts->listeners && i < edition->settings->listener_count; i++)
        listener_free(&parts->listeners[i]);
    tunnel_client_free(&parts->client);
    for (uint32_t i = 0; parts->tunnels && i < edition->settings->tunnel_count; i++)
        tunnel_server_free(&parts->tunnels[i]);
    relay_parts_release(parts);
}

void relay_parts_release(struct relay_parts *parts)
{
    mem_free(parts->listeners);
    mem_free(parts->tunnels);
    *parts = (struct relay_parts){0};
}
