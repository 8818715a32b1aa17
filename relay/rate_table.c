#include "relay/rate_table.h"

#include <stdatomic.h>
#include <string.h>

#include "core/mem.h"

enum { SETS = 4096, WAYS = 4 }; /* 256 KB */

/* `free_ns` is when the bucket would be full again if nobody came any more. */
struct rate_entry {
    _Atomic uint64_t hash, free_ns;
};

struct rate_table {
    struct rate rate;
    uint64_t seed;
    struct rate_entry entries[SETS][WAYS];
};

struct rate_table *rate_table_new(const struct rate *rate, uint64_t seed)
{
    struct rate_table *table = mem_new(sizeof(*table));

    if (!table)
        return NULL;
    table->rate = *rate;
    table->seed = seed;
    return table;
}

void rate_table_free(struct rate_table **table)
{
    mem_free(*table);
    *table = NULL;
}

static void rate_source4(struct addr *key, const void *bytes)
{
    key->length = sizeof(key->in4);
    key->in4.sin_family = AF_INET;
    memcpy(&key->in4.sin_addr, bytes, sizeof(key->in4.sin_addr));
}

struct addr rate_source(const struct addr *source)
{
    struct addr key = {0};

    if (addr_family(source) == AF_INET) {
        rate_source4(&key, &source->in4.sin_addr);
    } else if (addr_family(source) == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&source->in6.sin6_addr)) {
        rate_source4(&key, &source->in6.sin6_addr.s6_addr[12]);
    } else if (addr_family(source) == AF_INET6) {
        key.length = sizeof(key.in6);
        key.in6.sin6_family = AF_INET6;
        memcpy(&key.in6.sin6_addr, &source->in6.sin6_addr, 8);
    }
    return key;
}

static uint64_t rate_read(const _Atomic uint64_t *word)
{
    return atomic_load_explicit(word, memory_order_relaxed);
}

/* The source's own entry, else the one of its set that owes least, emptied. */
static struct rate_entry *rate_table_find(struct rate_table *table, uint64_t hash)
{
    struct rate_entry *set = table->entries[hash % SETS], *least = set;

    for (int i = 0; i < WAYS; i++) {
        if (rate_read(&set[i].hash) == hash)
            return &set[i];
        if (rate_read(&set[i].free_ns) < rate_read(&least->free_ns))
            least = &set[i];
    }
    atomic_store_explicit(&least->hash, hash, memory_order_relaxed);
    atomic_store_explicit(&least->free_ns, 0, memory_order_relaxed);
    return least;
}

bool rate_table_take(struct rate_table *table, const struct addr *source, uint64_t now_ns)
{
    struct addr key = rate_source(source);
    uint64_t interval_ns = table->rate.interval_ns;
    struct rate_entry *entry = rate_table_find(table, addr_hash(&key, table->seed));
    uint64_t free_ns = rate_read(&entry->free_ns), from_ns;

    do {
        from_ns = free_ns < now_ns ? now_ns : free_ns;
        if (from_ns - now_ns > (table->rate.burst - 1) * interval_ns)
            return false;
    } while (!atomic_compare_exchange_weak(&entry->free_ns, &free_ns, from_ns + interval_ns));
    return true;
}
