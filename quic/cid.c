#include "quic/cid.h"

#include <errno.h>
#include <string.h>

#include "core/aes.h"
#include "core/mem.h"

enum { CID_BLOCK = 16, CID_TABLE_MIN = 8, CID_SET_MIN = 4 };

int cid_codec_init(struct cid_codec *codec, const uint8_t *secret, const struct cid_place *place)
{
    uint8_t key[16];
    int rc = derive_key(secret, 32, "qmux-uring", "connection id", key, sizeof(key));

    must(place->sockets && place->sockets <= CID_SOCKETS_MAX && place->socket < place->sockets);
    if (rc < 0)
        return rc;
    *codec = (struct cid_codec){.key = aes_key_new(key), .place = *place};
    wipe(key, sizeof(key));
    return codec->key ? 0 : -ENOMEM;
}

void cid_codec_release(struct cid_codec *codec)
{
    if (codec->key)
        aes_key_free(&codec->key);
}

void cid_make(const struct cid_codec *codec, const uint8_t random[CID_RANDOM],
              uint8_t id[CID_LENGTH])
{
    const struct cid_place *place = &codec->place;
    uint8_t block[CID_BLOCK] = {CID_LAYOUT, (uint8_t)(place->server >> 8), (uint8_t)place->server,
                                place->generation, place->worker};

    id[0] = cid_first_byte(place->socket, place->sockets, random[0]);
    memcpy(block + 5, random + 1, 9);
    aes_seal_block(codec->key, block, id + 1);
}

enum cid_verdict cid_read(const struct cid_codec *codec, const uint8_t *id, size_t length,
                          struct cid_place *place)
{
    uint8_t block[CID_BLOCK];

    if (length != CID_LENGTH)
        return CID_FOREIGN;
    aes_open_block(codec->key, id + 1, block);
    *place = (struct cid_place){.server = (uint16_t)(block[1] << 8 | block[2]),
                                .generation = block[3],
                                .worker = block[4],
                                .socket = cid_socket(id[0], codec->place.sockets),
                                .sockets = codec->place.sockets};
    if (block[0] != CID_LAYOUT || block[14] || block[15] || place->server != codec->place.server)
        return CID_FOREIGN;
    if (place->generation != codec->place.generation)
        return CID_GENERATION;
    return place->worker == codec->place.worker ? CID_HERE : CID_WORKER;
}

/* Peers choose some of these ids, so the hash must not be theirs to predict. */
static uint64_t cid_hash(uint64_t seed, const uint8_t *id, size_t length)
{
    uint64_t words[3] = {0};
    uint64_t hash = seed ^ length;

    memcpy(words, id, length);
    for (unsigned i = 0; i < ARRAY_COUNT(words); i++) {
        __uint128_t product = (__uint128_t)(words[i] ^ hash) * 0x9e3779b97f4a7c15u;

        hash = ((uint64_t)product ^ (uint64_t)(product >> 64)) + seed;
    }
    return hash;
}

static uint32_t cid_home(const struct cid_table *table, const uint8_t *id, size_t length)
{
    return (uint32_t)cid_hash(table->seed, id, length) & (table->size - 1);
}

void cid_table_init(struct cid_table *table, uint64_t seed)
{
    *table = (struct cid_table){.seed = seed};
}

void cid_table_release(struct cid_table *table)
{
    mem_free(table->slots);
    cid_table_init(table, table->seed);
}

/* The slot that holds the id, or the free one where it would go. */
static struct cid_slot *cid_slot(const struct cid_table *table, const uint8_t *id, size_t length)
{
    uint32_t at = cid_home(table, id, length);

    for (;; at = (at + 1) & (table->size - 1)) {
        struct cid_slot *slot = &table->slots[at];

        if (!slot->value || (slot->length == length && !memcmp(slot->id, id, length)))
            return slot;
    }
}

static void cid_slot_fill(struct cid_slot *slot, const uint8_t *id, size_t length, void *value)
{
    *slot = (struct cid_slot){.value = value, .length = (uint8_t)length};
    memcpy(slot->id, id, length);
}

static int cid_table_grow(struct cid_table *table)
{
    struct cid_table old = *table;

    table->size = old.size ? old.size * 2 : CID_TABLE_MIN;
    table->slots = mem_new(table->size * sizeof(*table->slots));
    if (!table->slots) {
        *table = old;
        return -ENOMEM;
    }
    for (uint32_t i = 0; i < old.size; i++)
        if (old.slots[i].value)
            *cid_slot(table, old.slots[i].id, old.slots[i].length) = old.slots[i];
    mem_free(old.slots);
    return 0;
}

int cid_table_add(struct cid_table *table, const uint8_t *id, size_t length, void *value)
{
    struct cid_slot *slot;

    must(length <= CID_MAX);
    if (table->count + 1 > table->size / 4 * 3 && cid_table_grow(table) < 0)
        return -ENOMEM;
    slot = cid_slot(table, id, length);
    if (slot->value)
        return -EEXIST;
    cid_slot_fill(slot, id, length, value);
    table->count++;
    return 0;
}

void *cid_table_find(const struct cid_table *table, const uint8_t *id, size_t length)
{
    if (!table->size || length > CID_MAX)
        return NULL;
    return cid_slot(table, id, length)->value;
}

/* Moves later members of the run into the hole, so that no tombstones are needed. */
static void cid_table_close_hole(struct cid_table *table, uint32_t hole)
{
    uint32_t mask = table->size - 1;

    for (uint32_t at = (hole + 1) & mask; table->slots[at].value; at = (at + 1) & mask) {
        uint32_t home = cid_home(table, table->slots[at].id, table->slots[at].length);

        if (((at - home) & mask) >= ((at - hole) & mask)) {
            table->slots[hole] = table->slots[at];
            hole = at;
        }
    }
    table->slots[hole].value = NULL;
}

void cid_table_remove(struct cid_table *table, const uint8_t *id, size_t length, const void *value)
{
    struct cid_slot *slot;

    if (!table->size || length > CID_MAX)
        return;
    slot = cid_slot(table, id, length);
    if (!slot->value || slot->value != value)
        return;
    table->count--;
    cid_table_close_hole(table, (uint32_t)(slot - table->slots));
}

/* ---- sets ---- */

void cid_set_init(struct cid_set *set, struct cid_table *table, void *owner)
{
    *set = (struct cid_set){.table = table, .owner = owner};
}

static void cid_set_unlist(const struct cid_set *set)
{
    for (uint32_t i = 0; i < set->count; i++)
        cid_table_remove(set->table, set->items[i].id, set->items[i].length, set->owner);
}

void cid_set_release(struct cid_set *set)
{
    cid_set_unlist(set);
    mem_free(set->items);
    cid_set_init(set, set->table, set->owner);
}

static int cid_set_grow(struct cid_set *set)
{
    uint32_t size = set->size ? set->size * 2 : CID_SET_MIN;
    struct cid *items = mem_resize(set->items, size * sizeof(*items));

    if (!items)
        return -ENOMEM;
    set->items = items;
    set->size = size;
    return 0;
}

int cid_set_add(struct cid_set *set, const uint8_t *id, size_t length)
{
    struct cid *item;
    int rc;

    if (set->count == set->size && cid_set_grow(set) < 0)
        return -ENOMEM;
    rc = cid_table_add(set->table, id, length, set->owner);
    if (rc < 0)
        return rc;
    item = &set->items[set->count++];
    item->length = (uint8_t)length;
    memcpy(item->id, id, length);
    return 0;
}

void cid_set_remove(struct cid_set *set, const uint8_t *id, size_t length)
{
    for (uint32_t i = 0; i < set->count; i++) {
        if (set->items[i].length != length || memcmp(set->items[i].id, id, length) != 0)
            continue;
        cid_table_remove(set->table, id, length, set->owner);
        set->items[i] = set->items[--set->count];
        return;
    }
}

void cid_set_take(struct cid_set *set, struct cid_set *other)
{
    must(!set->count);
    cid_set_unlist(other);
    for (uint32_t i = 0; i < other->count;) {
        struct cid *item = &other->items[i];

        if (cid_table_add(set->table, item->id, item->length, set->owner) < 0)
            *item = other->items[--other->count];
        else
            i++;
    }
    mem_free(set->items);
    set->items = other->items;
    set->count = other->count;
    set->size = other->size;
    cid_set_init(other, other->table, other->owner);
}
