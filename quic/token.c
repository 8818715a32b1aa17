#include "quic/token.h"

#include <errno.h>
#include <ngtcp2/ngtcp2_crypto.h>

#include "core/aes.h"

_Static_assert(TOKEN_MAX >= NGTCP2_CRYPTO_MAX_RETRY_TOKENLEN2, "Retry tokens fit");

int token_keys_init(struct token_keys *keys, const uint8_t *secret)
{
    int rc = derive_key(secret, TOKEN_KEY, "qmux-uring", "retry", keys->retry, TOKEN_KEY);

    if (rc < 0)
        return rc;
    return derive_key(secret, TOKEN_KEY, "qmux-uring", "stateless reset", keys->reset, TOKEN_KEY);
}

void token_keys_release(struct token_keys *keys)
{
    wipe(keys, sizeof(*keys));
}

int token_of_reset(const struct token_keys *keys, const ngtcp2_cid *id,
                   uint8_t token[NGTCP2_STATELESS_RESET_TOKENLEN])
{
    int rv = ngtcp2_crypto_generate_stateless_reset_token(token, keys->reset, TOKEN_KEY, id);

    return rv ? -ENOMEM : 0;
}

int token_make_retry(const struct token_keys *keys, const struct token_retry *retry,
                     uint8_t token[TOKEN_MAX])
{
    ngtcp2_ssize length = ngtcp2_crypto_generate_retry_token2(
        token, keys->retry, TOKEN_KEY, retry->version, &retry->peer->sa, retry->peer->length,
        retry->given, &retry->chosen, retry->wall_ms * NGTCP2_MILLISECONDS);

    return length < 0 ? -ENOMEM : (int)length;
}

bool token_check_retry(const struct token_keys *keys, struct token_retry *retry,
                       const uint8_t *token, size_t length)
{
    if (!length || token[0] != NGTCP2_CRYPTO_TOKEN_MAGIC_RETRY2)
        return false;
    return !ngtcp2_crypto_verify_retry_token2(&retry->chosen, token, length, keys->retry, TOKEN_KEY,
                                              retry->version, &retry->peer->sa, retry->peer->length,
                                              retry->given, TOKEN_LIFE_MS * NGTCP2_MILLISECONDS,
                                              retry->wall_ms * NGTCP2_MILLISECONDS);
}
