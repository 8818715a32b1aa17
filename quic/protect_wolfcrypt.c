#include <string.h>
#include <wolfssl/options.h>
#include <wolfssl/version.h>
#include <wolfssl/wolfcrypt/aes.h>

#include "core/aes.h"
#include "core/mem.h"
#include "quic/protect.h"
#include "quic/protect_wolfcrypt.h"

/* Runs on every CPU; wc_AesGcm directly, since wolfSSL's EVP layer copies each packet. */
struct protect_key {
    Aes aes;
};
struct protect_mask_key {
    Aes aes;
};

enum { KEY_ALIGN = 64 };
_Static_assert(sizeof(struct protect_key) == sizeof(struct protect_mask_key), "one allocator");

static Aes *aes_new(void)
{
    size_t size = (sizeof(Aes) + KEY_ALIGN - 1) / KEY_ALIGN * KEY_ALIGN;
    Aes *aes = mem_aligned(KEY_ALIGN, size);

    if (aes && wc_AesInit(aes, NULL, INVALID_DEVID) != 0) {
        mem_free(aes);
        return NULL;
    }
    return aes;
}

static void aes_free(Aes *aes)
{
    if (!aes)
        return;
    wc_AesFree(aes);
    wipe(aes, sizeof(*aes));
    mem_free(aes);
}

static bool wolfcrypt_available(void)
{
    return true;
}

static struct protect_key *wolfcrypt_key_new(enum protect_suite suite, const uint8_t *key)
{
    Aes *aes = aes_new();

    if (aes && wc_AesGcmSetKey(aes, key, (word32)protect_key_length(suite)) != 0) {
        aes_free(aes);
        return NULL;
    }
    return aes ? container_of(aes, struct protect_key, aes) : NULL;
}

static void wolfcrypt_key_free(struct protect_key *key)
{
    aes_free(key ? &key->aes : NULL);
}

struct protect_mask_key *wolfcrypt_mask_key_new(enum protect_suite suite, const uint8_t *key)
{
    Aes *aes = aes_new();

    if (aes && wc_AesSetKeyDirect(aes, key, (word32)protect_key_length(suite), NULL,
                                  AES_ENCRYPTION) != 0) {
        aes_free(aes);
        return NULL;
    }
    return aes ? container_of(aes, struct protect_mask_key, aes) : NULL;
}

void wolfcrypt_mask_key_free(struct protect_mask_key *key)
{
    aes_free(key ? &key->aes : NULL);
}

static void wolfcrypt_seal(struct protect_key *key, const struct protect_packet *packet)
{
    must(wc_AesGcmEncrypt(&key->aes, packet->out, packet->in, (word32)packet->length, packet->nonce,
                          PROTECT_NONCE_SIZE, packet->out + packet->length, PROTECT_TAG_SIZE,
                          packet->aad, (word32)packet->aad_length) == 0);
}

static bool wolfcrypt_open(struct protect_key *key, const struct protect_packet *packet)
{
    size_t length = packet->length - PROTECT_TAG_SIZE;

    if (packet->length < PROTECT_TAG_SIZE)
        return false;
    return wc_AesGcmDecrypt(&key->aes, packet->out, packet->in, (word32)length, packet->nonce,
                            PROTECT_NONCE_SIZE, packet->in + length, PROTECT_TAG_SIZE, packet->aad,
                            (word32)packet->aad_length) == 0;
}

void wolfcrypt_mask(struct protect_mask_key *key, const uint8_t sample[PROTECT_SAMPLE_SIZE],
                    uint8_t mask[PROTECT_MASK_SIZE])
{
    uint8_t block[AES_BLOCK_SIZE] __attribute__((aligned(16))); /* else wolfSSL allocates a copy */

    memcpy(block, sample, sizeof(block));
    must(wc_AesEncryptDirect(&key->aes, block, block) == 0);
    memcpy(mask, block, PROTECT_MASK_SIZE);
}

const struct protect protect_wolfcrypt = {
    .name = "wolfCrypt " LIBWOLFSSL_VERSION_STRING,
    .available = wolfcrypt_available,
    .key_new = wolfcrypt_key_new,
    .key_free = wolfcrypt_key_free,
    .mask_key_new = wolfcrypt_mask_key_new,
    .mask_key_free = wolfcrypt_mask_key_free,
    .seal = wolfcrypt_seal,
    .open = wolfcrypt_open,
    .mask = wolfcrypt_mask,
};
