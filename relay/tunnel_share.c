/* The ports of a [tunnel], bound for all workers. */
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

int tunnel_share_open(struct tunnel_share *share, struct os *os,
                      const struct tunnel_settings *settings, uint32_t workers, char *error,
                      size_t error_size)
{
    int rc = 0;

    *share = (struct tunnel_share){.settings = settings, .workers = workers};
    os->random(os, share->instance, sizeof(share->instance));
    share->ports = mem_new((settings->listen.count + 1) * sizeof(struct quic_port *));
    if (!share->ports) {
        snprintf(error, error_size, "[tunnel %s] %s", settings->name,
                 reason_text(REASON_NO_MEMORY));
        return -ENOMEM;
    }
    for (uint32_t i = 0; !rc && i < settings->listen.count; i++)
        rc = share_bind(share, os, i, error, error_size);
    if (rc)
        tunnel_share_close(share);
    return rc;
}

void tunnel_share_close(struct tunnel_share *share)
{
    for (uint32_t i = 0; share->ports && i < share->settings->listen.count; i++)
        quic_port_free(&share->ports[i]);
    mem_free(share->ports);
    share->ports = NULL;
}
