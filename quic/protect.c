#include "quic/protect.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* The fastest first. */
static const struct protect *const back_ends[] = {&protect_ipsec, &protect_wolfcrypt};
static const struct protect *chosen;

enum { PROBE_SIZE = 1452, PROBE_TAGGED = PROBE_SIZE + PROTECT_TAG_SIZE };

/* Test cases 4 and 16 of the GCM specification, and FIPS 197 C.1 and C.3 for the masks. */
static const struct suite {
    size_t key_length;
    const char *sealed; /* 60 bytes of ciphertext, 16 of tag */
    const char *mask;
} suites[] = {
    [PROTECT_AES_128_GCM] = {16,
                             "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e"
                             "21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091"
                             "5bc94fbc3221a5db94fae95ae7121a47", "69c4e0d86a"},
    [PROTECT_AES_256_GCM] = {32,
                             "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
                             "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662"
                             "76fc6ece0f4e1768cddf8853bb2d551b", "8ea2b7ca51"},
};
static const char known_key[] = "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308";
static const char known_nonce[] = "cafebabefacedbaddecaf888";
static const char known_aad[] = "feedfacedeadbeeffeedfacedeadbeefabaddad2";
static const char known_text[] = "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
                                 "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39";

size_t protect_key_length(enum protect_suite suite)
{
    return suites[suite].key_length;
}

static unsigned nibble(char digit)
{
    return (unsigned)(digit <= '9' ? digit - '0' : digit - 'a' + 10);
}

static size_t unhex(const char *hex, uint8_t *out)
{
    size_t length = strlen(hex) / 2;

    for (size_t i = 0; i < length; i++)
        out[i] = (uint8_t)(nibble(hex[2 * i]) << 4 | nibble(hex[2 * i + 1]));
    return length;
}

/* Seals in place and opens again; then a flipped bit in the tag and one in the header must both be
 * refused. */
static bool refuses_forgery(const struct protect *protect, struct protect_key *key,
                            const struct protect_packet *sealed, uint8_t *in, uint8_t *aad)
{
    bool right, tag_met, aad_met;

    right = protect->open(key, sealed);
    in[sealed->length - 1] ^= 1;
    tag_met = !protect->open(key, sealed);
    in[sealed->length - 1] ^= 1;
    aad[0] ^= 0x80;
    aad_met = !protect->open(key, sealed);
    aad[0] ^= 0x80;
    return right && tag_met && aad_met;
}

static bool knows_answer(const struct protect *protect, const struct suite *suite,
                         struct protect_key *key)
{
    uint8_t nonce[PROTECT_NONCE_SIZE], aad[20], text[60], expected[76], opened[60];
    uint8_t sealed[76] = {0};
    struct protect_packet packet = {.nonce = nonce, .aad = aad, .in = text, .out = sealed};

    unhex(known_nonce, nonce);
    unhex(suite->sealed, expected);
    packet.aad_length = unhex(known_aad, aad);
    packet.length = unhex(known_text, text);
    protect->seal(key, &packet);
    if (memcmp(sealed, expected, sizeof(expected)) != 0)
        return false;
    packet = (struct protect_packet){nonce, aad, sizeof(aad), sealed, sizeof(sealed), opened};
    return refuses_forgery(protect, key, &packet, sealed, aad) && protect->open(key, &packet) &&
           memcmp(opened, text, sizeof(text)) == 0;
}

/* A packet long enough for the widest loops must come out as wolfCrypt makes it. */
static bool agrees(const struct protect *protect, struct protect_key *key,
                   struct protect_key *other)
{
    uint8_t nonce[PROTECT_NONCE_SIZE] = {9}, aad[21] = {7};
    uint8_t text[PROBE_SIZE], mine[PROBE_TAGGED], theirs[PROBE_TAGGED];
    struct protect_packet packet = {nonce, aad, sizeof(aad), text, sizeof(text), theirs};

    for (size_t i = 0; i < sizeof(text); i++)
        text[i] = (uint8_t)(i * 31);
    protect_wolfcrypt.seal(other, &packet);
    memcpy(mine, text, sizeof(text));
    packet = (struct protect_packet){nonce, aad, sizeof(aad), mine, sizeof(text), mine};
    protect->seal(key, &packet);
    return memcmp(mine, theirs, sizeof(mine)) == 0;
}

static bool seals_rightly(const struct protect *protect, enum protect_suite suite)
{
    uint8_t secret[PROTECT_KEY_MAX];
    struct protect_key *key, *other;
    bool right;

    unhex(known_key, secret);
    key = protect->key_new(suite, secret);
    other = protect_wolfcrypt.key_new(suite, secret);
    right =
        key && other && knows_answer(protect, &suites[suite], key) && agrees(protect, key, other);
    protect->key_free(key);
    protect_wolfcrypt.key_free(other);
    return right;
}

static bool masks_rightly(const struct protect *protect, enum protect_suite suite)
{
    uint8_t secret[PROTECT_KEY_MAX], sample[PROTECT_SAMPLE_SIZE];
    uint8_t mask[PROTECT_MASK_SIZE], expected[PROTECT_MASK_SIZE];
    struct protect_mask_key *key;
    bool right;

    for (size_t i = 0; i < sizeof(secret); i++)
        secret[i] = (uint8_t)i;
    for (size_t i = 0; i < sizeof(sample); i++)
        sample[i] = (uint8_t)(i * 0x11);
    unhex(suites[suite].mask, expected);
    key = protect->mask_key_new(suite, secret);
    if (!key)
        return false;
    protect->mask(key, sample, mask);
    right = memcmp(mask, expected, sizeof(mask)) == 0;
    protect->mask_key_free(key);
    return right;
}

bool protect_self_test(const struct protect *protect)
{
    for (enum protect_suite suite = 0; suite < PROTECT_SUITE_COUNT; suite++)
        if (!seals_rightly(protect, suite) || !masks_rightly(protect, suite))
            return false;
    return true;
}

int protect_choose(char *error, size_t error_size)
{
    for (size_t i = 0; i < ARRAY_COUNT(back_ends); i++) {
        if (!back_ends[i]->available() || !protect_self_test(back_ends[i]))
            continue;
        chosen = back_ends[i];
        return 0;
    }
    snprintf(error, error_size, "packet protection failed its self-test on this CPU");
    return -EIO;
}

const struct protect *protect_chosen(void)
{
    must(chosen);
    return chosen;
}
