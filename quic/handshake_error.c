#include "quic/handshake_error.h"

#include <ngtcp2/ngtcp2.h>
#include <stdarg.h>
#include <stdio.h>
#include <wolfssl/options.h>

#include <wolfssl/error-ssl.h>
#include <wolfssl/ssl.h>
#include <wolfssl/wolfcrypt/error-crypt.h>

#include "core/identity.h"

/* What wolfSSL's errors mean; alert 0: what wolfSSL chose.  The text follows "the server's
 * certificate", or "the server" where the reason is another. */
static const struct error {
    int error;
    enum reason reason;
    int alert;
    const char *text;
} errors[] = {
    {ASN_AFTER_DATE_E,             REASON_CERTIFICATE, ALERT_CERTIFICATE_EXPIRED,     "has expired"                   },
    {ASN_BEFORE_DATE_E,            REASON_CERTIFICATE, ALERT_BAD_CERTIFICATE,         "is not valid yet"              },
    {ASN_NO_SIGNER_E,              REASON_CERTIFICATE, ALERT_UNKNOWN_CA,              "is not signed by a CA we trust"},
    {ASN_SELF_SIGNED_E,            REASON_CERTIFICATE, ALERT_UNKNOWN_CA,              "is self-signed"                },
    {ASN_SIG_CONFIRM_E,            REASON_CERTIFICATE, ALERT_BAD_CERTIFICATE,         "has a wrong signature"         },
    {ASN_NAME_INVALID_E,           REASON_CERTIFICATE, ALERT_BAD_CERTIFICATE,
     "has a name that its CA may not sign"                                                                            },
    {ASN_PATHLEN_SIZE_E,           REASON_CERTIFICATE, ALERT_BAD_CERTIFICATE,         "has too long a chain"          },
    {ASN_PATHLEN_INV_E,            REASON_CERTIFICATE, ALERT_BAD_CERTIFICATE,         "has too long a chain"          },
    {ASN_PARSE_E,                  REASON_CERTIFICATE, ALERT_BAD_CERTIFICATE,         "cannot be read"                },
    {ASN_VERSION_E,                REASON_CERTIFICATE, ALERT_UNSUPPORTED_CERTIFICATE, "is not of version 3"           },
    {ASN_ALT_NAME_E,               REASON_CERTIFICATE, ALERT_BAD_CERTIFICATE,         "has a malformed name"          },
    {EXTKEYUSE_AUTH_E,             REASON_CERTIFICATE, ALERT_UNSUPPORTED_CERTIFICATE, "is not for this use"           },
    {KEYUSE_SIGNATURE_E,           REASON_CERTIFICATE, ALERT_UNSUPPORTED_CERTIFICATE, "is not for this use"           },
    {VERIFY_CERT_ERROR,            REASON_CERTIFICATE, ALERT_BAD_CERTIFICATE,         "was refused"                   },
    {NO_PEER_CERT,                 REASON_CERTIFICATE, ALERT_CERTIFICATE_REQUIRED,    "was not shown"                 },
    {UNKNOWN_ALPN_PROTOCOL_NAME_E, REASON_NO_ALPN,     ALERT_NO_APPLICATION_PROTOCOL,
     "speaks none of our protocols"                                                                                   },
};

static const struct {
    int alert;
    enum reason reason;
} alerts[] = {
    {ALERT_BAD_CERTIFICATE,         REASON_CERTIFICATE},
    {ALERT_UNSUPPORTED_CERTIFICATE, REASON_CERTIFICATE},
    {ALERT_CERTIFICATE_REVOKED,     REASON_CERTIFICATE},
    {ALERT_CERTIFICATE_EXPIRED,     REASON_CERTIFICATE},
    {ALERT_CERTIFICATE_UNKNOWN,     REASON_CERTIFICATE},
    {ALERT_UNKNOWN_CA,              REASON_CERTIFICATE},
    {ALERT_ACCESS_DENIED,           REASON_CERTIFICATE},
    {ALERT_CERTIFICATE_REQUIRED,    REASON_CERTIFICATE},
    {ALERT_UNRECOGNIZED_NAME,       REASON_SERVER_NAME},
    {ALERT_NO_APPLICATION_PROTOCOL, REASON_NO_ALPN    },
};

static const struct error *error_of(int error)
{
    for (size_t i = 0; i < ARRAY_COUNT(errors); i++)
        if (errors[i].error == error)
            return &errors[i];
    return NULL;
}

static int remember(struct handshake *handshake, enum reason reason, int alert, const char *text)
{
    if (!handshake->failed) {
        snprintf(handshake->text, sizeof(handshake->text), "%s", text);
        handshake->failed = true;
        handshake->reason = reason;
        handshake->alert = alert;
        ngtcp2_conn_set_tls_alert(handshake->conn, (uint8_t)alert);
    }
    return reason == REASON_NO_MEMORY ? NGTCP2_ERR_NOMEM : NGTCP2_ERR_CRYPTO;
}

int handshake_fail(struct handshake *handshake, enum reason reason, int alert, const char *format,
                   ...)
{
    char text[HANDSHAKE_TEXT_SIZE];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    return remember(handshake, reason, alert, text);
}

int handshake_fail_memory(struct handshake *handshake)
{
    return remember(handshake, REASON_NO_MEMORY, ALERT_INTERNAL, "out of memory");
}

int handshake_fail_tls(struct handshake *handshake, int error)
{
    const struct error *row = error_of(error);
    const char *holder = handshake->server ? "client" : "server";
    int alert = row && row->alert ? row->alert : handshake->alert;
    char text[HANDSHAKE_TEXT_SIZE];

    if (error == MEMORY_E)
        return handshake_fail_memory(handshake);
    if (!row)
        snprintf(text, sizeof(text), "TLS: %s",
                 wolfSSL_ERR_reason_error_string((unsigned long)error));
    else if (row->reason != REASON_CERTIFICATE)
        snprintf(text, sizeof(text), "the %s %s", holder, row->text);
    else if (handshake->shown[0])
        snprintf(text, sizeof(text), "the %s's certificate, for %s, %s", holder, handshake->shown,
                 row->text);
    else
        snprintf(text, sizeof(text), "the %s's certificate %s", holder, row->text);
    return remember(handshake, row ? row->reason : REASON_TLS_FAILED,
                    alert ? alert : ALERT_HANDSHAKE_FAILURE, text);
}

int handshake_certificate_refused(int right, WOLFSSL_X509_STORE_CTX *store)
{
    struct handshake *handshake = store->userCtx;
    struct identity *identity;
    int error;

    if (right || store->totalCerts < 1)
        return right;
    identity = identity_of_certificate(store->certs[0].buffer, store->certs[0].length, &error);
    if (identity)
        snprintf(handshake->shown, sizeof(handshake->shown), "%.*s",
                 (int)sizeof(handshake->shown) - 1, identity_name(identity));
    identity_free(&identity);
    return right;
}

enum reason handshake_reason_of_code(uint64_t code)
{
    if (code == NGTCP2_NO_ERROR)
        return REASON_PEER_CLOSED;
    if (code < NGTCP2_CRYPTO_ERROR || code > (NGTCP2_CRYPTO_ERROR | 0xff))
        return REASON_PROTOCOL;
    for (size_t i = 0; i < ARRAY_COUNT(alerts); i++)
        if (code == (NGTCP2_CRYPTO_ERROR | (uint64_t)alerts[i].alert))
            return alerts[i].reason;
    return REASON_TLS_FAILED;
}
