/* What the ends of a tunnel tell people. */
#include <stdio.h>

#include "relay/tunnel_link.h"
#include "relay/tunnel_peer.h"

/* Handshakes that failed are told at this rate, so many at once; the rest when debugging. */
enum { STRANGERS_TOLD = 50 };
#define STRANGER_NS 100000000ull

void tunnel_link_log(struct tunnel_link *link, enum log_level level, const char *event,
                     enum reason reason, const char *words)
{
    char name[300];
    struct addr addr = {0};

    snprintf(name, sizeof(name), "%s", link->server->server_name);
    if (link->quic)
        quic_peer_addr(link->quic, &addr);
    else if (link->server->host.addr.length)
        addr = link->server->host.addr;
    LOG(tunnel_link_worker(link)->log, level, event, LOG_TEXT("server", name),
        LOG_ADDR("address", &addr), LOG_TEXT("reason", reason_name(reason)),
        LOG_TEXT("text", words));
}

void tunnel_link_tell_registered(const struct tunnel_link *link)
{
    struct addr addr;

    quic_peer_addr(link->quic, &addr);
    LOG(tunnel_link_worker(link)->log, LOG_INFO, "tunnel registered",
        LOG_TEXT("server", link->server->server_name), LOG_ADDR("address", &addr),
        LOG_NUMBER("slot", link->slot));
}

/* A server that stays away is logged once for each reason, not at each try. */
void tunnel_link_tell_failure(struct tunnel_link *link, enum reason reason, const char *words)
{
    bool again = link->tries && link->reason == reason;

    link->reason = reason;
    tunnel_link_log(link, again ? LOG_DEBUG : LOG_WARN, "tunnel not made", reason, words);
}

/* What the server said weighs more than how it was carried. */
static enum reason link_end_reason(const struct quic_closing *closing)
{
    if (closing->by_peer && closing->application)
        return wire_code_reason(closing->code, closing->reason);
    return closing->reason;
}

static bool link_reason_refuses(enum reason reason)
{
    return reason == REASON_NOT_ALLOWED || reason == REASON_VERSION ||
           reason == REASON_CERTIFICATE || reason == REASON_SERVER_NAME ||
           reason == REASON_TLS_FAILED || reason == REASON_NO_ALPN || reason == REASON_PROTOCOL;
}

void tunnel_link_tell_end(struct tunnel_link *link, const struct quic_closing *closing)
{
    enum reason reason = link_end_reason(closing);
    const char *words = closing->text[0] ? closing->text : reason_text(reason);

    if (link->registered && reason == REASON_IDLE_TIMEOUT && closing->application)
        tunnel_link_log(link, LOG_INFO, "further connection rests", reason, words);
    else if (link->registered)
        tunnel_link_log(link, LOG_WARN, "tunnel lost", reason, words);
    else if (!link->refused)
        tunnel_link_tell_failure(link, reason, words);
    link->refused |= link_reason_refuses(reason);
    link->registered = false;
}

void tunnel_peer_tell_registered(const struct tunnel_peer *peer)
{
    const struct tunnel_ticket *ticket = &peer->ticket;
    struct addr addr;

    quic_peer_addr(peer->quic, &addr);
    LOG(peer->server->worker->log, LOG_INFO, "tunnel client registered",
        LOG_TEXT("tunnel", peer->server->settings->name), LOG_TEXT("client", peer->name),
        LOG_ADDR("address", &addr), LOG_TEXT("id", ticket->label[0] ? ticket->label : "-"),
        LOG_NUMBER("slot", ticket->slot));
}

static const char *peer_end_event(const struct tunnel_peer *peer, enum reason reason)
{
    if (peer->member)
        return reason == REASON_IDLE_TIMEOUT ? "tunnel client rests" : "tunnel client lost";
    if (reason == REASON_NOT_ALLOWED)
        return "tunnel client refused";
    return peer->name[0] ? "tunnel client left unregistered" : "tunnel handshake failed";
}

/* Whoever may send packets may not write the log. */
static bool peer_may_be_told_of(struct tunnel_peer *peer)
{
    struct tunnel_server *server = peer->server;
    uint64_t now = server->worker->now_ns;

    if (peer->name[0])
        return true;
    if (server->strangers_told_ns < now)
        server->strangers_told_ns = now;
    if (server->strangers_told_ns - now >= STRANGERS_TOLD * STRANGER_NS)
        return false;
    server->strangers_told_ns += STRANGER_NS;
    return true;
}

static enum log_level peer_end_level(struct tunnel_peer *peer, enum reason reason)
{
    enum log_level level = reason_severity(reason);

    if (peer->member && level < LOG_INFO)
        return LOG_INFO;
    return level > LOG_DEBUG && !peer_may_be_told_of(peer) ? LOG_DEBUG : level;
}

void tunnel_peer_tell_end(struct tunnel_peer *peer, const struct quic_closing *closing)
{
    tunnel_peer_log(peer, peer_end_level(peer, closing->reason),
                    peer_end_event(peer, closing->reason), closing->reason,
                    closing->text[0] ? closing->text : reason_text(closing->reason));
}
