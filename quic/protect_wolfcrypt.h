/* quic/protect_wolfcrypt.h - wolfCrypt's header masks, which are the fastest of ours (one AES block
 * without a call table), so that other back ends put them into their rows.  Contracts: protect.h.
 */
#ifndef QUIC_PROTECT_WOLFCRYPT_H
#define QUIC_PROTECT_WOLFCRYPT_H

#include "quic/protect.h"

struct protect_mask_key *wolfcrypt_mask_key_new(enum protect_suite suite,
                                                const uint8_t *key) MUST_CHECK;
void wolfcrypt_mask_key_free(struct protect_mask_key *key);
void wolfcrypt_mask(struct protect_mask_key *key, const uint8_t sample[PROTECT_SAMPLE_SIZE],
                    uint8_t mask[PROTECT_MASK_SIZE]);

#endif
