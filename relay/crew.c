#include "relay/crew.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/mem.h"

static int crew_make_pool(struct crew *crew, uint32_t index)
{
    crew->pools[index] =
        server_pool_new(&crew->settings->backends[index], crew->by_index, crew->workers);
    return crew->pools[index] ? 0 : -ENOMEM;
}

static int crew_make(struct crew *crew)
{
    const struct settings *settings = crew->settings;
    int rc = 0;

    crew->listeners = mem_new((settings->listener_count + 1) * sizeof(struct listener_share));
    crew->tunnels = mem_new((settings->tunnel_count + 1) * sizeof(struct tunnel_share));
    crew->pools = mem_new((settings->backend_count + 1) * sizeof(struct server_pool *));
    if (!crew->listeners || !crew->tunnels || !crew->pools)
        return -ENOMEM;
    rc = client_share_open(&crew->client, crew->os, &settings->client, crew->workers);
    for (uint32_t i = 0; !rc && i < settings->backend_count; i++)
        rc = crew_make_pool(crew, i);
    return rc;
}

static int crew_open(struct crew *crew, char *error, size_t error_size)
{
    const struct settings *settings = crew->settings;
    int rc = crew_make(crew);

    if (rc)
        snprintf(error, error_size, "%s", reason_text(reason_of_errno(rc)));
    for (uint32_t i = 0; !rc && i < settings->tunnel_count; i++)
        rc = tunnel_share_open(&crew->tunnels[i], crew->os, &settings->tunnels[i], crew->by_index,
                               crew->workers, error, error_size);
    for (uint32_t i = 0; !rc && i < settings->listener_count; i++)
        rc = listener_share_open(&crew->listeners[i], crew->os, &settings->listeners[i],
                                 crew->workers, error, error_size);
    return rc;
}

struct crew *crew_new(struct os *os, const struct settings *settings, struct worker *const *workers,
                      uint32_t count, int *failed, char *error, size_t error_size)
{
    struct crew *crew = mem_new(sizeof(*crew));

    must(count && count <= SETTINGS_WORKERS_MAX);
    if (!crew) {
        *failed = -ENOMEM;
        snprintf(error, error_size, "%s", reason_text(REASON_NO_MEMORY));
        return NULL;
    }
    crew->os = os;
    crew->settings = settings;
    crew->workers = count;
    for (uint32_t i = 0; i < count; i++)
        crew->by_index[i] = workers[i];
    *failed = crew_open(crew, error, error_size);
    if (*failed)
        crew_free(&crew);
    return crew;
}

void crew_free(struct crew **handle)
{
    struct crew *crew = *handle;

    if (!crew)
        return;
    for (uint32_t i = 0; crew->listeners && i < crew->settings->listener_count; i++)
        listener_share_close(&crew->listeners[i]);
    for (uint32_t i = 0; crew->tunnels && i < crew->settings->tunnel_count; i++)
        tunnel_share_close(&crew->tunnels[i]);
    for (uint32_t i = 0; crew->pools && i < crew->settings->backend_count; i++)
        server_pool_free(&crew->pools[i]);
    client_share_close(&crew->client);
    mem_free(crew->listeners);
    mem_free(crew->tunnels);
    mem_free(crew->pools);
    mem_free(crew);
    *handle = NULL;
}

int crew_listener_addr(const struct crew *crew, const char *listener, struct addr *addr)
{
    for (uint32_t i = 0; i < crew->settings->listener_count; i++)
        if (!strcmp(crew->settings->listeners[i].name, listener)) {
            *addr = crew->listeners[i].bindings.first;
            return 0;
        }
    return -ENOENT;
}

int crew_tunnel_addr(const struct crew *crew, const char *tunnel, struct addr *addr)
{
    for (uint32_t i = 0; i < crew->settings->tunnel_count; i++)
        if (!strcmp(crew->settings->tunnels[i].name, tunnel)) {
            quic_port_addr(crew->tunnels[i].ports[0], addr);
            return 0;
        }
    return -ENOENT;
}
