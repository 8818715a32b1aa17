/* A configuration and what stands for its sections: taken over from the one before where a section
 * is in both, else made. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/mem.h"
#include "relay/crew.h"

/* One edition's making from another. */
struct making {
    struct crew *crew;
    struct edition *edition;
    const struct edition *old; /* NULL: none */
    char *error;
    size_t error_size;
};

static int making_no_memory(const struct making *making)
{
    snprintf(making->error, making->error_size, "%s", reason_text(REASON_NO_MEMORY));
    return -ENOMEM;
}

/* ---- listeners ---- */

static int32_t listener_index(const struct edition *edition, const char *name)
{
    for (uint32_t i = 0; edition && i < edition->settings->listener_count; i++)
        if (!strcmp(edition->settings->listeners[i].name, name))
            return (int32_t)i;
    return -1;
}

int32_t edition_listener_at(const struct edition *edition, enum protocol protocol,
                            const struct addr *addr)
{
    const struct settings *settings = edition->settings;

    if (addr_family(addr) != AF_UNIX && !addr_port(addr))
        return -1;
    for (uint32_t i = 0; i < settings->listener_count; i++)
        if (settings->listeners[i].protocol & protocol &&
            bind_list_holds(&settings->listeners[i].bind, addr))
            return (int32_t)i;
    return -1;
}

/* What a listener need not bind. */
struct making_held {
    const struct making *making;
    const struct listener_settings *had; /* by the listener itself; NULL: it is new */
};

/* Its own, one of a listener that goes or has it no more, or one that is still about to leave. */
static bool making_holds(const void *context, enum protocol protocol, const struct addr *addr)
{
    const struct making_held *held = context;
    const struct making *making = held->making;
    const struct list *leavers = &making->crew->leavers;

    if (held->had && bind_list_holds(&held->had->bind, addr))
        return true;
    if (!making->old)
        return false;
    if (edition_listener_at(making->old, protocol, addr) >= 0)
        return true;
    for (const struct list *at = leavers->next; at != leavers; at = at->next) {
        const struct leaver *leaver = container_of((void *)(uintptr_t)at, struct leaver, link);

        if (protocol == PROTOCOL_UDP && leaver->kind == LEAVER_PORTS &&
            udp_leave_offers(leaver->ports, addr))
            return true;
    }
    return false;
}

static int making_listener(struct making *making, uint32_t index)
{
    const struct listener_settings *settings = &making->edition->settings->listeners[index];
    int32_t at = listener_index(making->old, settings->name);
    struct making_held held = {making, at < 0 ? NULL : &making->old->settings->listeners[at]};
    const struct bindings_held holder = {making_holds, &held};
    struct listener_share **share = &making->edition->listeners[index];
    int rc;

    if (at < 0) {
        *share = listener_share_new(making->crew->os, settings, &holder, making->crew->workers, &rc,
                                    making->error, making->error_size);
        return rc;
    }
    rc = listener_share_prepare(making->old->listeners[at], making->crew->os, held.had, settings,
                                &holder, making->error, making->error_size);
    if (!rc)
        *share = making->old->listeners[at];
    return rc;
}

/* ---- tunnels ---- */

static int32_t tunnel_index(const struct edition *edition, const char *name)
{
    for (uint32_t i = 0; edition && i < edition->settings->tunnel_count; i++)
        if (!strcmp(edition->settings->tunnels[i].name, name))
            return (int32_t)i;
    return -1;
}

static int making_new_tunnel(struct making *making, uint32_t index)
{
    struct tunnel_share *share = mem_new(sizeof(*share));
    int rc;

    if (!share)
        return making_no_memory(making);
    rc = tunnel_share_open(share, making->crew->os, &making->edition->settings->tunnels[index],
                           making->crew->by_index, making->crew->workers, making->error,
                           making->error_size);
    if (rc)
        mem_free(share);
    else
        making->edition->tunnels[index] = share;
    return rc;
}

static int making_tunnel(struct making *making, uint32_t index)
{
    const struct tunnel_settings *settings = &making->edition->settings->tunnels[index];
    int32_t at = tunnel_index(making->old, settings->name);
    int rc;

    if (at < 0)
        return making_new_tunnel(making, index);
    rc =
        tunnel_share_prepare(making->old->tunnels[at], settings, making->error, making->error_size);
    if (!rc)
        making->edition->tunnels[index] = making->old->tunnels[at];
    return rc;
}

/* ---- the client ---- */

static int making_new_client(struct making *making)
{
    struct client_share *share = mem_new(sizeof(*share));
    int rc;

    if (!share)
        return making_no_memory(making);
    rc = client_share_open(share, making->crew->os, &making->edition->settings->client,
                           making->crew->workers, making->error, making->error_size);
    if (rc)
        mem_free(share);
    else
        making->edition->client = share;
    return rc;
}

static int making_client(struct making *making)
{
    const struct client_settings *settings = &making->edition->settings->client;
    int rc;

    if (!settings->present)
        return 0;
    if (!making->old || !making->old->client)
        return making_new_client(making);
    rc = client_share_prepare(making->old->client, settings, making->error, making->error_size);
    if (!rc)
        making->edition->client = making->old->client;
    return rc;
}

/* ---- backends ---- */

static int32_t backend_index(const struct edition *edition, const char *name)
{
    for (uint32_t i = 0; edition && i < edition->settings->backend_count; i++)
        if (!strcmp(edition->settings->backends[i].name, name))
            return (int32_t)i;
    return -1;
}

static int making_pool(struct making *making, uint32_t index)
{
    const struct backend_settings *settings = &making->edition->settings->backends[index];
    int32_t at = backend_index(making->old, settings->name);
    struct server_pool **pool = &making->edition->pools[index];

    if (at >= 0)
        *pool = making->old->pools[at];
    else
        *pool = server_pool_new(settings, making->crew->by_index, making->crew->workers);
    return *pool ? 0 : making_no_memory(making);
}

struct backend_pool *edition_pool(const struct edition *edition, const char *name)
{
    int32_t at = backend_index(edition, name);

    if (at >= 0)
        return server_pool_members(edition->pools[at]);
    at = tunnel_index(edition, name);
    must(at >= 0); /* settings_load checks this */
    return edition->tunnels[at]->pool;
}

/* ---- as a whole ---- */

static int making_arrays(struct making *making)
{
    struct edition *edition = making->edition;
    const struct settings *settings = edition->settings;

    edition->listeners = mem_new((settings->listener_count + 1) * sizeof(*edition->listeners));
    edition->tunnels = mem_new((settings->tunnel_count + 1) * sizeof(*edition->tunnels));
    edition->pools = mem_new((settings->backend_count + 1) * sizeof(*edition->pools));
    if (!edition->listeners || !edition->tunnels || !edition->pools)
        return making_no_memory(making);
    return 0;
}

static int making_run(struct making *making)
{
    const struct settings *settings = making->edition->settings;
    int rc = making_arrays(making);

    for (uint32_t i = 0; !rc && i < settings->backend_count; i++)
        rc = making_pool(making, i);
    if (!rc)
        rc = making_client(making);
    for (uint32_t i = 0; !rc && i < settings->tunnel_count; i++)
        rc = making_tunnel(making, i);
    for (uint32_t i = 0; !rc && i < settings->listener_count; i++)
        rc = making_listener(making, i);
    if (!rc && making->old &&
        edition_find_leavers(making->edition, making->old, making->crew->workers))
        rc = making_no_memory(making);
    if (!rc && making->old)
        rc = edition_set_modes(making->edition, making->old, making->crew->os, making->error,
                               making->error_size);
    return rc;
}

struct edition *edition_new(struct crew *crew, const struct settings *settings, struct edition *old,
                            int *failed, char *error, size_t error_size)
{
    struct edition *edition = mem_new(sizeof(*edition));
    struct making making = {crew, edition, old, error, error_size};

    if (!edition) {
        *failed = making_no_memory(&making);
        return NULL;
    }
    edition->settings = settings;
    list_init(&edition->leavers);
    *failed = making_run(&making);
    if (*failed)
        edition_forget(&edition, crew, old);
    return edition;
}

/* ---- its end ---- */

static void share_free_tunnel(struct tunnel_share *share)
{
    if (share)
        tunnel_share_close(share);
    mem_free(share);
}

static void share_free_client(struct client_share *share)
{
    if (share)
        client_share_close(share);
    mem_free(share);
}

void leaver_free(struct leaver *leaver)
{
    switch (leaver->kind) {
    case LEAVER_LISTENER:
        listener_share_free(&leaver->listener);
        break;
    case LEAVER_PORTS:
        udp_leave_free(&leaver->ports);
        break;
    case LEAVER_TUNNEL:
        share_free_tunnel(leaver->tunnel);
        break;
    case LEAVER_CLIENT:
        share_free_client(leaver->client);
        break;
    case LEAVER_POOL:
        server_pool_free(&leaver->pool);
        break;
    }
    mem_free(leaver);
}

void edition_free(struct edition **handle)
{
    struct edition *edition = *handle;
    struct list *link;

    if (!edition)
        return;
    while ((link = list_pop(&edition->leavers)))
        leaver_forget(container_of(link, struct leaver, link));
    settings_free(&edition->owned);
    mem_free(edition->listeners);
    mem_free(edition->tunnels);
    mem_free(edition->pools);
    mem_free(edition);
    *handle = NULL;
}

void edition_settle(struct edition *edition, const struct edition *old)
{
    for (uint32_t i = 0; i < edition->settings->listener_count; i++)
        if (listener_index(old, edition->listeners[i]->name) >= 0)
            listener_share_settle(edition->listeners[i]);
    if (edition->client && !edition->client->fresh)
        client_share_settle(edition->client);
}

void edition_forget(struct edition **handle, struct crew *crew, const struct edition *old)
{
    struct edition *edition = *handle;
    const struct settings *settings = edition->settings;

    if (old)
        edition_put_modes_back(edition, old, crew->os);
    for (uint32_t i = 0; edition->listeners && i < settings->listener_count; i++)
        if (listener_index(old, settings->listeners[i].name) < 0)
            listener_share_free(&edition->listeners[i]);
        else if (edition->listeners[i])
            listener_share_forget(edition->listeners[i]);
    for (uint32_t i = 0; edition->tunnels && i < settings->tunnel_count; i++)
        if (tunnel_index(old, settings->tunnels[i].name) < 0)
            share_free_tunnel(edition->tunnels[i]);
        else if (edition->tunnels[i])
            tunnel_share_forget(edition->tunnels[i]);
    for (uint32_t i = 0; edition->pools && i < settings->backend_count; i++)
        if (backend_index(old, settings->backends[i].name) < 0)
            server_pool_free(&edition->pools[i]);
    if (!old || !old->client)
        share_free_client(edition->client);
    else if (edition->client)
        client_share_forget(edition->client);
    edition_free(handle);
}

void edition_close(struct edition **handle, struct crew *crew)
{
    struct edition *edition = *handle;
    const struct settings *settings = edition->settings;

    for (uint32_t i = 0; i < settings->listener_count; i++)
        listener_share_free(&edition->listeners[i]);
    for (uint32_t i = 0; i < settings->tunnel_count; i++)
        share_free_tunnel(edition->tunnels[i]);
    for (uint32_t i = 0; i < settings->backend_count; i++)
        server_pool_free(&edition->pools[i]);
    share_free_client(edition->client);
    edition_free(handle);
}
