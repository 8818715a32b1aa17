/* quic/protect.h - packet protection behind one table of functions: AEAD and header masks.
 * Internal to quic.
 *
 *   back end   intel-ipsec-mb where the CPU has what makes it fast, wolfCrypt elsewhere
 *   key        one direction, one generation: seals or opens packets
 *   mask key   one direction: five bytes that hide packet numbers
 *
 * Keys are 64-byte aligned and wiped when freed.  Owner: whoever made them (ngtcp2 gives them back
 * through the delete callbacks of handshake.h).  Thread: a key is used by one thread at a time;
 * the table is chosen once, before threads start, and read-only afterwards. */
#ifndef QUIC_PROTECT_H
#define QUIC_PROTECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/must.h"

enum protect_suite { PROTECT_AES_128_GCM, PROTECT_AES_256_GCM, PROTECT_SUITE_COUNT };
enum {
    PROTECT_TAG_SIZE = 16,
    PROTECT_NONCE_SIZE = 12,
    PROTECT_KEY_MAX = 32,
    PROTECT_SAMPLE_SIZE = 16,
    PROTECT_MASK_SIZE = 5
};

struct protect_key;
struct protect_mask_key;

/* What is sealed or opened; all borrowed until return.  in and out are the same or do not overlap.
 */
struct protect_packet {
    const uint8_t *nonce; /* PROTECT_NONCE_SIZE bytes */
    const uint8_t *aad;
    size_t aad_length;
    const uint8_t *in; /* seal: the plaintext; open: ciphertext and tag */
    size_t length;     /* of in */
    uint8_t *out;      /* seal: length + 16 bytes; open: length - 16 */
};

struct protect {
    const char *name;        /* "intel-ipsec-mb 2.0.2" */
    bool (*available)(void); /* whether this CPU has what the back end needs */
    struct protect_key *(*key_new)(enum protect_suite suite,
                                   const uint8_t *key); /* NULL: no memory */
    void (*key_free)(struct protect_key *key);          /* accepts NULL */
    struct protect_mask_key *(*mask_key_new)(enum protect_suite suite, const uint8_t *key);
    void (*mask_key_free)(struct protect_mask_key *key);
    void (*seal)(struct protect_key *key, const struct protect_packet *packet);
    bool (*open)(struct protect_key *key, const struct protect_packet *packet); /* false: forged */
    void (*mask)(struct protect_mask_key *key, const uint8_t sample[PROTECT_SAMPLE_SIZE],
                 uint8_t mask[PROTECT_MASK_SIZE]);
};

extern const struct protect protect_ipsec, protect_wolfcrypt;

/* The fastest available back end that passes its self-test.  0, or -EIO with a sentence.  Once,
 * after tls_global_init and before threads start. */
int protect_choose(char *error, size_t error_size) MUST_CHECK;
/* The one chosen; must follow protect_choose. */
const struct protect *protect_chosen(void);
/* Known answers, a corrupted tag and a corrupted header, for every suite. */
bool protect_self_test(const struct protect *protect);
size_t protect_key_length(enum protect_suite suite); /* 16 or 32 */

#endif
