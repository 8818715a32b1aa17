/* Connections of a client beside its first, seen from the server: asked for where users would have
 * liked one, ended where nobody came for long.
 *
 * Who wants one may have no connection of that client on its worker, so the wish goes by the
 * registrar to a worker that has, and comes back: its server waits for it. */
#include <stdio.h>
#include <string.h>

#include "core/mem.h"
#include "relay/tunnel_peer.h"

#define WANT_EACH_NS  1000000000ull   /* a worker asks a client so often */
#define UNUSED_MAX_NS 300000000000ull /* then a further connection is ended, */
#define PARTING_NS    1000000000ull   /* once what is on its way to this worker has come */

struct want {
    struct mail mail;
    struct tunnel_server *from;
    struct tunnel_peer *peer;
    char name[SETTINGS_NAME_SIZE];
    uint8_t instance[WIRE_INSTANCE_SIZE];
};

static void want_go(struct want *want, struct worker *from, struct worker *to, mail_fn *run)
{
    want->mail.run = run;
    if (from == to)
        run(&want->mail);
    else
        worker_post(to, &want->mail);
}

static void want_returned(struct mail *mail)
{
    struct want *want = container_of(mail, struct want, mail);
    struct tunnel_server *from = want->from;

    mem_free(want);
    from->wants--;
    tunnel_server_settle(from);
}

static void want_told(struct mail *mail)
{
    struct want *want = container_of(mail, struct want, mail);
    struct tunnel_peer *peer = want->peer;

    if (!peer->closed)
        tunnel_peer_want(peer, (uint16_t)want->from->worker->index);
    want_go(want, peer->server->worker, want->from->worker, want_returned);
}

static void want_asked(struct mail *mail)
{
    struct want *want = container_of(mail, struct want, mail);
    struct tunnel_share *share = want->from->share;
    struct worker *here = share->by_worker[0]->worker;

    want->peer = tunnel_registrar_peer(share, want->name, want->instance);
    if (want->peer)
        want_go(want, here, want->peer->server->worker, want_told);
    else
        want_go(want, here, want->from->worker, want_returned);
}

/* Without memory now: the next user asks again. */
void tunnel_member_want(struct tunnel_member *member, struct worker *worker)
{
    struct tunnel_post *post = &member->posts[worker->index];
    struct want *want;

    if (worker->now_ns < post->want_ns)
        return;
    post->want_ns = worker->now_ns + WANT_EACH_NS;
    want = mem_new(sizeof(*want));
    if (!want)
        return;
    want->from = member->share->by_worker[worker->index];
    want->from->wants++;
    memcpy(want->instance, member->instance, WIRE_INSTANCE_SIZE);
    snprintf(want->name, sizeof(want->name), "%s", member->member.name);
    want_go(want, worker, member->share->by_worker[0]->worker, want_asked);
}

/* ---- ends ---- */

static bool peer_in_use(const struct tunnel_peer *peer)
{
    struct quic_stats stats;

    quic_stats(peer->quic, &stats);
    return stats.streams > 1 || peer->sessions.count; /* one is the control stream */
}

uint64_t tunnel_peer_part(struct tunnel_peer *peer)
{
    uint64_t now = peer->server->worker->now_ns;

    if (peer_in_use(peer))
        peer->used_ns = now;
    if (!peer->ticket.slot || !(peer->features & WIRE_FEATURE_WANT) ||
        now - peer->used_ns < UNUSED_MAX_NS)
        return 0;
    peer->parting = tunnel_member_leave_place(peer);
    return peer->parting ? PARTING_NS : 0;
}

bool tunnel_peer_parted(struct tunnel_peer *peer)
{
    peer->parting = false;
    if (!peer_in_use(peer))
        return true;
    tunnel_member_take_place(peer);
    return false;
}
