/* quic/handshake.h - the TLS side of one ngtcp2 connection: handshake, keys, packet protection, and
 * who the peer is.  Internal to quic.
 *
 * Owner: the connection that embeds it.  Thread: that connection's worker.
 * Conventions: ngtcp2's user_data belongs to the connection and is never looked at here; the
 * connection's TLS native handle is the struct handshake (set by handshake_init: do not set it).
 *
 * Life, in this order:
 *     handshake_callbacks(&callbacks);              fills the rows named below
 *     ngtcp2_conn_client_new / _server_new (...)
 *     handshake_init(&handshake, &options);         before the first packet is read or written
 *     ... ngtcp2 calls back ...; handshake_completed: handshake_identity is valid
 *     handshake_shrink(&handshake);                 optional, see there
 *     ngtcp2_conn_del(conn);                        gives the packet keys back
 *     handshake_release(&handshake);                after ngtcp2_conn_del
 *
 * Failures: a callback that fails makes ngtcp2 return NGTCP2_ERR_CRYPTO (or NGTCP2_ERR_NOMEM,
 * NGTCP2_ERR_CALLBACK_FAILURE) from read_pkt or writev; why is remembered here.  Then:
 *     handshake_ccerr(&handshake, rv, &ccerr);      what to send in CONNECTION_CLOSE
 *     handshake_reason(&handshake, &text);          the reason, and a sentence to log
 * and where the peer closed with a transport error:
 *     handshake_reason_of_code(code)                what its alert means
 * The sentence travels in CONNECTION_CLOSE, so that both sides can log it.
 *
 * No session tickets and no 0-RTT: every handshake is a full one. */
#ifndef QUIC_HANDSHAKE_H
#define QUIC_HANDSHAKE_H

#include <ngtcp2/ngtcp2.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/must.h"
#include "core/reason.h"
#include "core/tls.h"
#include "quic/message.h"

struct identity;
struct WOLFSSL;

enum { HANDSHAKE_LEVELS = 3, HANDSHAKE_TEXT_SIZE = 160 };

struct handshake {
    /* Set by handshake_init. */
    ngtcp2_conn *conn; /* borrowed */
    bool server;
    char alpn[16];
    char *server_name; /* client: the name required; freed when done */
    /* Changes until the handshake is done. */
    struct WOLFSSL *ssl;                       /* NULL after handshake_shrink */
    struct message messages[HANDSHAKE_LEVELS]; /* on their way in */
    bool done;
    /* The outcome. */
    struct identity *identity; /* of the peer; NULL: it showed none */
    bool failed;
    enum reason reason;
    int alert; /* TLS alert to close with, when failed */
    char text[HANDSHAKE_TEXT_SIZE];
    char shown[64]; /* the name on a certificate that is being refused */
};

struct handshake_options {
    ngtcp2_conn *conn; /* borrowed until handshake_release */
    struct tls_context
        *tls; /* borrowed until handshake_shrink or _release; a server's or a client's */
    bool server;
    const char *alpn;        /* borrowed until return; the only one offered and taken; NULL: none */
    const char *server_name; /* client: SNI and the SAN required (DNS name or IP address as text);
                              * NULL for servers; borrowed until return */
};

/* Fills client_initial, recv_client_initial, recv_crypto_data, encrypt, decrypt, hp_mask,
 * recv_retry, update_key, delete_crypto_aead_ctx, delete_crypto_cipher_ctx, version_negotiation.
 * Everything else is the connection's: rand, get_new_connection_id2, get_path_challenge_data2 too.
 */
void handshake_callbacks(ngtcp2_callbacks *callbacks);

/* 0, or -ENOMEM, or -EINVAL (ALPN or name too long): nothing to release then, but ngtcp2_conn_del
 * is still the caller's. */
int handshake_init(struct handshake *handshake, const struct handshake_options *options) MUST_CHECK;
void handshake_release(struct handshake *handshake); /* accepts a zeroed one */

/* Frees the TLS session (about 9 KB), keeping keys and identity.  From ngtcp2's handshake_confirmed
 * callback on (a server's handshake_completed), never from a callback that handshake.c fills. */
void handshake_shrink(struct handshake *handshake);

/* The peer's identity, borrowed until handshake_release; NULL where it showed no certificate, or,
 * on clients, where the server's certificate names only addresses. */
const struct identity *handshake_identity(const struct handshake *handshake);

/* Why it failed; *text (may be NULL) is borrowed.  REASON_TLS_FAILED when nothing better is known.
 */
enum reason handshake_reason(const struct handshake *handshake, const char **text);
/* What to close with after ngtcp2 returned `rv`; ccerr borrows text from handshake. */
void handshake_ccerr(const struct handshake *handshake, int rv, ngtcp2_ccerr *ccerr);
/* The peer's transport error code (0x100 + alert), as a reason; REASON_PROTOCOL for other codes
 * that are errors, REASON_PEER_CLOSED for NO_ERROR. */
enum reason handshake_reason_of_code(uint64_t code);

#endif
