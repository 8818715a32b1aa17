/* The client's end of all its tunnels: its links and services, and its way down. */
#include "relay/tunnel_client.h"

#include <stdio.h>
#include <string.h>

#include "core/mem.h"
#include "core/state.h"
#include "relay/tunnel_link.h"

enum client_state {
    CLIENT_NEW,
    CLIENT_RUNNING,
    CLIENT_DRAINING,
    CLIENT_STOPPING,
    CLIENT_STOPPED,
    CLIENT_STATE_COUNT
};
static const char *const client_state_names[] = {"new", "running", "draining", "stopping",
                                                 "stopped"};
static const uint32_t client_state_next[] = {
    [CLIENT_NEW] = STATE_BIT(CLIENT_RUNNING) | STATE_BIT(CLIENT_STOPPING),
    [CLIENT_RUNNING] = STATE_BIT(CLIENT_DRAINING) | STATE_BIT(CLIENT_STOPPING),
    [CLIENT_DRAINING] = STATE_BIT(CLIENT_STOPPING),
    [CLIENT_STOPPING] = STATE_BIT(CLIENT_STOPPED),
    [CLIENT_STOPPED] = 0,
};
static const struct state_table client_states = {"tunnel client", client_state_names,
                                                 client_state_next, CLIENT_STATE_COUNT};

static void client_move(struct tunnel_client *client, enum client_state state)
{
    state_move(&client_states, &client->state, state);
}

bool tunnel_client_reconnects(const struct tunnel_client *client)
{
    return client->state == CLIENT_RUNNING;
}

uint32_t tunnel_client_active(const struct tunnel_client *client)
{
    return client->services.active;
}

/* ---- the way down ---- */

static bool client_links_stopped(const struct tunnel_client *client)
{
    for (struct list *at = client->links.next; at != &client->links; at = at->next)
        if (!tunnel_link_is_stopped(container_of(at, struct tunnel_link, link)))
            return false;
    return true;
}

static void client_tell_drained(struct tunnel_client *client)
{
    tunnel_client_fn *drained = client->drained;

    client->drained = NULL;
    drained(client->drained_context);
}

/* Those whose server is not ours any more have ended. */
static void client_free_left(struct tunnel_client *client)
{
    struct list *next;

    for (struct list *at = client->links.next; at != &client->links; at = next) {
        struct tunnel_link *link = container_of(at, struct tunnel_link, link);

        next = at->next;
        if (link->leaving && tunnel_link_is_stopped(link))
            tunnel_link_free(link);
    }
}

static void client_settled(struct task *task)
{
    struct tunnel_client *client = container_of(task, struct tunnel_client, settling);
    bool quiet = !client->services.active;

    if (client->state == CLIENT_RUNNING && !client->changing)
        client_free_left(client);
    if (client->state == CLIENT_DRAINING && quiet && client->drained)
        client_tell_drained(client);
    if (client->state == CLIENT_STOPPING && quiet && !client->services.asked &&
        client_links_stopped(client)) {
        client_move(client, CLIENT_STOPPED);
        client->idle(client->idle_context);
    }
}

void tunnel_client_settle(struct tunnel_client *client)
{
    if (client->state != CLIENT_NEW)
        worker_defer(client->options.worker, &client->settling);
}

static void client_quieter(struct services *services)
{
    tunnel_client_settle(container_of(services, struct tunnel_client, services));
}

void tunnel_client_drain(struct tunnel_client *client, tunnel_client_fn *drained, void *context)
{
    if (client->state != CLIENT_RUNNING)
        return;
    client_move(client, CLIENT_DRAINING);
    client->drained = drained;
    client->drained_context = context;
    client->services.draining = true;
    for (struct list *at = client->links.next; at != &client->links; at = at->next)
        tunnel_link_drain(container_of(at, struct tunnel_link, link));
    tunnel_client_settle(client);
}

void tunnel_client_stop(struct tunnel_client *client, tunnel_client_fn *idle, void *context)
{
    client_move(client, CLIENT_STOPPING);
    client->idle = idle;
    client->idle_context = context;
    client->services.draining = true;
    for (struct list *at = client->links.next; at != &client->links; at = at->next)
        tunnel_link_stop(container_of(at, struct tunnel_link, link));
    tunnel_client_settle(client);
}

/* ---- the way up ---- */

void tunnel_client_start(struct tunnel_client *client)
{
    client_move(client, CLIENT_RUNNING);
    services_start(&client->services);
    for (struct list *at = client->links.next; at != &client->links; at = at->next)
        tunnel_link_start(container_of(at, struct tunnel_link, link));
}

void tunnel_client_take_tls(struct tunnel_client *client)
{
    struct tls_context **next = &client->options.share->next_tls[client->options.worker->index];
    struct tls_context *old = client->tls;

    client->tls = *next;
    *next = NULL;
    tls_context_free(&old);
}

/* Servers and their further connections go round the workers. */
bool tunnel_client_make_links(struct tunnel_client *client, struct tunnel_group *group,
                              struct list *links)
{
    const struct client_settings *settings = client->settings;
    struct client_share *share = client->options.share;
    uint32_t most = settings->connections ? settings->connections : SETTINGS_CONNECTIONS_MAX;

    for (uint32_t slot = 0; slot < most; slot++) {
        if ((group->index + slot) % share->workers != client->options.worker->index)
            continue;
        if (!tunnel_link_new(client, group, (uint8_t)slot, links))
            return false;
    }
    return true;
}

static bool client_make_parts(struct tunnel_client *client, char *error, size_t error_size)
{
    const struct settings *settings = client->options.settings;
    bool made =
        services_init(&client->services, client->options.worker, settings, client_quieter) == 0;

    for (uint32_t i = 0; made && i < settings->client.server_count; i++)
        made = tunnel_client_make_links(client, client->options.share->groups[i], &client->links);
    if (!made)
        snprintf(error, error_size, "[client] %s", reason_text(REASON_NO_MEMORY));
    return made;
}

/* REGISTER has room for so many. */
static bool client_offer_fits(const struct settings *settings, char *error, size_t error_size)
{
    if (settings->service_count <= WIRE_SERVICES_MAX)
        return true;
    snprintf(error, error_size, "[client] more than %d services", WIRE_SERVICES_MAX);
    return false;
}

struct tunnel_client *tunnel_client_new(const struct tunnel_client_options *options, char *error,
                                        size_t error_size)
{
    struct tunnel_client *client = mem_new(sizeof(*client));

    if (!client) {
        snprintf(error, error_size, "%s", reason_text(REASON_NO_MEMORY));
        return NULL;
    }
    client->options = *options;
    client->settings = &options->settings->client;
    list_init(&client->links);
    list_init(&client->next);
    task_init(&client->settling, client_settled);
    tunnel_client_take_tls(client);
    if (!client_offer_fits(options->settings, error, error_size) ||
        !client_make_parts(client, error, error_size))
        tunnel_client_free(&client);
    return client;
}

void tunnel_client_free(struct tunnel_client **client)
{
    struct tunnel_client *c = *client;
    struct list *first;

    if (!c)
        return;
    tunnel_client_forget(c);
    while ((first = c->links.next) != &c->links)
        tunnel_link_free(container_of(first, struct tunnel_link, link));
    task_cancel(&c->settling);
    services_release(&c->services);
    tls_context_free(&c->tls);
    mem_free(c);
    *client = NULL;
}
