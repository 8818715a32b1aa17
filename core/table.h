/* core/table.h - an intrusive hash table: the entries belong to their owners, the table only links
 * them.  It grows by doubling; a failure to grow only makes chains longer.
 * Owner: who embeds it.  Thread: the owner's.  Hashes must be keyed where peers choose the keys. */
#ifndef CORE_TABLE_H
#define CORE_TABLE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/must.h"

struct table_entry {
    struct table_entry *next;
    uint64_t hash;
};
struct table {
    struct table_entry **buckets;
    uint32_t bucket_count; /* a power of two */
    uint32_t count;
};

typedef bool table_match_fn(const struct table_entry *entry, const void *key);

int table_init(struct table *table) MUST_CHECK; /* 0 or -ENOMEM */
void table_release(struct table *table);        /* must be empty */
struct table_entry *table_find(const struct table *table, uint64_t hash, table_match_fn *match,
                               const void *key);
void table_insert(struct table *table, struct table_entry *entry, uint64_t hash);
void table_remove(struct table *table, struct table_entry *entry); /* must be in it */

#endif
