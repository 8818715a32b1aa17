/* core/aes.h - one AES-128 block, for connection ids, and key derivation (HKDF, RFC 5869).  Thread:
 * any; a key may be used by one thread at a time.  wolfSSL stays behind this door. */
#ifndef CORE_AES_H
#define CORE_AES_H

#include <stddef.h>
#include <stdint.h>

#include "core/must.h"

struct aes_key;
struct aes_key *aes_key_new(const uint8_t key[16]) MUST_CHECK; /* NULL: no memory */
void aes_key_free(struct aes_key **key);                       /* wiped */
void aes_seal_block(struct aes_key *key, const uint8_t in[16], uint8_t out[16]);
void aes_open_block(struct aes_key *key, const uint8_t in[16], uint8_t out[16]);

/* HKDF-SHA256 (extract with `salt`, expand with `label`): 0 or -EINVAL. */
int derive_key(const uint8_t *secret, size_t secret_length, const char *salt, const char *label,
               uint8_t *out, size_t out_length) MUST_CHECK;
enum hash { HASH_SHA256, HASH_SHA384 };
enum { HASH_SIZE_MAX = 48 };
size_t hash_size(enum hash hash); /* 32 or 48 */
/* The two halves of HKDF, for QUIC; out of extract and secret of expand have hash_size bytes.
 * 0 or -EINVAL. */
int hkdf_extract(enum hash hash, const uint8_t *secret, size_t secret_length, const uint8_t *salt,
                 size_t salt_length, uint8_t *out) MUST_CHECK;
int hkdf_expand(enum hash hash, const uint8_t *secret, const uint8_t *info, size_t info_length,
                uint8_t *out, size_t out_length) MUST_CHECK;
void wipe(void *memory, size_t length); /* not optimised away */

#endif
