/* quic/handshake_error.h - how TLS failures are called: wolfSSL's errors and TLS alerts, as
 * reasons with words.  Internal to handshake.  Thread: any. */
#ifndef QUIC_HANDSHAKE_ERROR_H
#define QUIC_HANDSHAKE_ERROR_H

#include "quic/handshake.h"

/* Those of RFC 8446 that we send or tell apart. */
enum alert {
    ALERT_UNEXPECTED_MESSAGE = 10,
    ALERT_HANDSHAKE_FAILURE = 40,
    ALERT_BAD_CERTIFICATE = 42,
    ALERT_UNSUPPORTED_CERTIFICATE = 43,
    ALERT_CERTIFICATE_REVOKED = 44,
    ALERT_CERTIFICATE_EXPIRED = 45,
    ALERT_CERTIFICATE_UNKNOWN = 46,
    ALERT_ILLEGAL_PARAMETER = 47,
    ALERT_UNKNOWN_CA = 48,
    ALERT_ACCESS_DENIED = 49,
    ALERT_DECODE = 50,
    ALERT_INTERNAL = 80,
    ALERT_MISSING_EXTENSION = 109,
    ALERT_UNRECOGNIZED_NAME = 112,
    ALERT_CERTIFICATE_REQUIRED = 116,
    ALERT_NO_APPLICATION_PROTOCOL = 120
};

struct WOLFSSL_X509_STORE_CTX;

/* Remembers a failure and the alert to close with; the first one counts.  Returns what a callback
 * of ngtcp2 returns then. */
__attribute__((format(printf, 4, 5))) int
handshake_fail(struct handshake *handshake, enum reason reason, int alert, const char *format, ...);
int handshake_fail_memory(struct handshake *handshake);
/* An error of wolfSSL's: certificates get a sentence with the name they show. */
int handshake_fail_tls(struct handshake *handshake, int error);
/* wolfSSL's verify callback: keeps the name on a certificate that is being refused. */
int handshake_certificate_refused(int right, struct WOLFSSL_X509_STORE_CTX *store);

#endif
