#include "quic/keys.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* RFC 9001, 6.6: packets that one AES-GCM key may seal, and forgeries it may meet. */
static const uint64_t max_encryption = 1ULL << 23, max_decryption_failure = 1ULL << 52;

static const struct version {
    uint32_t number;
    const char *salt, *key, *nonce, *mask, *update, *retry_key;
} versions[] = {
    {NGTCP2_PROTO_VER_V1,
     "\x38\x76\x2c\xf7\xf5\x59\x34\xb3\x4d\x17\x9a\xe6\xa4\xc8\x0c\xad\xcc\xbb\x7f\x0a", "quic key",
     "quic iv",                                                                                                     "quic hp",   "quic ku",   NGTCP2_RETRY_KEY_V1},
    {NGTCP2_PROTO_VER_V2,
     "\x0d\xed\xe3\xde\xf7\x00\xa6\xdb\x81\x93\x81\xbe\x6e\x26\x9d\xcb\xf9\xbd\x2e\xd9", "quicv2 key", "quicv2 iv", "quicv2 hp", "quicv2 ku", NGTCP2_RETRY_KEY_V2},
};
enum { SALT_SIZE = 20, INITIAL_SECRET_SIZE = 32 };

static const enum hash hashes[] = {
    [PROTECT_AES_128_GCM] = HASH_SHA256,
    [PROTECT_AES_256_GCM] = HASH_SHA384,
};

static const struct version *version_of(uint32_t number)
{
    for (size_t i = 0; i < ARRAY_COUNT(versions); i++)
        if (versions[i].number == number)
            return &versions[i];
    return &versions[0];
}

/* ---- derivation ---- */

/* HKDF-Expand-Label of TLS 1.3 with an empty context. */
static int expand_label(enum hash hash, const uint8_t *secret, const char *label, uint8_t *out,
                        size_t length)
{
    uint8_t info[64] = {0, (uint8_t)length};
    int written = snprintf((char *)info + 3, sizeof(info) - 3, "tls13 %s", label);

    must(written < (int)sizeof(info) - 4 && length < 256);
    info[2] = (uint8_t)written;
    return hkdf_expand(hash, secret, info, 3 + (size_t)written + 1, out, length);
}

int keys_derive(struct packet_keys *keys, uint32_t version, enum protect_suite suite,
                const uint8_t *secret)
{
    const struct version *labels = version_of(version);
    enum hash hash = hashes[suite];
    size_t length = protect_key_length(suite);

    if (expand_label(hash, secret, labels->key, keys->key, length) != 0 ||
        expand_label(hash, secret, labels->nonce, keys->nonce, PROTECT_NONCE_SIZE) != 0 ||
        expand_label(hash, secret, labels->mask, keys->mask, length) != 0)
        return -EINVAL;
    return 0;
}

int keys_initial_secrets(uint32_t version, const ngtcp2_cid *id, uint8_t client[32],
                         uint8_t server[32])
{
    const uint8_t *salt = (const uint8_t *)version_of(version)->salt;
    uint8_t initial[INITIAL_SECRET_SIZE];

    if (hkdf_extract(HASH_SHA256, id->data, id->datalen, salt, SALT_SIZE, initial) != 0 ||
        expand_label(HASH_SHA256, initial, "client in", client, INITIAL_SECRET_SIZE) != 0 ||
        (server &&
         expand_label(HASH_SHA256, initial, "server in", server, INITIAL_SECRET_SIZE) != 0))
        return -EINVAL;
    return 0;
}

int keys_next_secret(uint32_t version, enum protect_suite suite, const uint8_t *secret,
                     uint8_t *next)
{
    uint8_t made[HASH_SIZE_MAX];
    size_t length = hash_size(hashes[suite]);
    int rc = expand_label(hashes[suite], secret, version_of(version)->update, made, length);

    memcpy(next, made, length);
    wipe(made, sizeof(made));
    return rc;
}

/* ---- contexts of ngtcp2 ---- */

/* One direction, ready to be given to ngtcp2. */
struct direction {
    struct packet_keys keys; /* wiped by direction_clear */
    ngtcp2_crypto_aead_ctx aead;
    ngtcp2_crypto_cipher_ctx mask;
};

static int direction_make(struct direction *direction, uint32_t version, enum protect_suite suite,
                          const uint8_t *secret)
{
    const struct protect *protect = protect_chosen();

    *direction = (struct direction){0};
    if (keys_derive(&direction->keys, version, suite, secret) != 0)
        return NGTCP2_ERR_CALLBACK_FAILURE;
    direction->aead.native_handle = protect->key_new(suite, direction->keys.key);
    direction->mask.native_handle = protect->mask_key_new(suite, direction->keys.mask);
    return direction->aead.native_handle && direction->mask.native_handle ? 0 : NGTCP2_ERR_NOMEM;
}

/* On success ngtcp2 has taken the contexts and only the bytes are wiped. */
static int direction_clear(struct direction *direction, int rv)
{
    const struct protect *protect = protect_chosen();

    if (rv != 0) {
        protect->key_free(direction->aead.native_handle);
        protect->mask_key_free(direction->mask.native_handle);
    }
    wipe(&direction->keys, sizeof(direction->keys));
    return rv;
}

static ngtcp2_crypto_ctx crypto_ctx_of(enum protect_suite suite)
{
    static const enum protect_suite handles[] = {PROTECT_AES_128_GCM, PROTECT_AES_256_GCM};
    void *handle = (void *)(uintptr_t)&handles[suite];

    return (ngtcp2_crypto_ctx){
        .aead = {.native_handle = handle, .max_overhead = PROTECT_TAG_SIZE},
        .md = {.native_handle = handle                      },
        .hp = {.native_handle = handle},
        .max_encryption = max_encryption,
        .max_decryption_failure = max_decryption_failure,
    };
}

static enum protect_suite suite_of(const ngtcp2_crypto_ctx *ctx)
{
    return *(const enum protect_suite *)ctx->aead.native_handle;
}

/* ---- installation ---- */

/* Sets out with the Initial keys of both directions made, or with none. */
static int initial_make(ngtcp2_conn *conn, uint32_t version, const ngtcp2_cid *id,
                        struct direction *rx, struct direction *tx)
{
    uint8_t client[INITIAL_SECRET_SIZE], server[INITIAL_SECRET_SIZE];
    bool is_server = ngtcp2_conn_is_server2(conn);
    int rv;

    *rx = *tx = (struct direction){0};
    if (keys_initial_secrets(version, id, client, server) != 0)
        return NGTCP2_ERR_CALLBACK_FAILURE;
    rv = direction_make(rx, version, PROTECT_AES_128_GCM, is_server ? client : server);
    if (rv == 0)
        rv = direction_make(tx, version, PROTECT_AES_128_GCM, is_server ? server : client);
    if (rv != 0) {
        direction_clear(rx, rv);
        direction_clear(tx, rv);
    }
    return rv;
}

/* A client checks the integrity tag of one Retry with a key that everybody knows. */
static int retry_key_set(ngtcp2_conn *conn, uint32_t version, const ngtcp2_crypto_aead *aead)
{
    const uint8_t *key = (const uint8_t *)version_of(version)->retry_key;
    ngtcp2_crypto_aead_ctx ctx = {protect_chosen()->key_new(PROTECT_AES_128_GCM, key)};

    if (!ctx.native_handle)
        return NGTCP2_ERR_NOMEM;
    ngtcp2_conn_set_retry_aead(conn, aead, &ctx);
    return 0;
}

int keys_install_initial(ngtcp2_conn *conn, uint32_t version, const ngtcp2_cid *id)
{
    ngtcp2_crypto_ctx ctx = crypto_ctx_of(PROTECT_AES_128_GCM);
    struct direction rx, tx;
    int rv = initial_make(conn, version, id, &rx, &tx);

    if (rv != 0)
        return rv;
    ngtcp2_conn_set_initial_crypto_ctx(conn, &ctx);
    rv = ngtcp2_conn_install_initial_key(conn, &rx.aead, rx.keys.nonce, &rx.mask, &tx.aead,
                                         tx.keys.nonce, &tx.mask, PROTECT_NONCE_SIZE);
    direction_clear(&rx, rv);
    direction_clear(&tx, rv);
    if (rv == 0 && !ngtcp2_conn_is_server2(conn) && !ngtcp2_conn_after_retry2(conn))
        rv = retry_key_set(conn, version, &ctx.aead);
    return rv;
}

/* ngtcp2 learns the suite from whichever direction comes first. */
static uint32_t suite_tell(ngtcp2_conn *conn, enum protect_suite suite)
{
    ngtcp2_crypto_ctx ctx = crypto_ctx_of(suite);

    if (!ngtcp2_conn_get_crypto_ctx2(conn)->aead.native_handle)
        ngtcp2_conn_set_crypto_ctx(conn, &ctx);
    return ngtcp2_conn_get_negotiated_version2(conn);
}

int keys_install_rx(ngtcp2_conn *conn, ngtcp2_encryption_level level, enum protect_suite suite,
                    const uint8_t *secret)
{
    struct direction rx;
    int rv = direction_make(&rx, suite_tell(conn, suite), suite, secret);

    if (rv == 0 && level == NGTCP2_ENCRYPTION_LEVEL_HANDSHAKE)
        rv = ngtcp2_conn_install_rx_handshake_key(conn, &rx.aead, rx.keys.nonce, PROTECT_NONCE_SIZE,
                                                  &rx.mask);
    else if (rv == 0)
        rv = ngtcp2_conn_install_rx_key(conn, secret, hash_size(hashes[suite]), &rx.aead,
                                        rx.keys.nonce, PROTECT_NONCE_SIZE, &rx.mask);
    return direction_clear(&rx, rv);
}

int keys_install_tx(ngtcp2_conn *conn, ngtcp2_encryption_level level, enum protect_suite suite,
                    const uint8_t *secret)
{
    struct direction tx;
    int rv = direction_make(&tx, suite_tell(conn, suite), suite, secret);

    if (rv == 0 && level == NGTCP2_ENCRYPTION_LEVEL_HANDSHAKE)
        rv = ngtcp2_conn_install_tx_handshake_key(conn, &tx.aead, tx.keys.nonce, PROTECT_NONCE_SIZE,
                                                  &tx.mask);
    else if (rv == 0)
        rv = ngtcp2_conn_install_tx_key(conn, secret, hash_size(hashes[suite]), &tx.aead,
                                        tx.keys.nonce, PROTECT_NONCE_SIZE, &tx.mask);
    return direction_clear(&tx, rv);
}

/* ---- callbacks ---- */

static int recv_client_initial(ngtcp2_conn *conn, const ngtcp2_cid *id, void *user_data)
{
    return keys_install_initial(conn, ngtcp2_conn_get_client_chosen_version2(conn), id);
}

static int recv_retry(ngtcp2_conn *conn, const ngtcp2_pkt_hd *header, void *user_data)
{
    return keys_install_initial(conn, ngtcp2_conn_get_client_chosen_version2(conn), &header->scid);
}

static int version_negotiation(ngtcp2_conn *conn, uint32_t version, const ngtcp2_cid *id,
                               void *user_data)
{
    struct direction rx, tx;
    int rv = initial_make(conn, version, id, &rx, &tx);

    if (rv != 0)
        return rv;
    rv =
        ngtcp2_conn_install_vneg_initial_key(conn, version, &rx.aead, rx.keys.nonce, &rx.mask,
                                             &tx.aead, tx.keys.nonce, &tx.mask, PROTECT_NONCE_SIZE);
    direction_clear(&rx, rv);
    direction_clear(&tx, rv);
    return rv;
}

/* The next generation of one direction: its secret, nonce base and context. */
static int update_direction(ngtcp2_conn *conn, const uint8_t *current, uint8_t *secret,
                            uint8_t *nonce, ngtcp2_crypto_aead_ctx *aead)
{
    uint32_t version = ngtcp2_conn_get_negotiated_version2(conn);
    enum protect_suite suite = suite_of(ngtcp2_conn_get_crypto_ctx2(conn));
    struct packet_keys keys;

    if (keys_next_secret(version, suite, current, secret) != 0 ||
        keys_derive(&keys, version, suite, secret) != 0)
        return NGTCP2_ERR_CALLBACK_FAILURE;
    memcpy(nonce, keys.nonce, PROTECT_NONCE_SIZE);
    aead->native_handle = protect_chosen()->key_new(suite, keys.key);
    wipe(&keys, sizeof(keys));
    return aead->native_handle ? 0 : NGTCP2_ERR_CALLBACK_FAILURE;
}

static int update_key(ngtcp2_conn *conn, uint8_t *rx_secret, uint8_t *tx_secret,
                      ngtcp2_crypto_aead_ctx *rx_aead, uint8_t *rx_nonce,
                      ngtcp2_crypto_aead_ctx *tx_aead, uint8_t *tx_nonce, const uint8_t *current_rx,
                      const uint8_t *current_tx, size_t secret_length, void *user_data)
{
    int rv = update_direction(conn, current_rx, rx_secret, rx_nonce, rx_aead);

    if (rv != 0)
        return rv;
    rv = update_direction(conn, current_tx, tx_secret, tx_nonce, tx_aead);
    if (rv != 0) {
        protect_chosen()->key_free(rx_aead->native_handle);
        rx_aead->native_handle = NULL;
    }
    return rv;
}

static int encrypt(uint8_t *out, const ngtcp2_crypto_aead *aead, const ngtcp2_crypto_aead_ctx *ctx,
                   const uint8_t *in, size_t length, const uint8_t *nonce, size_t nonce_length,
                   const uint8_t *aad, size_t aad_length)
{
    const struct protect_packet packet = {nonce, aad, aad_length, in, length, out};

    protect_chosen()->seal(ctx->native_handle, &packet);
    return 0;
}

static int decrypt(uint8_t *out, const ngtcp2_crypto_aead *aead, const ngtcp2_crypto_aead_ctx *ctx,
                   const uint8_t *in, size_t length, const uint8_t *nonce, size_t nonce_length,
                   const uint8_t *aad, size_t aad_length)
{
    const struct protect_packet packet = {nonce, aad, aad_length, in, length, out};

    return protect_chosen()->open(ctx->native_handle, &packet) ? 0 : NGTCP2_ERR_DECRYPT;
}

static int hp_mask(uint8_t *mask, const ngtcp2_crypto_cipher *cipher,
                   const ngtcp2_crypto_cipher_ctx *ctx, const uint8_t *sample)
{
    protect_chosen()->mask(ctx->native_handle, sample, mask);
    return 0;
}

static void delete_aead(ngtcp2_conn *conn, ngtcp2_crypto_aead_ctx *ctx, void *user_data)
{
    protect_chosen()->key_free(ctx->native_handle);
}

static void delete_cipher(ngtcp2_conn *conn, ngtcp2_crypto_cipher_ctx *ctx, void *user_data)
{
    protect_chosen()->mask_key_free(ctx->native_handle);
}

void keys_callbacks(ngtcp2_callbacks *callbacks)
{
    callbacks->recv_client_initial = recv_client_initial;
    callbacks->recv_retry = recv_retry;
    callbacks->version_negotiation = version_negotiation;
    callbacks->update_key = update_key;
    callbacks->encrypt = encrypt;
    callbacks->decrypt = decrypt;
    callbacks->hp_mask = hp_mask;
    callbacks->delete_crypto_aead_ctx = delete_aead;
    callbacks->delete_crypto_cipher_ctx = delete_cipher;
}
