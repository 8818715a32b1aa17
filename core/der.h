/* core/der.h - the DER values of a certificate that its maker (cert.c) writes itself: dates, the
 * names of the SAN, and an extension put into a body that has others.  Thread: any. */
#ifndef CORE_DER_H
#define CORE_DER_H

#include <stddef.h>
#include <stdint.h>

#include "core/must.h"

/* Bytes being written; `failed` is set instead of writing past `size`, so that a run of calls is
 * checked once. */
struct der {
    uint8_t *data; /* borrowed */
    size_t length, size;
    int failed; /* 0 or -EMSGSIZE */
};

enum { DER_DATE_SIZE = 17 };

/* A GeneralName: an IP address where the text is one, else a DNS name. */
void der_add_host(struct der *der, const char *host);
void der_add_uri(struct der *der, const char *uri);

/* UTCTime until 2049, GeneralizedTime from 2050 on.  Returns its length. */
int der_date(uint8_t out[DER_DATE_SIZE], int64_t seconds);

/* Puts a SAN with these GeneralNames at the end of the extensions of a certificate body (an
 * unsigned TBSCertificate that has some), in place.  0, -EINVAL (no such body), -EMSGSIZE or
 * -ENOMEM. */
int der_insert_names(uint8_t *body, size_t *length, size_t size,
                     const struct der *names) MUST_CHECK;

#endif
