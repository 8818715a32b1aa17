#include "relay/udp_source.h"

#include <pthread.h>
#include <stdatomic.h>

#include "core/mem.h"
#include "core/table.h"
#include "relay/rate_table.h"

enum { SHARDS = 64 };

struct udp_source {
    struct table_entry entry;
    struct addr addr;
    uint32_t count;
};

/* A lock is taken when a session begins or ends, never for a datagram of one. */
struct udp_shard {
    pthread_mutex_t lock;
    struct table table;
};

struct udp_sources {
    uint64_t seed;
    _Atomic uint32_t sessions;
    struct udp_shard shards[SHARDS];
};

static bool udp_source_matches(const struct table_entry *entry, const void *key)
{
    return addr_equal(&container_of((void *)(uintptr_t)entry, struct udp_source, entry)->addr, key);
}

/* The table takes the low bits. */
static struct udp_shard *udp_shard_of(struct udp_sources *sources, uint64_t hash)
{
    return &sources->shards[hash >> 58];
}

void udp_sources_free(struct udp_sources **handle)
{
    struct udp_sources *sources = *handle;

    if (!sources)
        return;
    must(!sources->sessions);
    for (int i = 0; i < SHARDS; i++) {
        table_release(&sources->shards[i].table);
        pthread_mutex_destroy(&sources->shards[i].lock);
    }
    mem_free(sources);
    *handle = NULL;
}

struct udp_sources *udp_sources_new(uint64_t seed)
{
    struct udp_sources *sources = mem_new(sizeof(*sources));
    int rc = 0;

    if (!sources)
        return NULL;
    sources->seed = seed;
    for (int i = 0; i < SHARDS; i++) {
        pthread_mutex_init(&sources->shards[i].lock, NULL);
        rc |= table_init(&sources->shards[i].table);
    }
    if (rc)
        udp_sources_free(&sources);
    return sources;
}

static bool udp_sessions_take(struct udp_sources *sources, uint32_t max)
{
    uint32_t now = atomic_load_explicit(&sources->sessions, memory_order_relaxed);

    while (now < max)
        if (atomic_compare_exchange_weak(&sources->sessions, &now, now + 1))
            return true;
    return false;
}

/* Under the shard's lock. */
static struct udp_source *udp_shard_take(struct udp_shard *shard, const struct addr *key,
                                         uint64_t hash, uint32_t max, enum reason *reason)
{
    struct table_entry *entry = table_find(&shard->table, hash, udp_source_matches, key);
    struct udp_source *source = entry ? container_of(entry, struct udp_source, entry) : NULL;

    *reason = REASON_LIMIT;
    if (source && source->count >= max)
        return NULL;
    *reason = REASON_NO_MEMORY;
    if (!source) {
        source = mem_new(sizeof(*source));
        if (!source)
            return NULL;
        source->addr = *key;
        table_insert(&shard->table, &source->entry, hash);
    }
    source->count++;
    return source;
}

struct udp_source *udp_source_take(struct udp_sources *sources, const struct addr *addr,
                                   const struct udp_limits *limits, struct counters *counters,
                                   enum reason *reason)
{
    struct addr key = rate_source(addr);
    uint64_t hash = addr_hash(&key, sources->seed);
    struct udp_shard *shard = udp_shard_of(sources, hash);
    struct udp_source *source;

    *reason = REASON_LIMIT;
    if (!udp_sessions_take(sources, limits->sessions)) {
        counter_add(counters, COUNTER_LIMIT_UDP_SESSIONS, 1);
        return NULL;
    }
    pthread_mutex_lock(&shard->lock);
    source = udp_shard_take(shard, &key, hash, limits->per_source, reason);
    pthread_mutex_unlock(&shard->lock);
    if (source)
        return source;
    atomic_fetch_sub(&sources->sessions, 1);
    if (*reason == REASON_LIMIT)
        counter_add(counters, COUNTER_LIMIT_SESSIONS_PER_SOURCE, 1);
    return NULL;
}

void udp_source_give(struct udp_sources *sources, struct udp_source *source)
{
    struct udp_shard *shard = udp_shard_of(sources, source->entry.hash);
    bool last;

    pthread_mutex_lock(&shard->lock);
    last = --source->count == 0;
    if (last)
        table_remove(&shard->table, &source->entry);
    pthread_mutex_unlock(&shard->lock);
    if (last)
        mem_free(source);
    atomic_fetch_sub(&sources->sessions, 1);
}
