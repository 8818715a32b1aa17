#include "core/table.h"

#include <errno.h>

#include "core/mem.h"

enum { TABLE_BUCKETS_FIRST = 16 };

static struct table_entry **table_bucket(const struct table *table, uint64_t hash)
{
    return &table->buckets[hash & (table->bucket_count - 1)];
}

int table_init(struct table *table)
{
    *table = (struct table){.bucket_count = TABLE_BUCKETS_FIRST};
    table->buckets = mem_new(TABLE_BUCKETS_FIRST * sizeof(struct table_entry *));
    return table->buckets ? 0 : -ENOMEM;
}

void table_release(struct table *table)
{
    must(!table->count);
    mem_free(table->buckets);
    table->buckets = NULL;
}

struct table_entry *table_find(const struct table *table, uint64_t hash, table_match_fn *match,
                               const void *key)
{
    for (struct table_entry *entry = *table_bucket(table, hash); entry; entry = entry->next)
        if (entry->hash == hash && match(entry, key))
            return entry;
    return NULL;
}

static void table_link(struct table *table, struct table_entry *entry)
{
    struct table_entry **bucket = table_bucket(table, entry->hash);

    entry->next = *bucket;
    *bucket = entry;
}

static void table_grow(struct table *table)
{
    struct table old = *table;
    struct table_entry **buckets = mem_new(2ul * old.bucket_count * sizeof(struct table_entry *));

    if (!buckets)
        return;
    table->buckets = buckets;
    table->bucket_count = 2 * old.bucket_count;
    for (uint32_t i = 0; i < old.bucket_count; i++)
        for (struct table_entry *entry = old.buckets[i], *next; entry; entry = next) {
            next = entry->next;
            table_link(table, entry);
        }
    mem_free(old.buckets);
}

void table_insert(struct table *table, struct table_entry *entry, uint64_t hash)
{
    if (table->count >= table->bucket_count)
        table_grow(table);
    entry->hash = hash;
    table_link(table, entry);
    table->count++;
}

void table_remove(struct table *table, struct table_entry *entry)
{
    struct table_entry **at = table_bucket(table, entry->hash);

    while (*at && *at != entry)
        at = &(*at)->next;
    must(*at);
    *at = entry->next;
    entry->next = NULL;
    table->count--;
}
