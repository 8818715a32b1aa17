/* What the workers share of a [client]: its servers, and which worker has which link to them. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/mem.h"
#include "relay/tunnel_link.h"

void tunnel_group_drop(struct tunnel_group *group)
{
    if (atomic_fetch_sub(&group->owners, 1) == 1)
        mem_free(group);
}

static struct tunnel_group *group_new(struct client_share *share,
                                      const struct client_server *server)
{
    struct tunnel_group *group = mem_new(sizeof(*group));

    if (!group)
        return NULL;
    group->server = *server;
    group->index = share->made++;
    group->owners = 1;
    group->fresh = true;
    return group;
}

static bool servers_are_equal(const struct client_server *a, const struct client_server *b)
{
    return !strcmp(a->server_name, b->server_name) && !strcmp(a->host.name, b->host.name) &&
           a->host.port == b->host.port && a->host.addr.length == b->host.addr.length &&
           (!a->host.addr.length || addr_equal(&a->host.addr, &b->host.addr));
}

static struct tunnel_group *share_find(const struct client_share *share,
                                       const struct client_server *server)
{
    for (uint32_t i = 0; i < share->count; i++) {
        struct tunnel_group *group = share->groups[i];

        if (!group->stays && servers_are_equal(&group->server, server)) {
            group->stays = true;
            group->fresh = false;
            return group;
        }
    }
    return NULL;
}

/* Those that are there already, and new ones. */
static int share_make_groups(struct client_share *share, const struct client_settings *settings)
{
    share->next_groups = mem_new((settings->server_count + 1) * sizeof(*share->next_groups));
    if (!share->next_groups)
        return -ENOMEM;
    for (uint32_t i = 0; i < settings->server_count; i++) {
        struct tunnel_group *group = share_find(share, &settings->servers[i]);

        if (!group)
            group = group_new(share, &settings->servers[i]);
        if (!group)
            return -ENOMEM;
        share->next_groups[share->next_count++] = group;
    }
    return 0;
}

static void share_clear_next(struct client_share *share)
{
    mem_free(share->next_groups);
    share->next_groups = NULL;
    share->next_count = 0;
}

/* Here, where nobody waits for it: a bundle of authorities takes milliseconds to read. */
static int share_load_tls(struct client_share *share, const struct client_settings *settings,
                          char *error, size_t error_size)
{
    const struct tls_settings *tls = settings->tls;
    const struct tls_files files = {.cert = tls->cert, .key = tls->key, .ca = tls->ca};
    bool loaded = true;

    for (uint32_t i = 0; loaded && i < share->workers; i++) {
        share->next_tls[i] = tls_client_new(&files, error, error_size);
        loaded = share->next_tls[i];
    }
    return loaded ? 0 : -EINVAL;
}

static int share_make_next(struct client_share *share, const struct client_settings *settings,
                           char *error, size_t error_size)
{
    int rc = share_load_tls(share, settings, error, error_size);

    if (!rc && share_make_groups(share, settings)) {
        snprintf(error, error_size, "[client] %s", reason_text(REASON_NO_MEMORY));
        rc = -ENOMEM;
    }
    if (rc)
        client_share_forget(share);
    return rc;
}

int client_share_open(struct client_share *share, struct os *os,
                      const struct client_settings *settings, uint32_t workers, char *error,
                      size_t error_size)
{
    int rc;

    *share = (struct client_share){.workers = workers, .fresh = true};
    os->random(os, share->instance, sizeof(share->instance));
    rc = share_make_next(share, settings, error, error_size);
    if (rc)
        return rc;
    share->groups = share->next_groups;
    share->count = share->next_count;
    share->next_groups = NULL;
    share->next_count = 0;
    return 0;
}

int client_share_prepare(struct client_share *share, const struct client_settings *settings,
                         char *error, size_t error_size)
{
    share->fresh = false;
    return share_make_next(share, settings, error, error_size);
}

/* Links that leave keep their group. */
void client_share_settle(struct client_share *share)
{
    for (uint32_t i = 0; i < share->count; i++)
        if (!share->groups[i]->stays)
            tunnel_group_drop(share->groups[i]);
    mem_free(share->groups);
    share->groups = share->next_groups;
    share->count = share->next_count;
    share->next_groups = NULL;
    share_clear_next(share);
    for (uint32_t i = 0; i < share->count; i++)
        share->groups[i]->stays = false;
}

void client_share_forget(struct client_share *share)
{
    for (uint32_t i = 0; i < share->workers; i++)
        tls_context_free(&share->next_tls[i]);
    for (uint32_t i = 0; i < share->next_count; i++)
        if (!share->next_groups[i]->stays)
            tunnel_group_drop(share->next_groups[i]);
    share_clear_next(share);
    for (uint32_t i = 0; i < share->count; i++)
        share->groups[i]->stays = false;
}

void client_share_close(struct client_share *share)
{
    client_share_forget(share);
    for (uint32_t i = 0; i < share->count; i++)
        tunnel_group_drop(share->groups[i]);
    mem_free(share->groups);
    share->groups = NULL;
    share->count = 0;
}
