/* The client's end takes other settings. */
#include "relay/tunnel_link.h"

int tunnel_client_prepare(struct tunnel_client *client, const struct tunnel_client_options *options,
                          char *error, size_t error_size)
{
    return 0;
}

void tunnel_client_switch(struct tunnel_client *client)
{
    uint32_t worker = client->options.worker->index;
    struct client_share *share = client->options.share;
    struct tls_context *old = client->tls;

    client->tls = share->next_tls[worker];
    share->next_tls[worker] = NULL;
    tls_context_free(&old);
}

void tunnel_client_forget(struct tunnel_client *client)
{
}
