/* What the workers share of a [tunnel]: its ports and its pool. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/mem.h"
#include "relay/tunnel_server.h"

static int share_bind(struct tunnel_share *share, struct os *os, uint32_t index, char *error,
                      size_t error_size)
{
    const struct addr *addr = &share->settings->listen.items[index];
    char text[ADDR_TEXT_SIZE];
    int failed;

    share->ports[index] = quic_port_bind(os, addr, share->workers, &failed);
    if (share->ports[index])
        return 0;
    snprintf(error, error_size, "[tunnel %s] listen %s: %s", share->settings->name,
             addr_format(addr, text), strerror(-failed));
    return failed;
}

static int share_make(struct tunnel_share *share, struct os *os, struct worker *owner)
{
    const struct tunnel_settings *settings = share->settings;
    const struct pool_options pool = {.name = settings->name,
                                      .balance = settings->balance,
                                      .owner = owner,
                                      .workers = share->workers};

    list_init(&share->members);
    os->random(os, share->instance, sizeof(share->instance));
    os->random(os, &share->instance_seed, sizeof(share->instance_seed));
    share->ports = mem_new((settings->listen.count + 1) * sizeof(struct quic_port *));
    share->pool = backend_pool_new(&pool);
    return share->ports && share->pool ? table_init(&share->instances) : -ENOMEM;
}

/* Here, where nobody waits for it: a bundle of authorities takes milliseconds to read. */
static int share_load_tls(struct tunnel_share *share, const struct tunnel_settings *settings,
                          char *error, size_t error_size)
{
    const struct tls_settings *tls = settings->tls;
    const struct tls_files files = {.cert = tls->cert, .key = tls->key, .ca = tls->ca};
    bool loaded = true;

    for (uint32_t i = 0; loaded && i < share->workers; i++) {
        share->next_tls[i] = tls_server_new(&files, TLS_CLIENT_REQUIRED, error, error_size);
        loaded = share->next_tls[i];
    }
    return loaded ? 0 : -EINVAL;
}

int tunnel_share_open(struct tunnel_share *share, struct os *os,
                      const struct tunnel_settings *settings, struct worker *const *workers,
                      uint32_t count, char *error, size_t error_size)
{
    int rc;

    *share = (struct tunnel_share){.settings = settings, .workers = count, .fresh = true};
    rc = share_make(share, os, workers[0]);
    if (rc)
        snprintf(error, error_size, "[tunnel %s] %s", settings->name,
                 reason_text(REASON_NO_MEMORY));
    else
        rc = share_load_tls(share, settings, error, error_size);
    for (uint32_t i = 0; !rc && i < settings->listen.count; i++)
        rc = share_bind(share, os, i, error, error_size);
    if (rc)
        tunnel_share_close(share);
    return rc;
}

int tunnel_share_prepare(struct tunnel_share *share, const struct tunnel_settings *settings,
                         char *error, size_t error_size)
{
    int rc = share_load_tls(share, settings, error, error_size);

    share->fresh = false;
    if (rc)
        tunnel_share_forget(share);
    return rc;
}

void tunnel_share_forget(struct tunnel_share *share)
{
    for (uint32_t i = 0; i < share->workers; i++)
        tls_context_free(&share->next_tls[i]);
}

void tunnel_share_close(struct tunnel_share *share)
{
    tunnel_share_forget(share);
    for (uint32_t i = 0; share->ports && i < share->settings->listen.count; i++)
        quic_port_free(&share->ports[i]);
    mem_free(share->ports);
    share->ports = NULL;
    backend_pool_free(&share->pool);
    table_release(&share->instances);
}
