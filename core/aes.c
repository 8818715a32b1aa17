#include "core/aes.h"

#include <errno.h>
#include <string.h>
#include <wolfssl/options.h>
#include <wolfssl/wolfcrypt/aes.h>
#include <wolfssl/wolfcrypt/hmac.h>
#include <wolfssl/wolfcrypt/kdf.h>

#include "core/mem.h"

struct aes_key {
    Aes seal, open;
};

enum { AES_KEY_ALIGN = 64 };

static int aes_set(Aes *aes, const uint8_t key[16], int direction)
{
    if (wc_AesInit(aes, NULL, INVALID_DEVID) != 0)
        return -1;
    return wc_AesSetKeyDirect(aes, key, 16, NULL, direction);
}

struct aes_key *aes_key_new(const uint8_t key[16])
{
    size_t size = (sizeof(struct aes_key) + AES_KEY_ALIGN - 1) / AES_KEY_ALIGN * AES_KEY_ALIGN;
    struct aes_key *made = mem_aligned(AES_KEY_ALIGN, size);

    if (!made)
        return NULL;
    memset(made, 0, size);
    if (aes_set(&made->seal, key, AES_ENCRYPTION) != 0 ||
        aes_set(&made->open, key, AES_DECRYPTION) != 0)
        aes_key_free(&made);
    return made;
}

void aes_key_free(struct aes_key **key)
{
    if (!*key)
        return;
    wc_AesFree(&(*key)->seal);
    wc_AesFree(&(*key)->open);
    wipe(*key, sizeof(**key));
    mem_free(*key);
    *key = NULL;
}

/* With a key that was set and an aligned block, which wolfSSL need not copy, these cannot fail. */
void aes_seal_block(struct aes_key *key, const uint8_t in[16], uint8_t out[16])
{
    uint8_t block[AES_BLOCK_SIZE] __attribute__((aligned(16)));

    memcpy(block, in, sizeof(block));
    must(wc_AesEncryptDirect(&key->seal, block, block) == 0);
    memcpy(out, block, sizeof(block));
}

void aes_open_block(struct aes_key *key, const uint8_t in[16], uint8_t out[16])
{
    uint8_t block[AES_BLOCK_SIZE] __attribute__((aligned(16)));

    memcpy(block, in, sizeof(block));
    must(wc_AesDecryptDirect(&key->open, block, block) == 0);
    memcpy(out, block, sizeof(block));
}

int derive_key(const uint8_t *secret, size_t secret_length, const char *salt, const char *label,
               uint8_t *out, size_t out_length)
{
    int rc = wc_HKDF(WC_SHA256, secret, (word32)secret_length, (const uint8_t *)salt,
                     (word32)strlen(salt), (const uint8_t *)label, (word32)strlen(label), out,
                     (word32)out_length);

    return rc == 0 ? 0 : -EINVAL;
}

static const struct {
    int wolfcrypt;
    size_t size;
} hashes[] = {
    [HASH_SHA256] = {WC_SHA256, 32},
    [HASH_SHA384] = {WC_SHA384, 48},
};

size_t hash_size(enum hash hash)
{
    return hashes[hash].size;
}

int hkdf_extract(enum hash hash, const uint8_t *secret, size_t secret_length, const uint8_t *salt,
                 size_t salt_length, uint8_t *out)
{
    return wc_HKDF_Extract(hashes[hash].wolfcrypt, salt, (word32)salt_length, secret,
                           (word32)secret_length, out) == 0
               ? 0
               : -EINVAL;
}

int hkdf_expand(enum hash hash, const uint8_t *secret, const uint8_t *info, size_t info_length,
                uint8_t *out, size_t out_length)
{
    return wc_HKDF_Expand(hashes[hash].wolfcrypt, secret, (word32)hash_size(hash), info,
                          (word32)info_length, out, (word32)out_length) == 0
               ? 0
               : -EINVAL;
}

void wipe(void *memory, size_t length)
{
    explicit_bzero(memory, length);
}
