/* A registered client instance as a member of the tunnel's pool, as a worker sees it. */
#include <stdio.h>
#include <string.h>

#include "relay/tunnel_peer.h"
#include "relay/udp_ferry.h"

/* ---- member_ops ---- */

static int tunnel_member_open(struct member *member, struct worker *worker,
                              struct open_request *request)
{
    return tunnel_open_start(tunnel_member_of(member), worker, request);
}

static void tunnel_member_cancel(struct member *member, struct open_request *request)
{
    tunnel_open_cancel(request);
}

static struct datagram_end *tunnel_member_open_here(struct member *base, struct worker *worker,
                                                    const struct datagram_request *request,
                                                    enum reason *reason)
{
    struct tunnel_peer *peer = tunnel_member_peer(tunnel_member_of(base), worker);
    struct wire_flow flow = {.source = request->source, .destination = request->destination};

    *reason = REASON_TUNNEL_LOST;
    if (!peer)
        return NULL;
    *reason = REASON_NO_SERVICE;
    if (!tunnel_peer_offers(peer, request->service, PROTOCOL_UDP))
        return NULL;
    snprintf(flow.service, sizeof(flow.service), "%s", request->service);
    return tunnel_sessions_open(&peer->sessions, &flow, reason);
}

/* One of the workers that have it; users are spread over them. */
static struct worker *tunnel_member_place(const struct tunnel_member *member,
                                          const struct addr *source)
{
    uint64_t places = atomic_load(&member->member.places);
    uint64_t turn = addr_hash(source, 0) % (uint64_t)__builtin_popcountll(places);

    while (turn--)
        places &= places - 1;
    return member->share->by_worker[__builtin_ctzll(places)]->worker;
}

/* A user's datagrams come to one worker, whose they stay; they are carried where the client has no
 * connection there. */
static struct datagram_end *tunnel_member_open_datagrams(struct member *base, struct worker *worker,
                                                         const struct datagram_request *request,
                                                         enum reason *reason)
{
    struct tunnel_member *member = tunnel_member_of(base);
    struct worker *place = worker;
    struct datagram_end *end;

    if (!member_is_at(base, worker->index)) {
        tunnel_member_want(member, worker);
        place = tunnel_member_place(member, &request->source);
    }
    if (place == worker)
        return tunnel_member_open_here(base, worker, request, reason);
    end = udp_ferry_new(worker, place, base, request, tunnel_member_open_here);
    *reason = REASON_NO_MEMORY;
    return end;
}

static void tunnel_member_missed(struct member *member, struct worker *worker)
{
    tunnel_member_want(tunnel_member_of(member), worker);
}

static void tunnel_member_unused(struct member *member)
{
    tunnel_registrar_unused(tunnel_member_of(member));
}

const struct member_ops tunnel_member_ops = {
    .open = tunnel_member_open,
    .cancel = tunnel_member_cancel,
    .open_datagrams = tunnel_member_open_datagrams,
    .missed = tunnel_member_missed,
    .unused = tunnel_member_unused,
};

/* ---- this worker's connections ---- */

struct tunnel_peer *tunnel_member_peer(const struct tunnel_member *member,
                                       const struct worker *worker)
{
    const struct list *peers = &member->posts[worker->index].peers;
    struct tunnel_peer *peer;

    if (list_empty(peers))
        return NULL;
    peer = container_of(peers->next, struct tunnel_peer, member_link);
    peer->used_ns = worker->now_ns;
    return peer;
}

bool tunnel_peer_offers(const struct tunnel_peer *peer, const char *service, enum protocol protocol)
{
    for (uint32_t i = 0; i < peer->service_count; i++)
        if (!strcmp(peer->services[i].name, service))
            return peer->services[i].protocols & protocol;
    return false;
}

/* The newest connection comes first: what is new goes there. */
void tunnel_member_attach(struct tunnel_member *member, struct tunnel_peer *peer)
{
    uint32_t worker = peer->server->worker->index;

    peer->member = member;
    list_append(member->posts[worker].peers.next, &peer->member_link);
    atomic_fetch_or(&member->member.places, 1ull << worker);
    tunnel_member_suspected(member, false);
}

/* The last place stays noted: no place at all would mean any. */
static bool member_leave_place(struct tunnel_member *member, uint32_t worker)
{
    uint64_t bit = 1ull << worker, places = atomic_load(&member->member.places);

    while (places != bit &&
           !atomic_compare_exchange_weak(&member->member.places, &places, places & ~bit))
        ;
    return places != bit;
}

void tunnel_member_detach(struct tunnel_peer *peer)
{
    struct tunnel_member *member = peer->member;
    uint32_t worker = peer->server->worker->index;

    peer->member = NULL;
    list_remove(&peer->member_link);
    if (list_empty(&member->posts[worker].peers))
        member_leave_place(member, worker);
}

/* Another connection on this worker keeps the place. */
bool tunnel_member_leave_place(struct tunnel_peer *peer)
{
    uint32_t worker = peer->server->worker->index;
    const struct list *peers = &peer->member->posts[worker].peers;

    return peers->next->next != peers || member_leave_place(peer->member, worker);
}

void tunnel_member_take_place(struct tunnel_peer *peer)
{
    atomic_fetch_or(&peer->member->member.places, 1ull << peer->server->worker->index);
}

/* Any worker may say so, and none after the pool has let it go. */
void tunnel_member_suspected(struct tunnel_member *member, bool suspect)
{
    enum member_state from = suspect ? MEMBER_FIT : MEMBER_SUSPECT;

    atomic_compare_exchange_strong(&member->member.state, &from,
                                   suspect ? MEMBER_SUSPECT : MEMBER_FIT);
}
