/* A registered client instance as a member of the tunnel's pool. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/mem.h"
#include "core/state.h"
#include "relay/tunnel_peer.h"

/* The pool reads enum member_state; moves are checked here. */
static const char *const member_state_names[] = {"fit", "suspect", "gone"};
static const uint32_t member_state_next[] = {
    [MEMBER_FIT] = STATE_BIT(MEMBER_SUSPECT) | STATE_BIT(MEMBER_GONE),
    [MEMBER_SUSPECT] = STATE_BIT(MEMBER_FIT) | STATE_BIT(MEMBER_GONE),
    [MEMBER_GONE] = 0,
};
static const struct state_table member_states = {"tunnel member", member_state_names,
                                                 member_state_next, MEMBER_GONE + 1};

static void tunnel_member_move(struct tunnel_member *member, enum member_state state)
{
    state_move(&member_states, &member->state, state);
    member->member.state = state;
}

/* ---- member_ops ---- */

static int tunnel_member_open(struct member *member, struct worker *worker,
                              struct open_request *request)
{
    return tunnel_open_start(tunnel_member_of(member), request);
}

static void tunnel_member_cancel(struct member *member, struct open_request *request)
{
    tunnel_open_cancel(request);
}

static struct datagram_end *tunnel_member_open_datagrams(struct member *base, struct worker *worker,
                                                         const struct datagram_request *request,
                                                         enum reason *reason)
{
    struct tunnel_member *member = tunnel_member_of(base);
    struct tunnel_peer *peer = tunnel_member_peer(member);
    struct wire_flow flow = {.source = request->source, .destination = request->destination};

    *reason = REASON_TUNNEL_LOST;
    if (!peer)
        return NULL;
    *reason = REASON_NO_SERVICE;
    if (!tunnel_member_offers(member, request->service, PROTOCOL_UDP))
        return NULL;
    snprintf(flow.service, sizeof(flow.service), "%s", request->service);
    return tunnel_sessions_open(&peer->sessions, &flow, reason);
}

static void tunnel_member_free(struct tunnel_member *member)
{
    struct tunnel_server *server = member->server;

    list_remove(&member->link);
    table_remove(&server->instances, &member->entry);
    server->member_count--;
    mem_free(member->services);
    mem_free(member);
    tunnel_server_settle(server);
}

static void tunnel_member_settle(struct tunnel_member *member)
{
    if (member->unused && list_empty(&member->peers))
        tunnel_member_free(member);
}

static void tunnel_member_unused(struct member *base)
{
    struct tunnel_member *member = tunnel_member_of(base);

    member->unused = true;
    tunnel_member_settle(member);
}

static const struct member_ops tunnel_member_ops = {
    .open = tunnel_member_open,
    .cancel = tunnel_member_cancel,
    .open_datagrams = tunnel_member_open_datagrams,
    .unused = tunnel_member_unused,
};

/* ---- what it offers ---- */

struct tunnel_peer *tunnel_member_peer(const struct tunnel_member *member)
{
    return list_empty(&member->peers)
               ? NULL
               : container_of(member->peers.next, struct tunnel_peer, member_link);
}

bool tunnel_member_offers(const struct tunnel_member *member, const char *service,
                          enum protocol protocol)
{
    for (uint32_t i = 0; i < member->service_count; i++)
        if (!strcmp(member->services[i].name, service))
            return member->services[i].protocols & protocol;
    return false;
}

static int tunnel_member_take_offer(struct tunnel_member *member, const struct wire_register *reg)
{
    size_t size = reg->service_count * sizeof(struct wire_service);
    struct wire_service *services = mem_raw(size ? size : 1);

    if (!services)
        return -ENOMEM;
    memcpy(services, reg->services, size);
    mem_free(member->services);
    member->services = services;
    member->service_count = reg->service_count;
    snprintf(member->label, sizeof(member->label), "%s", reg->label);
    return 0;
}

/* ---- joining and leaving ---- */

struct instance_key {
    const char *name;
    const uint8_t *instance;
};

/* Clients choose their instance ids, but not the seed. */
static uint64_t instance_hash(const struct tunnel_server *server, const uint8_t *instance)
{
    uint64_t halves[2];
    unsigned __int128 product;

    memcpy(halves, instance, sizeof(halves));
    product = (unsigned __int128)(halves[0] ^ server->instance_seed) *
              ((halves[1] ^ ~server->instance_seed) | 1);
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* An instance id alone proves nothing: it counts together with the identity. */
static bool instance_matches(const struct table_entry *entry, const void *key)
{
    const struct tunnel_member *member =
        container_of((void *)(uintptr_t)entry, struct tunnel_member, entry);
    const struct instance_key *wanted = key;

    return member->state != MEMBER_GONE && !strcmp(member->member.name, wanted->name) &&
           !memcmp(member->instance, wanted->instance, WIRE_INSTANCE_SIZE);
}

static struct tunnel_member *tunnel_member_find(const struct tunnel_server *server,
                                                const char *name, const uint8_t *instance)
{
    struct instance_key key = {name, instance};
    struct table_entry *entry =
        table_find(&server->instances, instance_hash(server, instance), instance_matches, &key);

    return entry ? container_of(entry, struct tunnel_member, entry) : NULL;
}

static struct tunnel_member *tunnel_member_new(struct tunnel_server *server, const char *name,
                                               const struct wire_register *reg)
{
    struct tunnel_member *member = mem_new(sizeof(*member));

    if (!member)
        return NULL;
    member->member.ops = &tunnel_member_ops;
    member->member.owner = server->worker->index;
    snprintf(member->member.name, sizeof(member->member.name), "%s", name);
    memcpy(member->instance, reg->instance, WIRE_INSTANCE_SIZE);
    member->server = server;
    list_init(&member->peers);
    list_append(&server->members, &member->link);
    table_insert(&server->instances, &member->entry, instance_hash(server, reg->instance));
    server->member_count++;
    if (tunnel_member_take_offer(member, reg) < 0 ||
        backend_pool_add(server->pool, &member->member) < 0) {
        tunnel_member_free(member);
        return NULL;
    }
    return member;
}

static void tunnel_member_replace(struct tunnel_member *member, const struct tunnel_peer *newer)
{
    for (struct list *at = member->peers.next, *next; at != &member->peers; at = next) {
        struct tunnel_peer *peer = container_of(at, struct tunnel_peer, member_link);

        next = at->next;
        if (peer != newer && peer->slot == newer->slot)
            tunnel_peer_close(peer, WIRE_CODE_REPLACED, wire_code_words(WIRE_CODE_REPLACED));
    }
}

/* The newest connection comes first: what is new goes there. */
static void tunnel_member_add_peer(struct tunnel_member *member, struct tunnel_peer *peer)
{
    peer->member = member;
    list_append(member->peers.next, &peer->member_link);
    if (member->state == MEMBER_SUSPECT)
        tunnel_member_move(member, MEMBER_FIT);
    tunnel_member_replace(member, peer);
}

enum wire_code tunnel_member_join(struct tunnel_peer *peer, const struct wire_register *reg)
{
    struct tunnel_server *server = peer->server;
    struct tunnel_member *member = tunnel_member_find(server, peer->name, reg->instance);

    if (!member && backend_pool_count(server->pool) >= server->settings->max_clients) {
        counter_add(server->worker->counters, COUNTER_LIMIT_MAX_CLIENTS, 1);
        return WIRE_CODE_MAX_CLIENTS;
    }
    if (member && tunnel_member_take_offer(member, reg) < 0)
        return WIRE_CODE_NO_MEMORY;
    if (!member)
        member = tunnel_member_new(server, peer->name, reg);
    if (!member)
        return WIRE_CODE_NO_MEMORY;
    peer->slot = reg->slot;
    tunnel_member_add_peer(member, peer);
    return WIRE_CODE_NONE;
}

void tunnel_member_retire(struct tunnel_member *member)
{
    if (member->state == MEMBER_GONE)
        return;
    tunnel_member_move(member, MEMBER_GONE);
    backend_pool_remove(member->server->pool, &member->member);
}

void tunnel_member_leave(struct tunnel_peer *peer)
{
    struct tunnel_member *member = peer->member;

    peer->member = NULL;
    list_remove(&peer->member_link);
    if (!list_empty(&member->peers))
        return;
    if (member->state == MEMBER_GONE)
        tunnel_member_settle(member);
    else
        tunnel_member_retire(member); /* may free it */
}

void tunnel_member_suspected(struct tunnel_member *member, bool suspect)
{
    if (member->state == (suspect ? MEMBER_FIT : MEMBER_SUSPECT))
        tunnel_member_move(member, suspect ? MEMBER_SUSPECT : MEMBER_FIT);
}
