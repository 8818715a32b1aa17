/* core/cert.h - makes certificates: a CA, and server and client certificates signed by it.
 * ECDSA P-256, SHA-256, v3 with SAN; keys are written 0600 by an atomic rename.  Thread: any. */
#ifndef CORE_CERT_H
#define CORE_CERT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/must.h"

enum cert_use { CERT_CA, CERT_SERVER, CERT_CLIENT };

struct cert_request {
    enum cert_use use;
    const char *common_name;
    const char *const *dns; /* SAN names, `dns_count` of them; also IP addresses as text */
    uint32_t dns_count;
    const char *uri;               /* one SAN URI, or NULL */
    int64_t not_before, not_after; /* seconds since 1970 */
    const char *ca_cert, *ca_key;  /* paths; unused for CERT_CA and when self_signed */
    bool self_signed;
    const char *cert, *key; /* paths to write */
    bool force;             /* overwrite */
};
/* 0, or -EEXIST, or another -errno; error is a sentence. */
int cert_make(const struct cert_request *request, char *error, size_t error_size) MUST_CHECK;

#endif
