/* quic/token.h - what a server signs instead of remembering: Retry tokens and stateless resets.
 * Internal to quic.  Owner: the endpoint.  Thread: its worker's; keys are read-only. */
#ifndef QUIC_TOKEN_H
#define QUIC_TOKEN_H

#include <ngtcp2/ngtcp2.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/addr.h"
#include "core/must.h"

enum { TOKEN_MAX = 256, TOKEN_LIFE_MS = 10000, TOKEN_KEY = 32 };

struct token_keys {
    uint8_t retry[TOKEN_KEY], reset[TOKEN_KEY];
};

/* Derived from 32 bytes of secret, so that a restarted server knows its own.  0 or -EINVAL. */
int token_keys_init(struct token_keys *keys, const uint8_t *secret) MUST_CHECK;
void token_keys_release(struct token_keys *keys); /* wiped */

/* The reset token of a connection id.  0 or -ENOMEM. */
int token_of_reset(const struct token_keys *keys, const ngtcp2_cid *id,
                   uint8_t token[NGTCP2_STATELESS_RESET_TOKENLEN]) MUST_CHECK;

/* What a Retry speaks of: the client's address and version, the id it chose first, the one we
 * gave it; and the wall clock. */
struct token_retry {
    const struct addr *peer;
    uint32_t version;
    const ngtcp2_cid *given;
    ngtcp2_cid chosen; /* token_check_retry fills it */
    uint64_t wall_ms;
};
/* The token's length, or -ENOMEM. */
int token_make_retry(const struct token_keys *keys, const struct token_retry *retry,
                     uint8_t token[TOKEN_MAX]) MUST_CHECK;
bool token_check_retry(const struct token_keys *keys, struct token_retry *retry,
                       const uint8_t *token, size_t length);

#endif
