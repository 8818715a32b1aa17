#include "quic/handshake.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <wolfssl/options.h>
#include <wolfssl/quic.h>
#include <wolfssl/ssl.h>

#include "core/identity.h"
#include "core/mem.h"
#include "quic/handshake_error.h"
#include "quic/keys.h"

enum { TRANSPORT_PARAMETERS_V1 = 0x39, PARAMETERS_SIZE = 512 };
enum { NEW_SESSION_TICKET = 4 }; /* a TLS message type */

/* Levels of the two libraries and the place in messages[]; 0-RTT has no CRYPTO bytes. */
static const struct level {
    ngtcp2_encryption_level quic;
    WOLFSSL_ENCRYPTION_LEVEL tls;
} levels[HANDSHAKE_LEVELS] = {
    {NGTCP2_ENCRYPTION_LEVEL_INITIAL,   wolfssl_encryption_initial    },
    {NGTCP2_ENCRYPTION_LEVEL_HANDSHAKE, wolfssl_encryption_handshake  },
    {NGTCP2_ENCRYPTION_LEVEL_1RTT,      wolfssl_encryption_application},
};

static int level_of_tls(WOLFSSL_ENCRYPTION_LEVEL tls)
{
    for (int i = 0; i < HANDSHAKE_LEVELS; i++)
        if (levels[i].tls == tls)
            return i;
    return -1;
}

static int level_of_quic(ngtcp2_encryption_level quic)
{
    for (int i = 0; i < HANDSHAKE_LEVELS; i++)
        if (levels[i].quic == quic)
            return i;
    return -1;
}

/* ---- what wolfSSL calls ---- */

static int remote_parameters_read(struct handshake *handshake)
{
    const uint8_t *data;
    size_t length;
    int rv;

    wolfSSL_get_peer_quic_transport_params(handshake->ssl, &data, &length);
    if (!data)
        return handshake_fail(handshake, REASON_PROTOCOL, ALERT_MISSING_EXTENSION,
                              "the peer sent no QUIC transport parameters");
    rv = ngtcp2_conn_decode_and_set_remote_transport_params(handshake->conn, data, length);
    if (rv == 0)
        return 0;
    ngtcp2_conn_set_tls_error(handshake->conn, rv);
    return handshake_fail(handshake, REASON_PROTOCOL, ALERT_ILLEGAL_PARAMETER,
                          "the peer's QUIC transport parameters: %s", ngtcp2_strerror(rv));
}

static int local_parameters_set(struct handshake *handshake)
{
    uint8_t data[PARAMETERS_SIZE];
    ngtcp2_ssize length =
        ngtcp2_conn_encode_local_transport_params2(handshake->conn, data, sizeof(data));

    if (length < 0 ||
        wolfSSL_set_quic_transport_params(handshake->ssl, data, (size_t)length) != WOLFSSL_SUCCESS)
        return handshake_fail_memory(handshake);
    return 0;
}

/* A server knows the client's parameters when its first secret comes, a client the server's when
 * the last one does. */
static int rx_secret_came(struct handshake *handshake, int level, enum protect_suite suite,
                          const uint8_t *secret)
{
    ngtcp2_encryption_level quic = levels[level].quic;
    bool parameters_came = handshake->server
                               ? quic == NGTCP2_ENCRYPTION_LEVEL_HANDSHAKE &&
                                     !ngtcp2_conn_get_negotiated_version2(handshake->conn)
                               : quic == NGTCP2_ENCRYPTION_LEVEL_1RTT;
    int rv = parameters_came ? remote_parameters_read(handshake) : 0;

    return rv == 0 ? keys_install_rx(handshake->conn, quic, suite, secret) : rv;
}

static int tx_secret_came(struct handshake *handshake, int level, enum protect_suite suite,
                          const uint8_t *secret)
{
    ngtcp2_encryption_level quic = levels[level].quic;
    int rv = keys_install_tx(handshake->conn, quic, suite, secret);

    if (rv == 0 && handshake->server && quic == NGTCP2_ENCRYPTION_LEVEL_HANDSHAKE)
        rv = local_parameters_set(handshake);
    return rv;
}

/* The two suites that contexts allow differ in their hash, so its size tells them apart. */
static int secrets_came(WOLFSSL *ssl, WOLFSSL_ENCRYPTION_LEVEL tls, const uint8_t *rx,
                        const uint8_t *tx, size_t length)
{
    struct handshake *handshake = wolfSSL_get_app_data(ssl);
    enum protect_suite suite = length == 32 ? PROTECT_AES_128_GCM : PROTECT_AES_256_GCM;
    int level = level_of_tls(tls), rv = 0;

    if (level < 1) /* 0-RTT secrets: nobody asked for them */
        return 1;
    if (rx)
        rv = rx_secret_came(handshake, level, suite, rx);
    if (rv == 0 && tx)
        rv = tx_secret_came(handshake, level, suite, tx);
    if (rv == NGTCP2_ERR_NOMEM)
        handshake_fail_memory(handshake);
    else if (rv != 0)
        handshake_fail(handshake, REASON_TLS_FAILED, ALERT_INTERNAL, "keys: %s",
                       ngtcp2_strerror(rv));
    return rv == 0;
}

static int flight_came(WOLFSSL *ssl, WOLFSSL_ENCRYPTION_LEVEL tls, const uint8_t *data,
                       size_t length)
{
    struct handshake *handshake = wolfSSL_get_app_data(ssl);
    int level = level_of_tls(tls);
    int rv = level < 0 ? NGTCP2_ERR_INVALID_STATE
                       : ngtcp2_conn_submit_crypto_data(handshake->conn, levels[level].quic, data,
                                                        length);

    if (rv == NGTCP2_ERR_NOMEM)
        handshake_fail_memory(handshake);
    else if (rv != 0)
        handshake_fail(handshake, REASON_TLS_FAILED, ALERT_INTERNAL, "TLS: %s",
                       ngtcp2_strerror(rv));
    return rv == 0;
}

static int flight_ended(WOLFSSL *ssl)
{
    return 1;
}

static int alert_came(WOLFSSL *ssl, WOLFSSL_ENCRYPTION_LEVEL tls, uint8_t alert)
{
    struct handshake *handshake = wolfSSL_get_app_data(ssl);

    if (!handshake->failed) {
        handshake->alert = alert;
        ngtcp2_conn_set_tls_alert(handshake->conn, alert);
    }
    return 1;
}

static const WOLFSSL_QUIC_METHOD quic_method = {
    secrets_came,
    flight_came,
    flight_ended,
    alert_came,
};

/* ---- the end of the handshake ---- */

/* wolfSSL lets a peer without ALPN pass, on both sides. */
static int alpn_check(struct handshake *handshake)
{
    const uint8_t *protocol = NULL;
    unsigned length = 0;

    wolfSSL_get0_alpn_selected(handshake->ssl, &protocol, &length);
    if (length == strlen(handshake->alpn) &&
        (length == 0 || memcmp(protocol, handshake->alpn, length) == 0))
        return 0;
    return handshake_fail(handshake, REASON_NO_ALPN, ALERT_NO_APPLICATION_PROTOCOL,
                          "the peer does not speak %s", handshake->alpn);
}

/* A client's certificate must say who it is; a server's must be for the name we asked for. */
static int certificate_read(struct handshake *handshake, const uint8_t *der, size_t length)
{
    int error;

    if (!handshake->server && !certificate_is_for(der, length, handshake->server_name))
        return handshake_fail(handshake, REASON_SERVER_NAME, ALERT_BAD_CERTIFICATE,
                              "the server's certificate is not for %.100s", handshake->server_name);
    handshake->identity = identity_of_certificate(der, length, &error);
    if (handshake->identity || (!handshake->server && error == -EINVAL))
        return 0;
    if (error == -ENOMEM)
        return handshake_fail_memory(handshake);
    return handshake_fail(handshake, REASON_CERTIFICATE, ALERT_BAD_CERTIFICATE,
                          "the client's certificate has no usable DNS or URI name");
}

static int certificate_check(struct handshake *handshake)
{
    WOLFSSL_X509 *certificate = wolfSSL_get_peer_certificate(handshake->ssl);
    const uint8_t *der;
    int length = 0, rv;

    if (!certificate && handshake->server)
        return 0; /* the context lets only those come so far that may show none */
    der = certificate ? wolfSSL_X509_get_der(certificate, &length) : NULL;
    rv = der ? certificate_read(handshake, der, (size_t)length) : handshake_fail_memory(handshake);
    wolfSSL_X509_free(certificate);
    return rv;
}

static int finish(struct handshake *handshake)
{
    int rv = alpn_check(handshake);

    if (rv == 0)
        rv = certificate_check(handshake);
    if (rv != 0)
        return rv;
    handshake->done = true;
    ngtcp2_conn_tls_handshake_completed(handshake->conn);
    return 0;
}

/* What a call into wolfSSL came to: a failure in one of our callbacks may hide behind any result.
 */
static int outcome(struct handshake *handshake, int result)
{
    int error;

    if (handshake->failed)
        return handshake_fail(handshake, handshake->reason, handshake->alert, "%s", "");
    if (result == WOLFSSL_SUCCESS)
        return 0;
    error = wolfSSL_get_error(handshake->ssl, result);
    if (error == WOLFSSL_ERROR_WANT_READ || error == WOLFSSL_ERROR_WANT_WRITE)
        return 0;
    return handshake_fail_tls(handshake, error);
}

static int drive(struct handshake *handshake)
{
    int rv;

    if (!handshake->done) {
        int result = wolfSSL_quic_do_handshake(handshake->ssl);

        rv = outcome(handshake, result);
        if (rv != 0 || result != WOLFSSL_SUCCESS)
            return rv;
        rv = finish(handshake);
        if (rv != 0)
            return rv;
    }
    return outcome(handshake, wolfSSL_process_quic_post_handshake(handshake->ssl));
}

/* ---- CRYPTO bytes ---- */

/* A level's messages on their way to wolfSSL. */
struct feeding {
    struct handshake *handshake;
    int level;
};

/* One whole TLS message.  Those of a level that is over came late and are dropped; after
 * handshake_shrink only session tickets may come, which we do not use. */
static int message_came(void *context, const uint8_t *data, size_t length)
{
    const struct feeding *feeding = context;
    struct handshake *handshake = feeding->handshake;
    WOLFSSL_ENCRYPTION_LEVEL tls = levels[feeding->level].tls;

    if (!handshake->ssl) {
        if (!handshake->server && data[0] == NEW_SESSION_TICKET)
            return 0;
        return handshake_fail(handshake, REASON_PROTOCOL, ALERT_UNEXPECTED_MESSAGE,
                              "a TLS message after the handshake");
    }
    if (tls < wolfSSL_quic_read_level(handshake->ssl))
        return 0;
    if (wolfSSL_provide_quic_data(handshake->ssl, tls, data, length) != WOLFSSL_SUCCESS)
        return handshake_fail(handshake, REASON_PROTOCOL, ALERT_UNEXPECTED_MESSAGE,
                              "a TLS message at the wrong time");
    return 0;
}

static int feed(struct handshake *handshake, int level, const uint8_t *data, size_t length)
{
    struct feeding feeding = {handshake, level};
    int rc = message_feed(&handshake->messages[level], data, length, message_came, &feeding);

    if (rc == -ENOMEM)
        return handshake_fail_memory(handshake);
    if (rc != -EMSGSIZE)
        return rc;
    handshake_fail(handshake, REASON_PROTOCOL, ALERT_DECODE, "a TLS message longer than %d bytes",
                   MESSAGE_MAX);
    return NGTCP2_ERR_CRYPTO_BUFFER_EXCEEDED;
}

static int recv_crypto_data(ngtcp2_conn *conn, ngtcp2_encryption_level quic, uint64_t offset,
                            const uint8_t *data, size_t length, void *user_data)
{
    struct handshake *handshake = ngtcp2_conn_get_tls_native_handle2(conn);
    int level = level_of_quic(quic);
    int rv = level < 0 ? NGTCP2_ERR_CRYPTO : feed(handshake, level, data, length);

    if (rv == 0 && handshake->ssl)
        rv = drive(handshake);
    if (rv == NGTCP2_ERR_CRYPTO && ngtcp2_conn_get_tls_error2(conn))
        rv = ngtcp2_conn_get_tls_error2(conn); /* more exact than what TLS says */
    return rv;
}

static int client_initial(ngtcp2_conn *conn, void *user_data)
{
    struct handshake *handshake = ngtcp2_conn_get_tls_native_handle2(conn);
    int rv = keys_install_initial(conn, ngtcp2_conn_get_client_chosen_version2(conn),
                                  ngtcp2_conn_get_dcid2(conn));

    if (rv == 0)
        rv = local_parameters_set(handshake);
    if (rv == 0)
        rv = drive(handshake);
    return rv == 0 || rv == NGTCP2_ERR_NOMEM ? rv : NGTCP2_ERR_CALLBACK_FAILURE;
}

void handshake_callbacks(ngtcp2_callbacks *callbacks)
{
    keys_callbacks(callbacks);
    callbacks->client_initial = client_initial;
    callbacks->recv_crypto_data = recv_crypto_data;
}

/* ---- life ---- */

static bool is_address(const char *name)
{
    uint8_t address[16];

    return inet_pton(AF_INET, name, address) == 1 || inet_pton(AF_INET6, name, address) == 1;
}

/* Addresses are not sent as server names (RFC 6066). */
static bool server_name_prepare(struct handshake *handshake)
{
    const char *name = handshake->server_name;

    return is_address(name) || wolfSSL_UseSNI(handshake->ssl, WOLFSSL_SNI_HOST_NAME, name,
                                              (unsigned short)strlen(name)) == WOLFSSL_SUCCESS;
}

static bool alpn_prepare(struct handshake *handshake)
{
    return !handshake->alpn[0] ||
           wolfSSL_UseALPN(handshake->ssl, handshake->alpn, (unsigned)strlen(handshake->alpn),
                           WOLFSSL_ALPN_FAILED_ON_MISMATCH) == WOLFSSL_SUCCESS;
}

static bool session_prepare(struct handshake *handshake, struct tls_context *tls)
{
    WOLFSSL *ssl = handshake->ssl = wolfSSL_new(tls_native(tls));

    if (!ssl || wolfSSL_set_quic_method(ssl, &quic_method) != WOLFSSL_SUCCESS ||
        wolfSSL_set_app_data(ssl, handshake) != WOLFSSL_SUCCESS)
        return false;
    wolfSSL_set_quic_transport_version(ssl, TRANSPORT_PARAMETERS_V1);
    wolfSSL_set_verify(ssl, wolfSSL_get_verify_mode(ssl), handshake_certificate_refused);
    wolfSSL_SetCertCbCtx(ssl, handshake);
    if (handshake->server)
        wolfSSL_set_accept_state(ssl);
    else
        wolfSSL_set_connect_state(ssl);
    return alpn_prepare(handshake) && (handshake->server || server_name_prepare(handshake));
}

int handshake_init(struct handshake *handshake, const struct handshake_options *options)
{
    size_t alpn_length = options->alpn ? strlen(options->alpn) : 0;

    *handshake = (struct handshake){.conn = options->conn, .server = options->server};
    if (alpn_length >= sizeof(handshake->alpn) ||
        (options->server_name && strlen(options->server_name) > 253))
        return -EINVAL;
    if (alpn_length)
        memcpy(handshake->alpn, options->alpn, alpn_length);
    if (!options->server) {
        must(options->server_name);
        handshake->server_name = mem_text(options->server_name);
        if (!handshake->server_name)
            return -ENOMEM;
    }
    if (!session_prepare(handshake, options->tls)) {
        handshake_release(handshake);
        return -ENOMEM;
    }
    ngtcp2_conn_set_tls_native_handle(options->conn, handshake);
    return 0;
}

void handshake_shrink(struct handshake *handshake)
{
    wolfSSL_free(handshake->ssl);
    handshake->ssl = NULL;
    mem_free(handshake->server_name);
    handshake->server_name = NULL;
    for (int i = 0; i < HANDSHAKE_LEVELS; i++)
        message_release(&handshake->messages[i]);
}

void handshake_release(struct handshake *handshake)
{
    handshake_shrink(handshake);
    identity_free(&handshake->identity);
}

const struct identity *handshake_identity(const struct handshake *handshake)
{
    return handshake->identity;
}

enum reason handshake_reason(const struct handshake *handshake, const char **text)
{
    if (text)
        *text = handshake->text;
    return handshake->failed ? handshake->reason : REASON_TLS_FAILED;
}

void handshake_ccerr(const struct handshake *handshake, int rv, ngtcp2_ccerr *ccerr)
{
    const uint8_t *text = (const uint8_t *)handshake->text;
    size_t length = strlen(handshake->text);

    ngtcp2_ccerr_default(ccerr);
    if (handshake->failed && rv == NGTCP2_ERR_CRYPTO)
        ngtcp2_ccerr_set_tls_alert(ccerr, (uint8_t)handshake->alert, text, length);
    else
        ngtcp2_ccerr_set_liberr(ccerr, rv, text, length);
}
