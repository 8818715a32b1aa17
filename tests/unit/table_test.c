#include "core/table.h"

#include <stdlib.h>

#include "core/mem.h"
#include "tests/unit/test.h"

struct thing {
    struct table_entry entry;
    uint32_t key;
    bool in;
};

static bool thing_matches(const struct table_entry *entry, const void *key)
{
    return ((const struct thing *)(const void *)entry)->key == *(const uint32_t *)key;
}
/* Few distinct hashes, so that chains and equal hashes happen. */
static uint64_t hash_of(uint32_t key)
{
    return (key % 97) * 0x9e3779b97f4a7c15u;
}

TEST(the_table_agrees_with_an_array_of_flags)
{
    enum { THINGS = 1000 };
    static struct thing things[THINGS];
    struct table table;
    uint32_t expected = 0;

    srand(3);
    check(table_init(&table) == 0);
    for (int i = 0; i < 50000; i++) {
        uint32_t key = (uint32_t)rand() % THINGS;
        struct thing *thing = &things[key];
        struct table_entry *found = table_find(&table, hash_of(key), thing_matches, &key);

        check(found == (thing->in ? &thing->entry : NULL));
        if (thing->in) {
            table_remove(&table, &thing->entry);
            expected--;
        } else {
            thing->key = key;
            table_insert(&table, &thing->entry, hash_of(key));
            expected++;
        }
        thing->in = !thing->in;
        check(table.count == expected);
    }
    for (int i = 0; i < THINGS; i++)
        if (things[i].in)
            table_remove(&table, &things[i].entry);
    table_release(&table);
}

TEST(a_table_that_cannot_grow_still_finds_everything)
{
    static struct thing things[100];
    struct table table;

    check(table_init(&table) == 0);
    for (uint32_t i = 0; i < 100; i++) {
        mem_fail_at(1);
        things[i].key = i;
        table_insert(&table, &things[i].entry, hash_of(i));
    }
    mem_fail_at(0);
    for (uint32_t i = 0; i < 100; i++)
        check(table_find(&table, hash_of(i), thing_matches, &i) == &things[i].entry);
    for (uint32_t i = 0; i < 100; i++)
        table_remove(&table, &things[i].entry);
    table_release(&table);
}
