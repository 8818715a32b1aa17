#include "relay/udp_source.h"

#include "core/mem.h"
#include "relay/rate_table.h"

struct udp_source {
    struct table_entry entry;
    struct addr addr;
    uint32_t count;
};

static bool udp_source_matches(const struct table_entry *entry, const void *key)
{
    return addr_equal(&container_of((void *)(uintptr_t)entry, struct udp_source, entry)->addr, key);
}

int udp_sources_init(struct udp_sources *sources, uint64_t hash_seed, uint32_t max)
{
    *sources = (struct udp_sources){.hash_seed = hash_seed, .max = max};
    return table_init(&sources->table);
}

void udp_sources_release(struct udp_sources *sources)
{
    table_release(&sources->table);
}

struct udp_source *udp_source_take(struct udp_sources *sources, const struct addr *addr, bool *full)
{
    struct addr key = rate_source(addr);
    uint64_t hash = addr_hash(&key, sources->hash_seed);
    struct table_entry *entry = table_find(&sources->table, hash, udp_source_matches, &key);
    struct udp_source *source = entry ? container_of(entry, struct udp_source, entry) : NULL;

    *full = source && source->count >= sources->max;
    if (*full)
        return NULL;
    if (!source) {
        source = mem_new(sizeof(*source));
        if (!source)
            return NULL;
        source->addr = key;
        table_insert(&sources->table, &source->entry, hash);
    }
    source->count++;
    return source;
}

void udp_source_give(struct udp_sources *sources, struct udp_source *source)
{
    if (--source->count)
        return;
    table_remove(&sources->table, &source->entry);
    mem_free(source);
}
