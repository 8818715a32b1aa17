/* What the workers share of a [listener]: its sockets and limits. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/mem.h"
#include "relay/listener.h"

static int share_make_rates(struct os *os, const struct listener_settings *settings,
                            struct rate_table **rates)
{
    uint64_t seed;

    *rates = NULL;
    if (!settings->rate_limit.interval_ns)
        return 0;
    os->random(os, &seed, sizeof(seed));
    *rates = rate_table_new(&settings->rate_limit, seed);
    return *rates ? 0 : -ENOMEM;
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

static int share_no_memory(const struct listener_settings *settings, char *error, size_t error_size)
{
    snprintf(error, error_size, "listener %s: %s", settings->name, reason_text(REASON_NO_MEMORY));
    return -ENOMEM;
}

struct listener_share *listener_share_new(struct os *os, const struct listener_settings *settings,
                                          const struct bindings_held *held, uint32_t workers,
                                          int *failed, char *error, size_t error_size)
{
    struct listener_share *share = mem_new(sizeof(*share));

    *failed = -ENOMEM;
    if (!share || share_make_rates(os, settings, &share->rates) ||
        share_make_sources(share, os, settings)) {
        if (share)
            rate_table_free(&share->rates);
        mem_free(share);
        *failed = share_no_memory(settings, error, error_size);
        return NULL;
    }
    snprintf(share->name, sizeof(share->name), "%s", settings->name);
    share->workers = workers;
    share->busy = workers;
    share->fresh = true;
    *failed = bindings_open(&share->ports, os, settings, held, workers, error, error_size);
    share->first = share->ports.first.length ? share->ports.first : settings->bind.items[0].addr;
    share->next_rates = share->rates;
    if (*failed)
        listener_share_free(&share);
    return share;
}

/* ---- a reload ---- */

static bool rates_are_equal(const struct rate *a, const struct rate *b)
{
    return a->interval_ns == b->interval_ns && a->burst == b->burst;
}

int listener_share_prepare(struct listener_share *share, struct os *os,
                           const struct listener_settings *had,
                           const struct listener_settings *settings,
                           const struct bindings_held *held, char *error, size_t error_size)
{
    int rc;

    share->fresh = false;
    if (!rates_are_equal(&had->rate_limit, &settings->rate_limit) &&
        share_make_rates(os, settings, &share->next_rates)) {
        share->next_rates = share->rates;
        return share_no_memory(settings, error, error_size);
    }
    bindings_close(&share->ports); /* they were all taken */
    rc = bindings_open(&share->ports, os, settings, held, share->workers, error, error_size);
    share->next_first = share->first;
    if (!rc && share->ports.first.length)
        share->next_first = share->ports.first;
    else if (!rc && !addr_equal(&had->bind.items[0].addr, &settings->bind.items[0].addr))
        share->next_first = settings->bind.items[0].addr;
    if (rc)
        listener_share_forget(share);
    return rc;
}

void listener_share_settle(struct listener_share *share)
{
    share->first = share->next_first;
    bindings_close(&share->ports); /* they were all taken */
    if (share->next_rates != share->rates)
        rate_table_free(&share->rates);
    share->rates = share->next_rates;
}

void listener_share_forget(struct listener_share *share)
{
    bindings_close(&share->ports);
    if (share->next_rates != share->rates)
        rate_table_free(&share->next_rates);
    share->next_rates = share->rates;
}

void listener_share_free(struct listener_share **handle)
{
    struct listener_share *share = *handle;

    if (!share)
        return;
    listener_share_forget(share);
    rate_table_free(&share->rates);
    udp_sources_free(&share->udp);
    mem_free(share);
    *handle = NULL;
}
