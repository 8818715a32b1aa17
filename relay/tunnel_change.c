/* The client's end takes other settings: tunnels to servers that stay go on as they are. */
#include <errno.h>
#include <stdio.h>

#include "core/mem.h"
#include "relay/tunnel_link.h"

/* ---- links ---- */

bool tunnel_link_reconnects(const struct tunnel_link *link)
{
    return !link->leaving && tunnel_client_reconnects(link->client);
}

bool tunnel_link_in_use(const struct tunnel_link *link)
{
    struct quic_stats stats;

    quic_stats(link->quic, &stats);
    return stats.streams > 1 || link->sessions.count; /* one is the control stream */
}

/* Its next probe sees whether it is still in use. */
void tunnel_link_leave(struct tunnel_link *link, uint64_t until_ns)
{
    link->leaving = true;
    link->leave_ns = until_ns;
    tunnel_link_drain(link);
    tunnel_client_settle(link->client);
}

void tunnel_link_offer(struct tunnel_link *link)
{
    struct wire_message message;

    if (!link->control.stream) /* its registration will say it */
        return;
    tunnel_dial_offer(link->client, &message);
    tunnel_link_send(link, &message);
}

/* ---- the client ---- */

static bool client_make_next(struct tunnel_client *client)
{
    struct client_share *share = client->options.share;

    for (uint32_t i = 0; i < share->next_count; i++)
        if (share->next_groups[i]->fresh &&
            !tunnel_client_make_links(client, share->next_groups[i], &client->next))
            return false;
    return true;
}

int tunnel_client_prepare(struct tunnel_client *client, const struct tunnel_client_options *options,
                          char *error, size_t error_size)
{
    if (options->settings->service_count > WIRE_SERVICES_MAX) {
        snprintf(error, error_size, "[client] more than %d services", WIRE_SERVICES_MAX);
        return -EINVAL;
    }
    client->next_options = *options;
    if (client_make_next(client) && services_prepare(&client->services, options->settings) == 0)
        return 0;
    snprintf(error, error_size, "[client] %s", reason_text(REASON_NO_MEMORY));
    return -ENOMEM;
}

/* Those to servers that are not among the next ones. */
static void client_leave_links(struct tunnel_client *client)
{
    const struct settings *settings = client->options.settings;
    uint64_t until_ns = client->options.worker->now_ns + settings->process.drain_timeout_ns;

    for (struct list *at = client->links.next; at != &client->links; at = at->next) {
        struct tunnel_link *link = container_of(at, struct tunnel_link, link);

        if (!link->leaving && !link->group->stays)
            tunnel_link_leave(link, until_ns);
    }
}

void tunnel_client_switch(struct tunnel_client *client)
{
    struct list *link;

    client->options = client->next_options;
    client->settings = &client->options.settings->client;
    client->changing = true;
    tunnel_client_take_tls(client);
    client_leave_links(client);
    if (services_switch(&client->services, client->options.settings))
        for (struct list *at = client->links.next; at != &client->links; at = at->next)
            tunnel_link_offer(container_of(at, struct tunnel_link, link));
    while ((link = list_pop(&client->next))) {
        list_append(&client->links, link);
        tunnel_link_start(container_of(link, struct tunnel_link, link));
    }
}

void tunnel_client_settle_change(struct tunnel_client *client)
{
    client->changing = false;
    tunnel_client_settle(client);
}

void tunnel_client_forget(struct tunnel_client *client)
{
    while (!list_empty(&client->next))
        tunnel_link_free(container_of(client->next.next, struct tunnel_link, link));
    services_forget(&client->services);
}
