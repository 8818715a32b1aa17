/* core/aes.h - one AES-128 block, for connection ids, and key derivation.  Thread: any; a key may
 * be used by one thread at a time.  wolfSSL stays behind this door. */
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
void wipe(void *memory, size_t length); /* not optimised away */

#endif
