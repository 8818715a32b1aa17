/* Who is registered, over all workers: worker 0 keeps the list of client instances, and tickets go
 * there by mail (at once, where the peer is worker 0's own). */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/mem.h"
#include "relay/tunnel_peer.h"

enum { REGISTRAR = 0 };

static struct tunnel_share *ticket_share(const struct tunnel_ticket *ticket)
{
    return ticket->peer->server->share;
}

static struct worker *ticket_worker(const struct tunnel_ticket *ticket)
{
    return ticket->peer->server->worker;
}

static struct worker *registrar_worker(const struct tunnel_share *share)
{
    return share->by_worker[REGISTRAR]->worker;
}

static void ticket_go(struct mail *mail, struct worker *from, struct worker *to, mail_fn *run)
{
    mail->run = run;
    if (from == to)
        run(mail);
    else
        worker_post(to, mail);
}

/* ---- on the peer's worker: answers ---- */

static void ticket_joined(struct mail *mail)
{
    struct tunnel_ticket *ticket = container_of(mail, struct tunnel_ticket, mail);

    ticket->state = ticket->member ? TICKET_HELD : TICKET_NONE;
    tunnel_peer_joined(ticket->peer);
}

static void ticket_left(struct mail *mail)
{
    struct tunnel_ticket *ticket = container_of(mail, struct tunnel_ticket, mail);

    ticket->state = TICKET_NONE;
    tunnel_peer_left(ticket->peer);
}

static void ticket_replaced(struct mail *mail)
{
    tunnel_peer_replaced(container_of(mail, struct tunnel_ticket, replace_mail)->peer);
}

/* ---- on the registrar: instances ---- */

struct instance_key {
    const char *name;
    const uint8_t *instance;
};

/* Clients choose their instance ids, but not the seed. */
static uint64_t instance_hash(const struct tunnel_share *share, const uint8_t *instance)
{
    uint64_t halves[2];
    unsigned __int128 product;

    memcpy(halves, instance, sizeof(halves));
    product = (unsigned __int128)(halves[0] ^ share->instance_seed) *
              ((halves[1] ^ ~share->instance_seed) | 1);
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* An instance id alone proves nothing: it counts together with the identity. */
static bool instance_matches(const struct table_entry *entry, const void *key)
{
    const struct tunnel_member *member =
        container_of((void *)(uintptr_t)entry, struct tunnel_member, entry);
    const struct instance_key *wanted = key;

    return !member->retired && !strcmp(member->member.name, wanted->name) &&
           !memcmp(member->instance, wanted->instance, WIRE_INSTANCE_SIZE);
}

static struct tunnel_member *registrar_find(const struct tunnel_share *share, const char *name,
                                            const uint8_t *instance)
{
    struct instance_key key = {name, instance};
    struct table_entry *entry =
        table_find(&share->instances, instance_hash(share, instance), instance_matches, &key);

    return entry ? container_of(entry, struct tunnel_member, entry) : NULL;
}

static void registrar_free(struct tunnel_member *member)
{
    struct tunnel_share *share = member->share;

    list_remove(&member->link);
    table_remove(&share->instances, &member->entry);
    share->member_count--;
    mem_free(member);
    tunnel_server_settle(share->by_worker[REGISTRAR]);
}

/* Its first place is where its first peer is about to be. */
static struct tunnel_member *registrar_make(struct tunnel_share *share,
                                            const struct tunnel_ticket *ticket)
{
    size_t size = sizeof(struct tunnel_member) + share->workers * sizeof(struct tunnel_post);
    struct tunnel_member *member = mem_new(size);

    if (!member)
        return NULL;
    member->member.ops = &tunnel_member_ops;
    member->member.tier = TIER_NORMAL;
    member->member.places = 1ull << ticket_worker(ticket)->index;
    snprintf(member->member.name, sizeof(member->member.name), "%s", ticket->peer->name);
    snprintf(member->label, sizeof(member->label), "%s", ticket->label);
    memcpy(member->instance, ticket->instance, WIRE_INSTANCE_SIZE);
    member->share = share;
    list_init(&member->tickets);
    for (uint32_t i = 0; i < share->workers; i++)
        list_init(&member->posts[i].peers);
    list_append(&share->members, &member->link);
    table_insert(&share->instances, &member->entry, instance_hash(share, ticket->instance));
    share->member_count++;
    if (backend_pool_add(share->pool, &member->member) < 0) {
        registrar_free(member);
        return NULL;
    }
    return member;
}

static enum wire_code registrar_take(struct tunnel_share *share, struct tunnel_ticket *ticket)
{
    struct tunnel_member *member = registrar_find(share, ticket->peer->name, ticket->instance);

    if (!member && backend_pool_count(share->pool) >= share->settings->max_clients)
        return WIRE_CODE_MAX_CLIENTS;
    if (!member)
        member = registrar_make(share, ticket);
    if (!member)
        return WIRE_CODE_NO_MEMORY;
    ticket->member = member;
    return WIRE_CODE_NONE;
}

/* A connection of the same slot makes way for the newer one, wherever it is. */
static void registrar_replace(const struct tunnel_ticket *newer)
{
    struct tunnel_member *member = newer->member;
    struct worker *here = registrar_worker(member->share);

    for (struct list *at = member->tickets.next, *next; at != &member->tickets; at = next) {
        struct tunnel_ticket *ticket = container_of(at, struct tunnel_ticket, link);

        next = at->next;
        if (ticket->slot != newer->slot || ticket->replaced)
            continue;
        ticket->replaced = true;
        ticket_go(&ticket->replace_mail, here, ticket_worker(ticket), ticket_replaced);
    }
}

static void registrar_retire(struct tunnel_member *member)
{
    if (member->retired)
        return;
    member->retired = true;
    backend_pool_remove(member->share->pool, &member->member);
}

static void registrar_settle(struct tunnel_member *member)
{
    if (member->unused && list_empty(&member->tickets))
        registrar_free(member);
}

void tunnel_registrar_unused(struct tunnel_member *member)
{
    member->unused = true;
    registrar_settle(member);
}

static void ticket_joins(struct mail *mail)
{
    struct tunnel_ticket *ticket = container_of(mail, struct tunnel_ticket, mail);
    struct tunnel_share *share = ticket_share(ticket);

    ticket->code = registrar_take(share, ticket);
    if (ticket->member) {
        registrar_replace(ticket);
        list_append(&ticket->member->tickets, &ticket->link);
    }
    ticket_go(mail, registrar_worker(share), ticket_worker(ticket), ticket_joined);
}

struct doubt {
    struct mail mail;
    struct tunnel_peer *peer;
};

/* One that is leaving, or suspect already, is past doubt. */
static void doubt_arrived(struct mail *mail)
{
    struct doubt *doubt = container_of(mail, struct doubt, mail);

    if (doubt->peer->member)
        tunnel_watch_suspect(&doubt->peer->watch);
    mem_free(doubt);
}

/* A suspect that loses the connection it is suspect for is asked for a sign of life on its others:
 * whichever hears one clears it.  Without memory the next heartbeat asks. */
static void registrar_doubt(const struct tunnel_member *member)
{
    struct worker *here = registrar_worker(member->share);

    for (const struct list *at = member->tickets.next; at != &member->tickets; at = at->next) {
        struct tunnel_ticket *ticket =
            container_of((struct list *)(uintptr_t)at, struct tunnel_ticket, link);
        struct doubt *doubt = mem_new(sizeof(*doubt));

        if (!doubt)
            return;
        doubt->peer = ticket->peer;
        ticket_go(&doubt->mail, here, ticket_worker(ticket), doubt_arrived);
    }
}

/* The last one to leave closes the door behind it. */
static void ticket_leaves(struct mail *mail)
{
    struct tunnel_ticket *ticket = container_of(mail, struct tunnel_ticket, mail);
    struct worker *here = registrar_worker(ticket_share(ticket));
    struct tunnel_member *member = ticket->member;

    list_remove(&ticket->link);
    if (list_empty(&member->tickets) && !member->retired)
        registrar_retire(member); /* may free it */
    else if (list_empty(&member->tickets))
        registrar_settle(member);
    else if (atomic_load(&member->member.state) == MEMBER_SUSPECT)
        registrar_doubt(member);
    ticket_go(mail, here, ticket_worker(ticket), ticket_left);
}

/* The oldest comes first: often the client's first connection. */
struct tunnel_peer *tunnel_registrar_peer(const struct tunnel_share *share, const char *name,
                                          const uint8_t *instance)
{
    const struct tunnel_member *member = registrar_find(share, name, instance);

    if (!member || list_empty(&member->tickets))
        return NULL;
    return container_of(member->tickets.next, struct tunnel_ticket, link)->peer;
}

static void ticket_retires(struct mail *mail)
{
    registrar_retire(container_of(mail, struct tunnel_ticket, retire_mail)->member);
}

/* ---- from the peer's worker ---- */

static void ticket_send(struct tunnel_ticket *ticket, struct mail *mail, mail_fn *run)
{
    ticket_go(mail, ticket_worker(ticket), registrar_worker(ticket_share(ticket)), run);
}

void tunnel_registrar_join(struct tunnel_peer *peer, const struct wire_register *reg)
{
    struct tunnel_ticket *ticket = &peer->ticket;

    must(ticket->state == TICKET_NONE);
    ticket->state = TICKET_ASKED;
    ticket->peer = peer;
    ticket->slot = reg->slot;
    list_init(&ticket->link);
    memcpy(ticket->instance, reg->instance, WIRE_INSTANCE_SIZE);
    snprintf(ticket->label, sizeof(ticket->label), "%s", reg->label);
    ticket_send(ticket, &ticket->mail, ticket_joins);
}

void tunnel_registrar_leave(struct tunnel_peer *peer)
{
    struct tunnel_ticket *ticket = &peer->ticket;

    must(ticket->state == TICKET_HELD);
    ticket->state = TICKET_LEAVING;
    ticket_send(ticket, &ticket->mail, ticket_leaves);
}

void tunnel_registrar_retire(struct tunnel_peer *peer)
{
    struct tunnel_ticket *ticket = &peer->ticket;

    if (ticket->retired || ticket->state != TICKET_HELD)
        return;
    ticket->retired = true;
    ticket_send(ticket, &ticket->retire_mail, ticket_retires);
}

/* ---- when settings change ---- */

void tunnel_registrar_switch(struct tunnel_share *share, const struct tunnel_settings *settings)
{
    const struct pool_options options = {.balance = settings->balance};

    share->settings = settings;
    backend_pool_adjust(share->pool, &options);
}

bool tunnel_registrar_is_quiet(const struct tunnel_share *share)
{
    for (const struct list *at = share->members.next; at != &share->members; at = at->next)
        if (member_active(
                &container_of((struct list *)(uintptr_t)at, struct tunnel_member, link)->member))
            return false;
    return true;
}
