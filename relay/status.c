#include "relay/status.h"

#include <errno.h>
#include <string.h>

#include "core/mem.h"

void status_release(struct status *status)
{
    mem_free(status->listeners);
    mem_free(status->backends);
    mem_free(status->members);
    mem_free(status->clients);
    mem_free(status->servers);
    *status = (struct status){0};
}

struct status_listener *status_add_listener(struct status *status)
{
    return option_grow((void **)&status->listeners, &status->listener_count,
                       sizeof(struct status_listener));
}

struct status_backend *status_add_backend(struct status *status)
{
    return option_grow((void **)&status->backends, &status->backend_count,
                       sizeof(struct status_backend));
}

struct status_member *status_add_member(struct status *status)
{
    return option_grow((void **)&status->members, &status->member_count,
                       sizeof(struct status_member));
}

struct status_client *status_add_client(struct status *status)
{
    return option_grow((void **)&status->clients, &status->client_count,
                       sizeof(struct status_client));
}

struct status_server *status_add_server(struct status *status)
{
    return option_grow((void **)&status->servers, &status->server_count,
                       sizeof(struct status_server));
}

const char *status_member_state(enum member_state state)
{
    static const char *const names[] = {[MEMBER_FIT] = "fit",
                                        [MEMBER_SUSPECT] = "suspect",
                                        [MEMBER_DOWN] = "down",
                                        [MEMBER_GONE] = "gone"};

    return state < ARRAY_COUNT(names) && names[state] ? names[state] : "unknown";
}

const char *status_leaving(bool leaving)
{
    return leaving ? "leaving" : "open";
}

bool status_has_leavers(const struct status *status)
{
    for (uint32_t i = 0; i < status->listener_count; i++)
        if (status->listeners[i].leaving)
            return true;
    for (uint32_t i = 0; i < status->backend_count; i++)
        if (status->backends[i].leaving)
            return true;
    return false;
}

bool status_member_fit(const struct status_member *member)
{
    return member->state == MEMBER_FIT && !member->ejected;
}

/* ---- several workers ---- */

/* One that leaves may have the name of another. */
static bool is_same(const struct status *into, const void *id, const char *name, const void *id2,
                    const char *name2)
{
    return strcmp(name, name2) == 0 && (into->by_name || id == id2);
}

static int merge_listener(struct status *into, const struct status_listener *from)
{
    struct status_listener *to = NULL;

    for (uint32_t i = 0; !to && i < into->listener_count; i++)
        if (is_same(into, into->listeners[i].id, into->listeners[i].name, from->id, from->name))
            to = &into->listeners[i];
    if (!to) {
        to = status_add_listener(into);
        if (!to)
            return -ENOMEM;
        *to = *from;
        return 0;
    }
    to->leaving |= from->leaving;
    to->connections += from->connections;
    to->udp_sessions += from->udp_sessions;
    to->connections_total += from->connections_total;
    to->udp_sessions_total += from->udp_sessions_total;
    to->refused_total += from->refused_total;
    traffic_add(&to->traffic, from->traffic.in, from->traffic.out);
    return 0;
}

/* Its index in `into`, or -ENOMEM. */
static int merge_backend(struct status *into, const struct status_backend *from)
{
    struct status_backend *added;

    for (uint32_t i = 0; i < into->backend_count; i++) {
        struct status_backend *to = &into->backends[i];

        if (!is_same(into, to->id, to->name, from->id, from->name))
            continue;
        to->leaving |= from->leaving;
        return (int)i;
    }
    added = status_add_backend(into);
    if (!added)
        return -ENOMEM;
    *added = *from;
    return (int)into->backend_count - 1;
}

/* One name is one member of a pool of servers; tunnel clients of one name are many. */
static struct status_member *merge_find(struct status *into, const struct status_member *from,
                                        uint32_t backend, uint32_t guess)
{
    for (uint32_t i = 0; from->id && i < into->member_count; i++) {
        struct status_member *member = &into->members[(guess + i) % into->member_count];

        if (member->id == from->id)
            return member;
    }
    if ((from->id && !into->by_name) || into->backends[backend].tunnel)
        return NULL;
    if (guess < into->member_count && into->members[guess].backend == backend &&
        strcmp(into->members[guess].name, from->name) == 0)
        return &into->members[guess];
    for (uint32_t i = 0; i < into->member_count; i++)
        if (into->members[i].backend == backend && strcmp(into->members[i].name, from->name) == 0)
            return &into->members[i];
    return NULL;
}

static int merge_member(struct status *into, const struct status *from, uint32_t index)
{
    const struct status_member *member = &from->members[index];
    int backend = merge_backend(into, &from->backends[member->backend]);
    struct status_member *to;

    if (backend < 0)
        return backend;
    to = merge_find(into, member, (uint32_t)backend, index);
    if (!to) {
        to = status_add_member(into);
        if (!to)
            return -ENOMEM;
        *to = *member;
        to->backend = (uint32_t)backend;
        return 0;
    }
    if (member->state < to->state)
        to->state = member->state; /* fit for one worker is fit */
    to->ejected &= member->ejected;
    to->active += member->active;
    to->total += member->total;
    to->failures += member->failures;
    traffic_add(&to->traffic, member->traffic.in, member->traffic.out);
    return 0;
}

static int merge_client(struct status *into, const struct status *from, uint32_t index)
{
    const struct status_client *client = &from->clients[index];
    int tunnel = merge_backend(into, &from->backends[client->tunnel]);
    struct status_client *to = tunnel < 0 ? NULL : status_add_client(into);

    if (!to)
        return -ENOMEM;
    *to = *client;
    to->tunnel = (uint32_t)tunnel;
    return 0;
}

static int merge_server(struct status *into, const struct status_server *from)
{
    struct status_server *to = status_add_server(into);

    if (!to)
        return -ENOMEM;
    *to = *from;
    return 0;
}

int status_merge(struct status *into, const struct status *from)
{
    int rc = 0;

    for (uint32_t i = 0; !rc && i < from->listener_count; i++)
        rc = merge_listener(into, &from->listeners[i]);
    for (uint32_t i = 0; rc >= 0 && i < from->backend_count; i++)
        rc = merge_backend(into, &from->backends[i]);
    if (rc > 0)
        rc = 0;
    for (uint32_t i = 0; !rc && i < from->member_count; i++)
        rc = merge_member(into, from, i);
    for (uint32_t i = 0; !rc && i < from->client_count; i++)
        rc = merge_client(into, from, i);
    for (uint32_t i = 0; !rc && i < from->server_count; i++)
        rc = merge_server(into, &from->servers[i]);
    into->services_active += from->services_active;
    return rc;
}
