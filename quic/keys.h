/* quic/keys.h - packet keys: derived as RFC 9001 and RFC 9369 say, made with the protection that
 * protect.h chose, installed into ngtcp2, which owns them from then on and gives them back through
 * the delete callbacks.  Internal to quic.  Thread: the connection's worker.
 *
 * The native handles of ngtcp2's contexts are struct protect_key and struct protect_mask_key. */
#ifndef QUIC_KEYS_H
#define QUIC_KEYS_H

#include <ngtcp2/ngtcp2.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/aes.h"
#include "core/must.h"
#include "quic/protect.h"

struct packet_keys {
    uint8_t key[PROTECT_KEY_MAX], nonce[PROTECT_NONCE_SIZE], mask[PROTECT_KEY_MAX];
};

/* Key, nonce base and mask key from a traffic secret of the suite's hash size.  0 or -EINVAL. */
int keys_derive(struct packet_keys *keys, uint32_t version, enum protect_suite suite,
                const uint8_t *secret) MUST_CHECK;
/* Both Initial secrets, 32 bytes each, from the id that the client chose; server: NULL where it is
 * not wanted.  0 or -EINVAL. */
int keys_initial_secrets(uint32_t version, const ngtcp2_cid *id, uint8_t client[32],
                         uint8_t server[32]) MUST_CHECK;
/* The secret after a key update, which may replace the old one in place.  0 or -EINVAL. */
int keys_next_secret(uint32_t version, enum protect_suite suite, const uint8_t *secret,
                     uint8_t *next) MUST_CHECK;

/* All 0 or an NGTCP2_ERR code. */
int keys_install_initial(ngtcp2_conn *conn, uint32_t version, const ngtcp2_cid *id) MUST_CHECK;
/* The first call for a connection tells ngtcp2 the suite.  level: HANDSHAKE or 1RTT. */
int keys_install_rx(ngtcp2_conn *conn, ngtcp2_encryption_level level, enum protect_suite suite,
                    const uint8_t *secret) MUST_CHECK;
int keys_install_tx(ngtcp2_conn *conn, ngtcp2_encryption_level level, enum protect_suite suite,
                    const uint8_t *secret) MUST_CHECK;

/* Fills recv_client_initial, recv_retry, version_negotiation, encrypt, decrypt, hp_mask, update_key
 * and the two delete callbacks. */
void keys_callbacks(ngtcp2_callbacks *callbacks);

#endif
