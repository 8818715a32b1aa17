/* core/identity.h - who a certificate speaks for: the DNS and URI names of its SAN.
 *
 * Owner: whoever made it.  Thread: any; immutable.  Patterns: a literal name, or one with `*` that
 * stands for one or more characters other than `.` (DNS) or `/` (URI); case counts only in URIs.
 * DNS names are kept in lower case; names past the 16th, and longer ones than fit, are left out. */
#ifndef CORE_IDENTITY_H
#define CORE_IDENTITY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/must.h"

enum { IDENTITY_NAMES_MAX = 16, IDENTITY_NAME_SIZE = 256 };

struct identity {
    uint32_t count;
    struct identity_name {
        bool uri;
        char text[IDENTITY_NAME_SIZE];
    } * names;
    uint8_t fingerprint[32]; /* SHA-256 of the certificate */
    int64_t expires;         /* seconds since 1970 */
};

/* From a DER certificate.  NULL: *error is -EINVAL (no usable name, or names with control bytes,
 * blanks, NUL or bytes outside ASCII) or -ENOMEM. */
struct identity *identity_of_certificate(const uint8_t *der, size_t length, int *error) MUST_CHECK;
void identity_free(struct identity **identity);
/* The first name: how logs and status call the peer.  "-" for NULL. */
const char *identity_name(const struct identity *identity);
/* The first of its names that the pattern matches, else NULL. */
const char *identity_match(const struct identity *identity, const char *pattern);

/* Whether the SAN of a DER certificate names this host: an IP address as text, or a DNS name (a
 * leading "*." in the certificate stands for one label).  The subject's common name never counts.
 */
bool certificate_is_for(const uint8_t *der, size_t length, const char *host);

/* What else a certificate says that a later handshake would trip over. */
struct certificate_facts {
    int64_t not_before, not_after;   /* seconds since 1970 */
    uint8_t subject[32], issuer[32]; /* digests of the two names: equal ones are the same name */
};
/* 0, -EINVAL (not a certificate) or -ENOMEM. */
int certificate_facts(const uint8_t *der, size_t length,
                      struct certificate_facts *facts) MUST_CHECK;

#endif
