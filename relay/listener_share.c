/* What the workers share of a [listener]: its sockets and limits. */
#include <errno.h>
#include <stdio.h>

#include "relay/listener.h"

static int share_make_rates(struct listener_share *share, struct os *os,
                            const struct listener_settings *settings)
{
    uint64_t seed;

    if (!settings->rate_limit.interval_ns)
        return 0;
    os->random(os, &seed, sizeof(seed));
    share->rates = rate_table_new(&settings->rate_limit, seed);
    return share->rates ? 0 : -ENOMEM;
}

static int share_make_sources(struct listener_share *share, struct os *os,
                              const struct listener_settings *settings)
{
    uint64_t seed;

    if (!(settings->protocol & PROTOCOL_UDP))
        return 0;
    os->random(os, &seed, sizeof(seed));
    share->udp = udp_sources_new(seed);
    return share->udp ? 0 : -ENOMEM;
}

static void share_free_counts(struct listener_share *share)
{
    rate_table_free(&share->rates);
    udp_sources_free(&share->udp);
}

int listener_share_open(struct listener_share *share, struct os *os,
                        const struct listener_settings *settings, uint32_t workers, char *error,
                        size_t error_size)
{
    int rc = share_make_rates(share, os, settings);

    if (!rc)
        rc = share_make_sources(share, os, settings);
    if (rc)
        snprintf(error, error_size, "listener %s: %s", settings->name,
                 reason_text(REASON_NO_MEMORY));
    else
        rc = bindings_open(&share->bindings, os, settings, workers, error, error_size);
    if (rc)
        share_free_counts(share);
    return rc;
}

void listener_share_close(struct listener_share *share)
{
    bindings_close(&share->bindings);
    share_free_counts(share);
}
