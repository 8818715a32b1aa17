#include "quic/keys.h"

#include <string.h>

#include "core/tls.h"
#include "tests/unit/test.h"

static const struct tls_hooks system_hooks;
static const ngtcp2_cid id = {
    8, {0x83, 0x94, 0xc8, 0xf0, 0x3e, 0x51, 0x57, 0x08}
};

__attribute__((constructor)) static void library_start(void)
{
    char error[128];

    must(tls_global_init(&system_hooks) == 0 && protect_choose(error, sizeof(error)) == 0);
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

static bool is(const uint8_t *bytes, const char *hex)
{
    uint8_t wanted[256];

    return memcmp(bytes, wanted, unhex(hex, wanted)) == 0;
}

/* RFC 9001, A.1. */
TEST(initial_keys_are_those_of_rfc_9001)
{
    uint8_t client[32], server[32];
    struct packet_keys keys;

    check(keys_initial_secrets(NGTCP2_PROTO_VER_V1, &id, client, server) == 0);
    check(is(client, "c00cf151ca5be075ed0ebfb5c80323c42d6b7db67881289af4008f1f6c357aea"));
    check(is(server, "3c199828fd139efd216c155ad844cc81fb82fa8d7446fa7d78be803acdda951b"));
    check(keys_derive(&keys, NGTCP2_PROTO_VER_V1, PROTECT_AES_128_GCM, client) == 0);
    check(is(keys.key, "1f369613dd76d5467730efcbe3b1a22d"));
    check(is(keys.nonce, "fa044b2f42a3fd3b46fb255c"));
    check(is(keys.mask, "9f50449e04a0e810283a1e9933adedd2"));
    check(keys_derive(&keys, NGTCP2_PROTO_VER_V1, PROTECT_AES_128_GCM, server) == 0);
    check(is(keys.key, "cf3a5331653c364c88f0f379b6067e37"));
    check(is(keys.nonce, "0ac1493ca1905853b0bba03e"));
    check(is(keys.mask, "c206b8d9b9f0f37644430b490eeaa314"));
}

/* RFC 9369, A.1. */
TEST(initial_keys_of_version_2_are_those_of_rfc_9369)
{
    uint8_t client[32], server[32];
    struct packet_keys keys;

    check(keys_initial_secrets(NGTCP2_PROTO_VER_V2, &id, client, server) == 0);
    check(is(client, "14ec9d6eb9fd7af83bf5a668bc17a7e283766aade7ecd0891f70f9ff7f4bf47b"));
    check(keys_derive(&keys, NGTCP2_PROTO_VER_V2, PROTECT_AES_128_GCM, client) == 0);
    check(is(keys.key, "8b1a0bc121284290a29e0971b5cd045d"));
    check(is(keys.nonce, "91f73e2351d8fa91660e909f"));
    check(is(keys.mask, "45b95e15235d6f45a6b19cbcb0294ba9"));
}

/* RFC 9001, A.2: the client's first packet, with each back end. */
static bool seals_first_packet(const struct protect *protect)
{
    uint8_t client[32], server[32], header[22], plain[1162] = {0}, sealed[1178];
    uint8_t mask[PROTECT_MASK_SIZE], nonce[PROTECT_NONCE_SIZE];
    struct packet_keys keys;
    struct protect_key *key;
    struct protect_mask_key *mask_key;
    struct protect_packet packet = {nonce, header, sizeof(header), plain, sizeof(plain), sealed};
    bool right;

    must(keys_initial_secrets(NGTCP2_PROTO_VER_V1, &id, client, server) == 0);
    must(keys_derive(&keys, NGTCP2_PROTO_VER_V1, PROTECT_AES_128_GCM, client) == 0);
    unhex("c300000001088394c8f03e5157080000449e00000002", header);
    unhex("060040f1010000ed0303ebf8fa56f12939b9584a3896472ec40bb863cfd3e868"
          "04fe3a47f06a2b69484c00000413011302010000c000000010000e00000b6578"
          "616d706c652e636f6dff01000100000a00080006001d00170018001000070005"
          "04616c706e000500050100000000003300260024001d00209370b2c9caa47fba"
          "baf4559fedba753de171fa71f50f1ce15d43e994ec74d748002b000302030400"
          "0d0010000e0403050306030203080408050806002d00020101001c0002400100"
          "3900320408ffffffffffffffff05048000ffff07048000ffff08011001048000"
          "75300901100f088394c8f03e51570806048000ffff",
          plain);
    memcpy(nonce, keys.nonce, sizeof(nonce));
    nonce[11] ^= 2; /* packet number 2 */
    key = protect->key_new(PROTECT_AES_128_GCM, keys.key);
    mask_key = protect->mask_key_new(PROTECT_AES_128_GCM, keys.mask);
    protect->seal(key, &packet);
    protect->mask(mask_key, sealed, mask);
    right = is(sealed, "d1b1c98dd7689fb8ec11d242b123dc9b") && is(mask, "437b9aec36") &&
            is(sealed + sizeof(sealed) - 16, "e221af44860018ab0856972e194cd934");
    protect->key_free(key);
    protect->mask_key_free(mask_key);
    return right;
}

TEST(the_first_packet_is_that_of_rfc_9001_with_either_back_end)
{
    check(seals_first_packet(&protect_wolfcrypt));
    check(!protect_ipsec.available() || seals_first_packet(&protect_ipsec));
}

/* RFC 9001, A.4: the tag is over a pseudo packet, with nothing sealed. */
TEST(a_retry_carries_the_tag_of_rfc_9001)
{
    uint8_t pseudo[64], tag[PROTECT_TAG_SIZE];
    size_t length = unhex("088394c8f03e515708ff000000010008f067a5502a4262b5746f6b656e", pseudo);
    struct protect_packet packet = {
        (const uint8_t *)NGTCP2_RETRY_NONCE_V1, pseudo, length, pseudo, 0, tag};
    struct protect_key *key =
        protect_chosen()->key_new(PROTECT_AES_128_GCM, (const uint8_t *)NGTCP2_RETRY_KEY_V1);

    protect_chosen()->seal(key, &packet);
    check(is(tag, "04a265ba2eff4d829058fb3f0f2496ba"));
    protect_chosen()->key_free(key);
}

/* The secret of RFC 9001, A.5, whose labels are the same for every suite. */
TEST(the_next_secret_is_that_of_rfc_9001)
{
    uint8_t secret[32], next[32];

    unhex("9ac312a7f877468ebe69422748ad00a15443f18203a07d6060f688f30f21632b", secret);
    check(keys_next_secret(NGTCP2_PROTO_VER_V1, PROTECT_AES_128_GCM, secret, next) == 0);
    check(is(next, "1223504755036d556342ee9361d253421a826c9ecdf3c7148684b36b714881f9"));
    check(keys_next_secret(NGTCP2_PROTO_VER_V1, PROTECT_AES_128_GCM, secret, secret) == 0);
    check(memcmp(secret, next, sizeof(next)) == 0);
}
