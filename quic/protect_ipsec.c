#include <cpuid.h>
#include <intel-ipsec-mb.h>
#include <string.h>

#include "core/aes.h"
#include "core/mem.h"
#include "quic/protect.h"
#include "quic/protect_wolfcrypt.h"

/* The library's managers pull 12 MB of every algorithm into a static program, and a packet needs
 * three functions: so these are called directly.  They keep all state in their arguments
 * (reentrant). The header declares the narrowest only; the others carry the names that the
 * library's own managers link to. */
#define WIDTH_FUNCTIONS(width)                                                                     \
    void aes_gcm_pre_128_##width(const void *key, struct gcm_key_data *data);                      \
    void aes_gcm_pre_256_##width(const void *key, struct gcm_key_data *data);                      \
    void aes_gcm_enc_128_##width(GCM_ARGUMENTS);                                                   \
    void aes_gcm_enc_256_##width(GCM_ARGUMENTS);                                                   \
    void aes_gcm_dec_128_##width(GCM_ARGUMENTS);                                                   \
    void aes_gcm_dec_256_##width(GCM_ARGUMENTS);
#define GCM_ARGUMENTS                                                                              \
    const struct gcm_key_data *data, struct gcm_context_data *context, uint8_t *out,               \
        const uint8_t *in, uint64_t length, const uint8_t *nonce, const uint8_t *aad,              \
        uint64_t aad_length, uint8_t *tag, uint64_t tag_length

WIDTH_FUNCTIONS(vaes_avx2)
WIDTH_FUNCTIONS(vaes_avx512)

struct gcm {
    aes_gcm_pre_t prepare;
    aes_gcm_enc_dec_t seal, open;
};

struct width {
    bool (*available)(void);
    struct gcm suites[PROTECT_SUITE_COUNT];
};

struct protect_key {
    struct gcm_key_data data;
    const struct gcm *gcm;
};

/* The compilers' tests know whether the kernel saves the wide registers, but not all know VAES. */
static bool vaes_available(void)
{
    unsigned a, b, c, d;

    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (c & bit_VAES) && (c & bit_VPCLMULQDQ);
}

static bool vaes_avx512_available(void)
{
    return vaes_available() && __builtin_cpu_supports("avx512f") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("bmi2");
}

static bool vaes_avx2_available(void)
{
    return vaes_available() && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi2");
}

static bool avx2_available(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("aes") &&
           __builtin_cpu_supports("pclmul") && __builtin_cpu_supports("bmi2");
}

#define WIDTH(available, width)                                                                    \
    {                                                                                              \
        available,                                                                                 \
        {                                                                                          \
            [PROTECT_AES_128_GCM] = {aes_gcm_pre_128_##width, aes_gcm_enc_128_##width,             \
                                     aes_gcm_dec_128_##width},                                     \
            [PROTECT_AES_256_GCM] = {aes_gcm_pre_256_##width, aes_gcm_enc_256_##width,             \
                                     aes_gcm_dec_256_##width},                                     \
        }                                                                                          \
    }

/* The widest first. */
static const struct width widths[] = {
    WIDTH(vaes_avx512_available, vaes_avx512),
    WIDTH(vaes_avx2_available, vaes_avx2),
    WIDTH(avx2_available, avx_gen4),
};

static const struct width *width_of_cpu(void)
{
    __builtin_cpu_init();
    for (size_t i = 0; i < ARRAY_COUNT(widths); i++)
        if (widths[i].available())
            return &widths[i];
    return NULL;
}

static const struct width *width; /* set by the first ipsec_available, before threads start */

static bool ipsec_available(void)
{
    width = width_of_cpu();
    return width != NULL;
}

static struct protect_key *ipsec_key_new(enum protect_suite suite, const uint8_t *key)
{
    struct protect_key *made = mem_aligned(_Alignof(struct protect_key), sizeof(*made));

    if (!made)
        return NULL;
    made->gcm = &width->suites[suite];
    made->gcm->prepare(key, &made->data);
    return made;
}

static void ipsec_key_free(struct protect_key *key)
{
    if (!key)
        return;
    wipe(key, sizeof(*key));
    mem_free(key);
}

static void ipsec_seal(struct protect_key *key, const struct protect_packet *packet)
{
    struct gcm_context_data context;

    key->gcm->seal(&key->data, &context, packet->out, packet->in, packet->length, packet->nonce,
                   packet->aad, packet->aad_length, packet->out + packet->length, PROTECT_TAG_SIZE);
}

/* The library computes a tag; comparing it, in constant time, is ours. */
static bool tag_equal(const uint8_t *a, const uint8_t *b)
{
    uint64_t x[2], y[2];

    memcpy(x, a, PROTECT_TAG_SIZE);
    memcpy(y, b, PROTECT_TAG_SIZE);
    return ((x[0] ^ y[0]) | (x[1] ^ y[1])) == 0;
}

static bool ipsec_open(struct protect_key *key, const struct protect_packet *packet)
{
    struct gcm_context_data context;
    uint8_t tag[PROTECT_TAG_SIZE], received[PROTECT_TAG_SIZE];
    size_t length = packet->length - PROTECT_TAG_SIZE;

    if (packet->length < PROTECT_TAG_SIZE)
        return false;
    memcpy(received, packet->in + length, PROTECT_TAG_SIZE);
    key->gcm->open(&key->data, &context, packet->out, packet->in, length, packet->nonce,
                   packet->aad, packet->aad_length, tag, PROTECT_TAG_SIZE);
    return tag_equal(tag, received);
}

const struct protect protect_ipsec = {
    .name = "intel-ipsec-mb " IMB_VERSION_STR,
    .available = ipsec_available,
    .key_new = ipsec_key_new,
    .key_free = ipsec_key_free,
    .mask_key_new = wolfcrypt_mask_key_new,
    .mask_key_free = wolfcrypt_mask_key_free,
    .seal = ipsec_seal,
    .open = ipsec_open,
    .mask = wolfcrypt_mask,
};
