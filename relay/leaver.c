/* What a reload has removed, as the control thread sees it: until when it is used. */
#include <errno.h>
#include <string.h>

#include "core/mem.h"
#include "relay/crew.h"

/* ---- what leaves ---- */

struct search {
    struct edition *edition;
    const struct edition *old;
    uint32_t workers;
};

static struct leaver *search_add(const struct search *search, enum leaver_kind kind)
{
    struct leaver *leaver = mem_new(sizeof(*leaver));

    if (!leaver)
        return NULL;
    leaver->kind = kind;
    leaver->parts = kind == LEAVER_POOL ? 1 : search->workers;
    leaver->users = search->workers;
    list_append(&search->edition->leavers, &leaver->link);
    return leaver;
}

/* Of an array of settings, whose first member is their name. */
static const void *find_named(const void *settings, uint32_t count, size_t size, const char *name)
{
    for (const char *at = settings; count; count--, at += size)
        if (!strcmp(at, name))
            return at;
    return NULL;
}
#define FIND_NAMED(settings, kind, name)                                                           \
    find_named((settings)->kind##s, (settings)->kind##_count, sizeof((settings)->kind##s[0]), name)

/* Whether a UDP port of that listener is nobody's any more. */
static bool port_leaves(const struct search *search, const struct listener_settings *now,
                        const struct addr *addr)
{
    if (now && bind_list_holds(&now->bind, addr))
        return false;
    return edition_listener_at(search->edition, PROTOCOL_UDP, addr) < 0;
}

static int search_ports(const struct search *search, uint32_t index)
{
    const struct listener_settings *settings = &search->old->settings->listeners[index];
    const struct listener_settings *now =
        FIND_NAMED(search->edition->settings, listener, settings->name);
    uint32_t ports = settings->protocol & PROTOCOL_UDP ? listener_ports(settings) : 0;
    struct leaver *leaver = NULL;
    struct addr addr;

    for (uint32_t i = 0; i < ports; i++) {
        bind_list_at(&settings->bind, i, &addr);
        if (!port_leaves(search, now, &addr))
            continue;
        if (!leaver) {
            leaver = search_add(search, LEAVER_PORTS);
            if (!leaver)
                return -ENOMEM;
            leaver->ports = udp_leave_new(settings, search->old->listeners[index]);
            if (!leaver->ports)
                return -ENOMEM;
        }
        leaver->ports->ports[i].state = UDP_LEAVES;
    }
    return 0;
}

static int search_listeners(const struct search *search)
{
    const struct settings *old = search->old->settings;

    for (uint32_t i = 0; i < old->listener_count; i++) {
        struct leaver *leaver;

        if (search_ports(search, i))
            return -ENOMEM;
        if (FIND_NAMED(search->edition->settings, listener, old->listeners[i].name))
            continue;
        leaver = search_add(search, LEAVER_LISTENER);
        if (!leaver)
            return -ENOMEM;
        leaver->listener = search->old->listeners[i];
    }
    return 0;
}

static int search_tunnels(const struct search *search)
{
    const struct settings *old = search->old->settings;

    for (uint32_t i = 0; i < old->tunnel_count; i++) {
        struct leaver *leaver;

        if (FIND_NAMED(search->edition->settings, tunnel, old->tunnels[i].name))
            continue;
        leaver = search_add(search, LEAVER_TUNNEL);
        if (!leaver)
            return -ENOMEM;
        leaver->tunnel = search->old->tunnels[i];
    }
    return 0;
}

static int search_pools(const struct search *search)
{
    const struct settings *old = search->old->settings;

    for (uint32_t i = 0; i < old->backend_count; i++) {
        struct leaver *leaver;

        if (FIND_NAMED(search->edition->settings, backend, old->backends[i].name))
            continue;
        leaver = search_add(search, LEAVER_POOL);
        if (!leaver)
            return -ENOMEM;
        leaver->pool = search->old->pools[i];
    }
    return 0;
}

static int search_client(const struct search *search)
{
    struct leaver *leaver;

    if (!search->old->client || search->edition->client)
        return 0;
    leaver = search_add(search, LEAVER_CLIENT);
    if (!leaver)
        return -ENOMEM;
    leaver->client = search->old->client;
    return 0;
}

int edition_find_leavers(struct edition *edition, const struct edition *old, uint32_t workers)
{
    const struct search search = {edition, old, workers};
    int rc = search_listeners(&search);

    if (!rc)
        rc = search_tunnels(&search);
    if (!rc)
        rc = search_pools(&search);
    return rc ? rc : search_client(&search);
}

/* ---- later ---- */

void leaver_begin(struct leaver *leaver)
{
    if (leaver->kind == LEAVER_PORTS)
        udp_leave_look(leaver->ports);
}

void leaver_settle(struct leaver *leaver, const struct edition *edition)
{
    struct addr addr;

    if (leaver->kind != LEAVER_PORTS)
        return;
    for (uint32_t i = 0; i < leaver->ports->count; i++) {
        bind_list_at(&leaver->ports->settings->bind, i, &addr);
        if (edition_listener_at(edition, PROTOCOL_UDP, &addr) >= 0)
            udp_leave_taken(leaver->ports, i);
    }
}

bool leaver_is_done(struct leaver *leaver, uint64_t now_ns)
{
    switch (leaver->kind) {
    case LEAVER_LISTENER:
        return !atomic_load(&leaver->listener->busy);
    case LEAVER_PORTS:
        return udp_leave_sweep(leaver->ports);
    case LEAVER_POOL:
        return !backend_pool_in_use(server_pool_members(leaver->pool));
    case LEAVER_TUNNEL:
    case LEAVER_CLIENT:
        return !atomic_load(&leaver->users) || now_ns >= leaver->deadline_ns;
    }
    must(!"a leaver of a known kind");
    return false;
}

/* A tunnel's pool is used by the sessions that began when it was there. */
bool leaver_is_free(const struct leaver *leaver)
{
    return leaver->kind != LEAVER_TUNNEL || !backend_pool_in_use(leaver->tunnel->pool);
}

void leaver_forget(struct leaver *leaver)
{
    if (leaver->kind == LEAVER_PORTS)
        udp_leave_free(&leaver->ports);
    mem_free(leaver);
}
