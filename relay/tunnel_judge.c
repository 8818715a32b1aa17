/* Whether a client may be here: when it comes, and when settings change. */
#include "core/identity.h"
#include "relay/tunnel_peer.h"

const char *tunnel_peer_allowed_name(const struct tunnel_peer *peer)
{
    const struct identity *identity = quic_peer_identity(peer->quic);
    const struct text_list *allow = &peer->server->settings->allow;
    const char *name = NULL;

    for (uint32_t i = 0; identity && !name && i < allow->count; i++)
        name = identity_match(identity, allow->items[i]);
    return name;
}

/* Before its handshake is complete it is nobody yet. */
void tunnel_peer_judge(struct tunnel_peer *peer)
{
    if (!peer->name[0] || peer->closed || tunnel_peer_allowed_name(peer))
        return;
    tunnel_peer_log(peer, LOG_WARN, "tunnel client is not allowed any more", REASON_NOT_ALLOWED,
                    wire_code_words(WIRE_CODE_NOT_ALLOWED));
    tunnel_peer_close(peer, WIRE_CODE_NOT_ALLOWED, wire_code_words(WIRE_CODE_NOT_ALLOWED));
}
