#include "core/aes.h"

#include <string.h>

#include "core/mem.h"
#include "tests/unit/test.h"

static const uint8_t key[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

TEST(a_block_is_sealed_as_fips_197_says_and_opens_again)
{
    static const uint8_t text[16] = {0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77,
                                     0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff};
    static const uint8_t sealed[16] = {0x69, 0xc4, 0xe0, 0xd8, 0x6a, 0x7b, 0x04, 0x30,
                                       0xd8, 0xcd, 0xb7, 0x80, 0x70, 0xb4, 0xc5, 0x5a};
    struct aes_key *aes = aes_key_new(key);
    uint8_t out[16];

    check(aes);
    aes_seal_block(aes, text, out);
    check(memcmp(out, sealed, sizeof(out)) == 0);
    aes_open_block(aes, out, out);
    check(memcmp(out, text, sizeof(out)) == 0);
    aes_key_free(&aes);
    check(!aes);
    aes_key_free(&aes);
}

TEST(a_key_without_memory_is_refused)
{
    mem_fail_at(1);
    check(!aes_key_new(key));
    check(mem_failed());
    mem_fail_at(0);
}

/* Made with another implementation of HKDF-SHA256. */
TEST(derived_keys_are_those_of_hkdf_sha256)
{
    static const uint8_t expected[32] = {0x52, 0xd8, 0xde, 0x95, 0x47, 0x3c, 0x1b, 0x16,
                                         0x2b, 0x2b, 0xb7, 0x69, 0x64, 0xad, 0x80, 0x0a,
                                         0x94, 0xa8, 0xc1, 0x9e, 0x88, 0x5f, 0xe7, 0xbe,
                                         0x75, 0x02, 0xc7, 0x7f, 0x4d, 0x95, 0x3f, 0x25};
    uint8_t out[32];

    check(derive_key(key, sizeof(key), "salt", "label", out, sizeof(out)) == 0);
    check(memcmp(out, expected, sizeof(out)) == 0);
}

TEST(derived_keys_differ_by_secret_salt_and_label)
{
    uint8_t a[32], b[32];

    check(derive_key(key, sizeof(key), "salt", "label", a, sizeof(a)) == 0);
    check(derive_key(key, sizeof(key), "salt", "other", b, sizeof(b)) == 0);
    check(memcmp(a, b, sizeof(a)) != 0);
    check(derive_key(key, sizeof(key), "other", "label", b, sizeof(b)) == 0);
    check(memcmp(a, b, sizeof(a)) != 0);
    check(derive_key(key, 15, "salt", "label", b, sizeof(b)) == 0);
    check(memcmp(a, b, sizeof(a)) != 0);
}
