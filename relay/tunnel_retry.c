/* When a client tries again.  While a loss is fresh the server is probably about to come back:
 * short tries, short pauses.  A server that refuses us in words, or is gone for long, is asked ever
 * more rarely. */
#include "relay/tunnel_link.h"

enum { FRESH_TRIES = 30, LONG_TRY_EACH = 4 };
#define SHORT_TRY_NS 1000000000ull
#define LONG_TRY_NS  5000000000ull

/* Until a round trip is known every fourth try is a long one, for paths that need it. */
uint64_t tunnel_retry_patience(const struct tunnel_link *link)
{
    uint64_t known = 6 * link->rtt_ns;

    if (link->rtt_ns)
        return known > SHORT_TRY_NS ? known : SHORT_TRY_NS;
    return link->tries % LONG_TRY_EACH == LONG_TRY_EACH - 1 ? LONG_TRY_NS : SHORT_TRY_NS;
}

static uint64_t retry_random(struct tunnel_link *link, uint64_t below)
{
    struct os *os = link->client->options.worker->os;
    uint64_t value;

    os->random(os, &value, sizeof(value));
    return below ? value % below : 0;
}

static uint64_t retry_base(struct tunnel_link *link)
{
    const struct client_settings *settings = link->client->settings;
    uint64_t pause = settings->reconnect_min_ns;

    if (link->tries < FRESH_TRIES && !link->refused)
        return pause;
    for (uint32_t i = 0; i < link->delays && pause < settings->reconnect_max_ns; i++)
        pause *= 2;
    link->delays++;
    return pause < settings->reconnect_max_ns ? pause : settings->reconnect_max_ns;
}

/* Straight after a loss clients come back spread over reconnect_min, later over half their pause.
 */
uint64_t tunnel_retry_pause(struct tunnel_link *link)
{
    uint64_t base = retry_base(link);

    if (!link->tries && !link->refused)
        return retry_random(link, base);
    return base + retry_random(link, base / 2);
}
