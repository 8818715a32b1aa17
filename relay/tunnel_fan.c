/* Further connections to a server with several workers, one for each: so users find their tunnel on
 * the worker that accepted them.  The first link knows how many workers there are and wakes the
 * others, which live on workers of ours, each on its own. */
#include <errno.h>

#include "core/mem.h"
#include "relay/tunnel_link.h"

#define FAN_NS 5000000000ull /* lost ones are woken again so often */
enum { PLACE_TRIES = 3 };

struct wish {
    struct mail mail;
    struct tunnel_link *link;
    uint32_t worker, workers;
};

int client_share_open(struct client_share *share, struct os *os,
                      const struct client_settings *settings, uint32_t workers)
{
    size_t count = (size_t)settings->server_count * SETTINGS_CONNECTIONS_MAX;

    *share = (struct client_share){.workers = workers};
    os->random(os, share->instance, sizeof(share->instance));
    share->links = mem_new((count + 1) * sizeof(struct tunnel_link *));
    return share->links ? 0 : -ENOMEM;
}

void client_share_close(struct client_share *share)
{
    mem_free(share->links);
    share->links = NULL;
}

static void wish_arrived(struct mail *mail)
{
    struct wish *wish = container_of(mail, struct wish, mail);

    tunnel_link_wake(wish->link, wish->worker, wish->workers);
    mem_free(wish);
}

/* Without memory now: it is asked again soon. */
static void fan_wake(struct worker *here, struct tunnel_link *link, uint32_t worker,
                     uint32_t workers)
{
    struct worker *there = link->client->options.worker;
    struct wish *wish;

    if (here == there) {
        tunnel_link_wake(link, worker, workers);
        return;
    }
    wish = mem_new(sizeof(*wish));
    if (!wish)
        return;
    *wish =
        (struct wish){.mail.run = wish_arrived, .link = link, .worker = worker, .workers = workers};
    worker_post(there, &wish->mail);
}

void tunnel_fan_out(struct tunnel_link *first)
{
    const struct client_share *share = first->client->options.share;
    struct tunnel_link *const *links = &share->links[first->index * SETTINGS_CONNECTIONS_MAX];
    uint32_t workers = first->server_workers;

    first->fan_ns = first->asked ? UINT64_MAX : first->client->options.worker->now_ns + FAN_NS;
    for (uint32_t slot = 1; slot < workers && slot < SETTINGS_CONNECTIONS_MAX; slot++)
        if (links[slot])
            fan_wake(first->client->options.worker, links[slot],
                     (first->server_worker + slot) % workers, workers);
}

/* The slots follow each other from the first one's worker on, which reconnects unasked. */
void tunnel_fan_want(struct tunnel_link *link, uint32_t worker)
{
    const struct client_share *share = link->client->options.share;
    uint32_t workers = link->server_workers, slot;
    struct tunnel_link *wanted;

    if (worker >= workers)
        return;
    slot = (worker + workers - link->server_worker + link->slot) % workers;
    if (!slot || slot >= SETTINGS_CONNECTIONS_MAX)
        return;
    wanted = share->links[link->index * SETTINGS_CONNECTIONS_MAX + slot];
    if (wanted)
        fan_wake(link->client->options.worker, wanted, worker, workers);
}

/* What stands between may not lead to the worker we name; after some tries any will do. */
bool tunnel_fan_keeps_place(struct tunnel_link *link, const struct wire_registered *told)
{
    if (!link->slot && link->server_workers != told->worker_count) {
        link->server_workers = told->worker_count;
        link->server_worker = told->worker;
    }
    if (told->worker == link->server_worker || !link->slot || ++link->misplaced >= PLACE_TRIES) {
        link->misplaced = 0;
        return true;
    }
    return false;
}
