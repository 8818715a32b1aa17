#include "core/identity.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <time.h>
#include <wolfssl/options.h>
#include <wolfssl/ssl.h>
#include <wolfssl/wolfcrypt/asn.h>
#include <wolfssl/wolfcrypt/sha256.h>

#include "core/mem.h"

/* Whoever comes here has had the chain verified, or asks about a file of ours. */
static int certificate_parse(struct DecodedCert *cert, const uint8_t *der, size_t length)
{
    int rc;

    wc_InitDecodedCert(cert, der, (word32)length, NULL);
    rc = wc_ParseCert(cert, CERT_TYPE, NO_VERIFY, NULL);
    if (rc == 0)
        return 0;
    wc_FreeDecodedCert(cert);
    return rc == MEMORY_E ? -ENOMEM : -EINVAL;
}

static bool date_seconds(const uint8_t *date, int length, int64_t *seconds)
{
    const uint8_t *text;
    struct tm calendar = {0};
    uint8_t format;
    int text_length;

    if (wc_GetDateInfo(date, length, &text, &format, &text_length) != 0 ||
        wc_GetDateAsCalendarTime(text, text_length, format, &calendar) != 0)
        return false;
    *seconds = timegm(&calendar);
    return true;
}

/* The names of the SAN that say who the holder is. */
static bool names_holder(const DNS_entry *entry)
{
    return entry->type == ASN_DNS_TYPE || entry->type == ASN_URI_TYPE;
}

static bool fits(const DNS_entry *entry)
{
    return entry->len > 0 && entry->len < IDENTITY_NAME_SIZE;
}

static bool printable(const DNS_entry *entry)
{
    for (int i = 0; i < entry->len; i++)
        if (entry->name[i] <= ' ' || entry->name[i] > '~')
            return false;
    return true;
}

static void name_keep(struct identity_name *name, const DNS_entry *entry)
{
    name->uri = entry->type == ASN_URI_TYPE;
    for (int i = 0; i < entry->len; i++)
        name->text[i] = (char)(name->uri ? entry->name[i] : tolower((unsigned char)entry->name[i]));
}

/* 0, or -EINVAL when a name is not printable or none is usable. */
static int names_count(const DNS_entry *entry, uint32_t *count)
{
    *count = 0;
    for (; entry; entry = entry->next) {
        if (!names_holder(entry))
            continue;
        if (!printable(entry))
            return -EINVAL;
        if (fits(entry) && *count < IDENTITY_NAMES_MAX)
            ++*count;
    }
    return *count ? 0 : -EINVAL;
}

static int identity_fill(struct identity *identity, const struct DecodedCert *cert)
{
    uint32_t count, kept = 0;
    int rc = names_count(cert->altNames, &count);

    if (rc != 0)
        return rc;
    if (!date_seconds(cert->afterDate, cert->afterDateLen, &identity->expires))
        return -EINVAL;
    identity->names = mem_new(count * sizeof(*identity->names));
    if (!identity->names)
        return -ENOMEM;
    identity->count = count;
    for (const DNS_entry *entry = cert->altNames; entry && kept < count; entry = entry->next)
        if (names_holder(entry) && fits(entry))
            name_keep(&identity->names[kept++], entry);
    return 0;
}

struct identity *identity_of_certificate(const uint8_t *der, size_t length, int *error)
{
    struct identity *identity = mem_new(sizeof(*identity));
    struct DecodedCert cert;

    *error = -ENOMEM;
    if (!identity)
        return NULL;
    *error = certificate_parse(&cert, der, length);
    if (*error == 0) {
        *error = identity_fill(identity, &cert);
        wc_FreeDecodedCert(&cert);
    }
    if (*error == 0 && wc_Sha256Hash(der, (word32)length, identity->fingerprint) != 0)
        *error = -ENOMEM;
    if (*error != 0)
        identity_free(&identity);
    return identity;
}

void identity_free(struct identity **identity)
{
    if (!*identity)
        return;
    mem_free((*identity)->names);
    mem_free(*identity);
    *identity = NULL;
}

const char *identity_name(const struct identity *identity)
{
    return identity ? identity->names[0].text : "-";
}

/* A star never crosses a separator, so only the last one met can be stretched. */
static bool name_matches(const struct identity_name *name, const char *pattern)
{
    const char separator = name->uri ? '/' : '.';
    const char *text = name->text, *star = NULL, *stretched = NULL;

    while (*text) {
        char wanted = (char)(name->uri ? *pattern : tolower((unsigned char)*pattern));

        if (wanted == '*' && *text != separator) {
            star = ++pattern;
            stretched = ++text;
        } else if (wanted == *text && wanted != '*') {
            pattern++;
            text++;
        } else if (star && *stretched && *stretched != separator) {
            pattern = star;
            text = ++stretched;
        } else {
            return false;
        }
    }
    return *pattern == '\0';
}

const char *identity_match(const struct identity *identity, const char *pattern)
{
    for (uint32_t i = 0; identity && i < identity->count; i++)
        if (name_matches(&identity->names[i], pattern))
            return identity->names[i].text;
    return NULL;
}

/* "*.example.com" stands for one label before ".example.com", which must have a dot of its own. */
static bool dns_is_for(const DNS_entry *entry, const char *host)
{
    const char *name = entry->name;
    size_t length = (size_t)entry->len;

    if (length > 2 && name[0] == '*' && name[1] == '.') {
        const char *dot = strchr(host, '.');

        if (!dot || dot == host || !memchr(name + 2, '.', length - 2))
            return false;
        host = dot;
        name++;
        length--;
    }
    return strlen(host) == length && strncasecmp(name, host, length) == 0;
}

static bool address_is_for(const DNS_entry *entry, const uint8_t *address, size_t length)
{
    return (size_t)entry->len == length && memcmp(entry->name, address, length) == 0;
}

bool certificate_is_for(const uint8_t *der, size_t length, const char *host)
{
    struct DecodedCert cert;
    uint8_t address[16];
    size_t address_length = 0;
    bool found = false;

    if (inet_pton(AF_INET, host, address) == 1)
        address_length = 4;
    else if (inet_pton(AF_INET6, host, address) == 1)
        address_length = 16;
    if (certificate_parse(&cert, der, length) != 0)
        return false;
    for (const DNS_entry *entry = cert.altNames; entry && !found; entry = entry->next) {
        if (address_length && entry->type == ASN_IP_TYPE)
            found = address_is_for(entry, address, address_length);
        if (!address_length && entry->type == ASN_DNS_TYPE)
            found = dns_is_for(entry, host);
    }
    wc_FreeDecodedCert(&cert);
    return found;
}

int certificate_facts(const uint8_t *der, size_t length, struct certificate_facts *facts)
{
    struct DecodedCert cert;
    int rc = certificate_parse(&cert, der, length);

    if (rc != 0)
        return rc;
    *facts = (struct certificate_facts){0};
    memcpy(facts->subject, cert.subjectHash, KEYID_SIZE);
    memcpy(facts->issuer, cert.issuerHash, KEYID_SIZE);
    if (!date_seconds(cert.beforeDate, cert.beforeDateLen, &facts->not_before) ||
        !date_seconds(cert.afterDate, cert.afterDateLen, &facts->not_after))
        rc = -EINVAL;
    wc_FreeDecodedCert(&cert);
    return rc;
}
