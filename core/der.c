#include "core/der.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>

#include "core/mem.h"

enum {
    DER_EXTENSIONS = 0xa3,
    DER_SEQUENCE = 0x30,
    DER_OID = 0x06,
    DER_OCTETS = 0x04,
    SAN_SIZE = 8192
};

static void der_put(struct der *der, const void *bytes, size_t length)
{
    if (der->failed || length > der->size - der->length) {
        der->failed = -EMSGSIZE;
        return;
    }
    if (length)
        memcpy(der->data + der->length, bytes, length);
    der->length += length;
}

/* One value; `value` may be another der's data. */
static void der_add(struct der *der, uint8_t tag, const void *value, size_t length)
{
    const uint8_t shortest[] = {tag, (uint8_t)length};
    const uint8_t one[] = {tag, 0x81, (uint8_t)length};
    const uint8_t two[] = {tag, 0x82, (uint8_t)(length >> 8), (uint8_t)length};

    if (length < 0x80)
        der_put(der, shortest, sizeof(shortest));
    else if (length < 0x100)
        der_put(der, one, sizeof(one));
    else if (length < 0x10000)
        der_put(der, two, sizeof(two));
    else
        der->failed = -EMSGSIZE;
    der_put(der, value, length);
}

/* GeneralName: DNS names are [2], URIs [6], addresses [7]. */
void der_add_host(struct der *der, const char *host)
{
    uint8_t address[16];

    if (inet_pton(AF_INET, host, address) == 1)
        der_add(der, 0x87, address, 4);
    else if (inet_pton(AF_INET6, host, address) == 1)
        der_add(der, 0x87, address, 16);
    else
        der_add(der, 0x82, host, strlen(host));
}

void der_add_uri(struct der *der, const char *uri)
{
    der_add(der, 0x86, uri, strlen(uri));
}

int der_date(uint8_t out[DER_DATE_SIZE], int64_t seconds)
{
    time_t time = (time_t)seconds;
    struct tm calendar;
    char text[32];
    size_t skipped, length;

    gmtime_r(&time, &calendar);
    skipped = calendar.tm_year < 150 ? 2 : 0; /* the century, in UTCTime */
    length = strftime(text, sizeof(text), "%Y%m%d%H%M%SZ", &calendar) - skipped;
    out[0] = skipped ? 0x17 : 0x18;
    out[1] = (uint8_t)length;
    memcpy(out + 2, text + skipped, length);
    return (int)length + 2;
}

/* ---- reading our own maker's output ---- */

struct value {
    uint8_t tag;
    const uint8_t *content, *end;
};

static bool value_read(const uint8_t *at, const uint8_t *end, struct value *value)
{
    size_t length, extra;

    if (end - at < 2)
        return false;
    value->tag = at[0];
    length = at[1];
    at += 2;
    extra = length > 0x80 ? length - 0x80 : 0;
    if (length == 0x80 || extra > 2 || (size_t)(end - at) < extra)
        return false;
    for (length = extra ? 0 : length; extra > 0; extra--)
        length = length << 8 | *at++;
    if ((size_t)(end - at) < length)
        return false;
    value->content = at;
    value->end = at + length;
    return true;
}

/* The extensions are the last value of the body; `before` is where they start. */
static bool extensions_find(const struct value *body, struct value *list, const uint8_t **before)
{
    const uint8_t *at = body->content;
    struct value child;

    while (at < body->end && value_read(at, body->end, &child)) {
        *before = at;
        at = child.end;
    }
    return at == body->end && at > body->content && child.tag == DER_EXTENSIONS &&
           value_read(child.content, child.end, list) && list->tag == DER_SEQUENCE;
}

static void der_add_san(struct der *der, const struct der *names, uint8_t *scratch)
{
    static const uint8_t oid[] = {0x55, 0x1d, 0x11};
    struct der list = {scratch, 0, SAN_SIZE, 0};
    struct der octets = {scratch + SAN_SIZE, 0, SAN_SIZE, 0};

    der_add(&list, DER_SEQUENCE, names->data, names->length);
    der_add(&octets, DER_OID, oid, sizeof(oid));
    der_add(&octets, DER_OCTETS, list.data, list.length);
    der_add(der, DER_SEQUENCE, octets.data, octets.length);
    if (names->failed || list.failed || octets.failed)
        der->failed = -EMSGSIZE;
}

/* Lengths come before what they measure, so it is built from the inside out. */
static int names_insert(uint8_t *body, size_t *length, size_t size, const struct der *names,
                        uint8_t *scratch)
{
    struct value whole, list;
    const uint8_t *before = NULL;
    struct der inner = {scratch + SAN_SIZE + SAN_SIZE, 0, size, 0};
    struct der outer = {scratch + SAN_SIZE + SAN_SIZE + size, 0, size, 0};
    struct der all = {body, 0, size, 0};

    if (!value_read(body, body + *length, &whole) || whole.tag != DER_SEQUENCE ||
        !extensions_find(&whole, &list, &before))
        return -EINVAL;
    der_put(&inner, list.content, (size_t)(list.end - list.content));
    der_add_san(&inner, names, scratch);
    der_add(&outer, DER_SEQUENCE, inner.data, inner.length);
    inner.length = 0;
    der_put(&inner, whole.content, (size_t)(before - whole.content));
    der_add(&inner, DER_EXTENSIONS, outer.data, outer.length);
    der_add(&all, DER_SEQUENCE, inner.data, inner.length);
    *length = all.length;
    return inner.failed || outer.failed || all.failed ? -EMSGSIZE : 0;
}

int der_insert_names(uint8_t *body, size_t *length, size_t size, const struct der *names)
{
    uint8_t *scratch = mem_raw((SAN_SIZE + size) * 2);
    int rc = scratch ? names_insert(body, length, size, names, scratch) : -ENOMEM;

    mem_free(scratch);
    return rc;
}
