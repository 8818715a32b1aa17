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

static int making_listener(struct making *making, uint32_t index)
{
    const struct listener_settings *settings = &making->edition->settings->listeners[index];
    int32_t at = listener_index(making->old, settings->name);
    struct listener_share **share = &making->edition->listeners[index];
    int rc;

    if (at < 0) {
        *share = listener_share_new(making->crew->os, settings, making->crew->workers, &rc,
                                    making->error, making->error_size);
        return rc;
    }
    rc = listener_share_prepare(making->old->listeners[at], making->crew->os,
                                &making->old->settings->listeners[at], settings, making->error,
                                making->error_size);
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

/* ---- who leaves ---- */

static struct leaver *making_leaver(struct making *making, enum leaver_kind kind)
{
    struct leaver *leaver = mem_new(sizeof(*leaver));

    if (!leaver)
        return NULL;
    leaver->kind = kind;
    leaver->parts = kind == LEAVER_POOL ? 1 : making->crew->workers;
    leaver->users = making->crew->workers;
    list_append(&making->edition->leavers, &leaver->link);
    return leaver;
}

static int making_leavers(struct making *making)
{
    const struct edition *old = making->old, *edition = making->edition;
    struct leaver *leaver;

    for (uint32_t i = 0; i < old->settings->listener_count; i++)
        if (listener_index(edition, old->listeners[i]->name) < 0) {
            leaver = making_leaver(making, LEAVER_LISTENER);
            if (!leaver)
                return -ENOMEM;
            leaver->listener = old->listeners[i];
        }
    for (uint32_t i = 0; i < old->settings->tunnel_count; i++)
        if (tunnel_index(edition, old->settings->tunnels[i].name) < 0) {
            leaver = making_leaver(making, LEAVER_TUNNEL);
            if (!leaver)
                return -ENOMEM;
            leaver->tunnel = old->tunnels[i];
        }
    for (uint32_t i = 0; i < old->settings->backend_count; i++)
        if (backend_index(edition, old->settings->backends[i].name) < 0) {
            leaver = making_leaver(making, LEAVER_POOL);
            if (!leaver)
                return -ENOMEM;
            leaver->pool = old->pools[i];
        }
    if (old->client && !edition->client) {
        leaver = making_leaver(making, LEAVER_CLIENT);
        if (!leaver)
            return -ENOMEM;
        leaver->client = old->client;
    }
    return 0;
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
    if (!rc && making->old && making_leavers(making))
        rc = making_no_memory(making);
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
        mem_free(container_of(link, struct leaver, link));
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
