#include "core/cidr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The bytes of an address and how many there are; 0: it has none. */
static uint32_t address_bytes(const struct addr *addr, const uint8_t **bytes)
{
    switch (addr_family(addr)) {
    case AF_INET:
        *bytes = (const uint8_t *)&addr->in4.sin_addr;
        return 4;
    case AF_INET6:
        *bytes = addr->in6.sin6_addr.s6_addr;
        if (!IN6_IS_ADDR_V4MAPPED(&addr->in6.sin6_addr))
            return 16;
        *bytes += 12;
        return 4;
    default:
        return 0;
    }
}

static bool bits_equal(const uint8_t *a, const uint8_t *b, uint32_t bits)
{
    uint32_t whole = bits / 8, rest = bits % 8;

    if (memcmp(a, b, whole) != 0)
        return false;
    return !rest || (a[whole] ^ b[whole]) >> (8 - rest) == 0;
}

/* A decimal number of at most three digits; -1: it is none. */
static int length_parse(const char *text)
{
    size_t digits = strspn(text, "0123456789");

    return digits && digits <= 3 && !text[digits] ? atoi(text) : -1;
}

static bool cidr_is_clean(const struct cidr *cidr)
{
    struct cidr masked = {0};
    uint32_t whole = cidr->length / 8, rest = cidr->length % 8;

    memcpy(masked.bytes, cidr->bytes, whole);
    if (rest)
        masked.bytes[whole] = (uint8_t)(cidr->bytes[whole] & 0xff << (8 - rest));
    return memcmp(masked.bytes, cidr->bytes, sizeof(masked.bytes)) == 0;
}

int cidr_parse(struct cidr *cidr, const char *text)
{
    char host[INET6_ADDRSTRLEN];
    const char *slash = strchr(text, '/');
    size_t host_length = slash ? (size_t)(slash - text) : strlen(text);
    int most, length;

    *cidr = (struct cidr){0};
    if (host_length >= sizeof(host))
        return -EINVAL;
    memcpy(host, text, host_length);
    host[host_length] = '\0';
    cidr->family = strchr(host, ':') ? AF_INET6 : AF_INET;
    most = cidr->family == AF_INET ? 32 : 128;
    length = slash ? length_parse(slash + 1) : most;
    if (length < 0 || length > most || inet_pton(cidr->family, host, cidr->bytes) != 1)
        return -EINVAL;
    cidr->length = (uint8_t)length;
    return cidr_is_clean(cidr) ? 0 : -EDOM;
}

const char *cidr_format(const struct cidr *cidr, char text[CIDR_TEXT_SIZE])
{
    char host[INET6_ADDRSTRLEN] = "";

    inet_ntop(cidr->family, cidr->bytes, host, sizeof(host));
    snprintf(text, CIDR_TEXT_SIZE, "%s/%u", host, cidr->length);
    return text;
}

bool cidr_holds(const struct cidr *cidr, const struct addr *addr)
{
    const uint8_t *bytes;
    uint32_t size = address_bytes(addr, &bytes);

    return size && size == (cidr->family == AF_INET ? 4 : 16) &&
           bits_equal(cidr->bytes, bytes, cidr->length);
}

bool cidr_list_holds(const struct cidr_list *list, const struct addr *addr)
{
    for (uint32_t i = 0; i < list->count; i++)
        if (cidr_holds(&list->items[i], addr))
            return true;
    return false;
}
