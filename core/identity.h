/* core/identity.h - who a certificate speaks for: the DNS and URI names of its SAN.
 *
 * Owner: whoever made it.  Thread: any; immutable.  Patterns: a literal name, or one with `*` that
 * stands for one or more characters other than `.` (DNS) or `/` (URI); case counts only in URIs. */
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

/* From a DER certificate.  NULL: *error is -EINVAL (no usable name, or names with control bytes or
 * NUL) or -ENOMEM. */
struct identity *identity_of_certificate(const uint8_t *der, size_t length, int *error) MUST_CHECK;
void identity_free(struct identity **identity);
/* The first name: how logs and status call the peer.  "-" for NULL. */
const char *identity_name(const struct identity *identity);
/* The first of its names that the pattern matches, else NULL. */
const char *identity_match(const struct identity *identity, const char *pattern);

#endif
