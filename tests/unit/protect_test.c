#include "quic/protect.h"

#include <string.h>

#include "core/mem.h"
#include "tests/unit/test.h"

static const struct protect *const both[] = {&protect_ipsec, &protect_wolfcrypt};

static struct protect_packet packet_of(const uint8_t *nonce, const uint8_t *aad, size_t aad_length,
                                       const uint8_t *in, size_t length, uint8_t *out)
{
    return (struct protect_packet){nonce, aad, aad_length, in, length, out};
}

TEST(every_available_back_end_passes_its_self_test)
{
    for (size_t i = 0; i < ARRAY_COUNT(both); i++)
        check(!both[i]->available() || protect_self_test(both[i]));
}

TEST(a_back_end_is_always_chosen)
{
    char error[128];

    check(protect_choose(error, sizeof(error)) == 0);
    check(protect_chosen() == &protect_ipsec || protect_chosen() == &protect_wolfcrypt);
}

/* Every length around the widths of the loops, and packets with headers of several lengths. */
static bool agree_on(enum protect_suite suite, size_t length, size_t aad_length)
{
    uint8_t key[PROTECT_KEY_MAX], nonce[PROTECT_NONCE_SIZE], aad[64], text[1500];
    uint8_t sealed[2][1516], opened[2][1500];
    bool right = true;

    for (size_t i = 0; i < sizeof(text); i++)
        text[i] = (uint8_t)(i * 7 + length);
    memset(aad, (int)aad_length, sizeof(aad));
    memset(key, (int)length, sizeof(key));
    memset(nonce, 3, sizeof(nonce));
    for (size_t i = 0; i < 2; i++) {
        struct protect_key *made = both[i]->key_new(suite, key);
        struct protect_packet packet = packet_of(nonce, aad, aad_length, text, length, sealed[i]);

        both[i]->seal(made, &packet);
        packet = packet_of(nonce, aad, aad_length, sealed[0], length + PROTECT_TAG_SIZE, opened[i]);
        right = right && both[i]->open(made, &packet) && memcmp(opened[i], text, length) == 0;
        both[i]->key_free(made);
    }
    return right && memcmp(sealed[0], sealed[1], length + PROTECT_TAG_SIZE) == 0;
}

TEST(both_back_ends_make_and_open_the_same_packets)
{
    if (!protect_ipsec.available())
        return;
    for (enum protect_suite suite = 0; suite < PROTECT_SUITE_COUNT; suite++)
        for (size_t length = 1; length <= 1452; length += length < 300 ? 1 : 37)
            for (size_t aad = 5; aad <= 45; aad += 10)
                check(agree_on(suite, length, aad));
}

TEST(any_flipped_bit_is_refused)
{
    for (size_t i = 0; i < ARRAY_COUNT(both); i++) {
        uint8_t key[PROTECT_KEY_MAX] = {1}, nonce[PROTECT_NONCE_SIZE] = {2}, aad[9] = {3};
        uint8_t sealed[48] = {4}, out[32];
        struct protect_key *made;
        struct protect_packet packet = packet_of(nonce, aad, sizeof(aad), sealed, 32, sealed);

        if (!both[i]->available())
            continue;
        made = both[i]->key_new(PROTECT_AES_128_GCM, key);
        both[i]->seal(made, &packet);
        packet = packet_of(nonce, aad, sizeof(aad), sealed, sizeof(sealed), out);
        check(both[i]->open(made, &packet));
        for (size_t bit = 0; bit < 8 * sizeof(sealed); bit++) {
            sealed[bit / 8] ^= (uint8_t)(1U << bit % 8);
            check(!both[i]->open(made, &packet));
            sealed[bit / 8] ^= (uint8_t)(1U << bit % 8);
        }
        for (size_t bit = 0; bit < 8 * sizeof(aad); bit++) {
            aad[bit / 8] ^= (uint8_t)(1U << bit % 8);
            check(!both[i]->open(made, &packet));
            aad[bit / 8] ^= (uint8_t)(1U << bit % 8);
        }
        both[i]->key_free(made);
    }
}

TEST(a_packet_shorter_than_a_tag_is_refused)
{
    for (size_t i = 0; i < ARRAY_COUNT(both); i++) {
        uint8_t key[PROTECT_KEY_MAX] = {1}, nonce[PROTECT_NONCE_SIZE] = {2}, in[16] = {0}, out[16];
        struct protect_key *made;
        struct protect_packet packet = packet_of(nonce, in, 1, in, 15, out);

        if (!both[i]->available())
            continue;
        made = both[i]->key_new(PROTECT_AES_256_GCM, key);
        check(!both[i]->open(made, &packet));
        both[i]->key_free(made);
    }
}

TEST(keys_without_memory_are_refused_and_leave_nothing)
{
    uint8_t key[PROTECT_KEY_MAX] = {1};

    mem_count(true);
    for (size_t i = 0; i < ARRAY_COUNT(both); i++) {
        if (!both[i]->available())
            continue;
        mem_fail_at(1);
        check(!both[i]->key_new(PROTECT_AES_128_GCM, key));
        mem_fail_at(1);
        check(!both[i]->mask_key_new(PROTECT_AES_128_GCM, key));
        mem_fail_at(0);
    }
    check(mem_live() == 0);
    mem_count(false);
}
