/* quic/cid.h - connection ids: what ours say, and whose connection one is.  Internal to quic.
 *
 * Ours are 17 bytes.  Byte 0, in clear, is socket + S*r (S sockets, r random): the kernel's filter
 * reads it.  Bytes 1-16 are one AES block: layout version 1, server id 2, process generation 1,
 * worker 1, random 9, zero 2.  Ids that clients choose for their first flight are 18 bytes, so that
 * the two kinds never meet.
 *
 * Owner: the endpoint.  Thread: its worker's. */
#ifndef QUIC_CID_H
#define QUIC_CID_H

#include <stdbool.h>
#include <stdint.h>

#include "core/must.h"

struct aes_key;

enum {
    CID_LENGTH = 17,
    CID_FIRST_LENGTH = 18,
    CID_RANDOM = 10, /* random bytes that one of ours takes */
    CID_MAX = 20,
    CID_LAYOUT = 1,
    CID_SOCKETS_MAX = 128
};

/* Where ids lead: the same fields are in each of ours. */
struct cid_place {
    uint16_t server;
    uint8_t generation, worker;
    uint8_t socket, sockets; /* socket < sockets <= CID_SOCKETS_MAX */
};

struct cid_codec {
    struct aes_key *key;
    struct cid_place place;
};

enum cid_verdict {
    CID_FOREIGN, /* not made under our key */
    CID_HERE,    /* ours, of this worker: the connection is gone */
    CID_WORKER,  /* of another worker */
    CID_GENERATION
};

/* 0 or -ENOMEM; `secret` is 32 bytes, borrowed until return. */
int cid_codec_init(struct cid_codec *codec, const uint8_t *secret,
                   const struct cid_place *place) MUST_CHECK;
void cid_codec_release(struct cid_codec *codec);
void cid_make(const struct cid_codec *codec, const uint8_t random[CID_RANDOM],
              uint8_t id[CID_LENGTH]);
/* What an id that is in no table means; *place is filled unless it is foreign (its sockets are
 * taken from the codec). */
enum cid_verdict cid_read(const struct cid_codec *codec, const uint8_t *id, size_t length,
                          struct cid_place *place);
/* The socket that the kernel's filter picks by byte 0. */
static inline uint8_t cid_socket(uint8_t first, uint8_t sockets)
{
    return (uint8_t)(first % sockets);
}

/* Its inverse: one of the bytes that lead to `socket`, as `random` will. */
static inline uint8_t cid_first_byte(uint8_t socket, uint8_t sockets, uint8_t random)
{
    return (uint8_t)(socket + sockets * (random % (256u / sockets)));
}

/* ---- the table: id -> connection, open addressing, keyed hash ---- */
struct cid_slot {
    void *value; /* NULL: free */
    uint8_t length;
    uint8_t id[CID_MAX];
};
struct cid_table {
    struct cid_slot *slots;
    uint32_t size, count; /* size is a power of two, or 0 */
    uint64_t seed;
};
void cid_table_init(struct cid_table *table, uint64_t seed);
void cid_table_release(struct cid_table *table);
/* 0, -ENOMEM, or -EEXIST. */
int cid_table_add(struct cid_table *table, const uint8_t *id, size_t length,
                  void *value) MUST_CHECK;
void *cid_table_find(const struct cid_table *table, const uint8_t *id, size_t length);
/* No-op when the id is not there or belongs to another value. */
void cid_table_remove(struct cid_table *table, const uint8_t *id, size_t length, const void *value);

/* ---- the ids that lead to one owner, who ends at the cost of these alone ---- */
struct cid {
    uint8_t length;
    uint8_t id[CID_MAX];
};
struct cid_set {
    struct cid_table *table; /* borrowed until release */
    void *owner;             /* what the table finds */
    struct cid *items;
    uint32_t count, size;
};
void cid_set_init(struct cid_set *set, struct cid_table *table, void *owner);
void cid_set_release(struct cid_set *set); /* idempotent */
/* 0, -ENOMEM, or -EEXIST: then nothing has changed. */
int cid_set_add(struct cid_set *set, const uint8_t *id, size_t length) MUST_CHECK;
void cid_set_remove(struct cid_set *set, const uint8_t *id, size_t length); /* no-op when not in */
/* An empty set takes the ids of another, which is empty then.  An id for which the table has no
 * memory is in neither. */
void cid_set_take(struct cid_set *set, struct cid_set *other);

#endif
