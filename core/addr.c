#include "core/addr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define UNIX_PREFIX "unix:"

enum { HOST_LENGTH_MAX = 253 };

/* Decimal digits only, no sign, no blanks, nothing after; at most `max`. */
static int number_parse(const char *text, uint32_t max, uint32_t *number)
{
    uint64_t value = 0;

    if (!*text)
        return -EINVAL;
    for (; *text; text++) {
        if (*text < '0' || *text > '9')
            return -EINVAL;
        value = value * 10 + (uint64_t)(*text - '0');
        if (value > max)
            return -EINVAL;
    }
    *number = (uint32_t)value;
    return 0;
}

/* ---- from text ---- */

static int addr_from_host6(struct addr *addr, const char *host, uint16_t port)
{
    char bare[INET6_ADDRSTRLEN];
    const char *percent = strchr(host, '%');
    size_t length = percent ? (size_t)(percent - host) : strlen(host);
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};

    if (length >= sizeof(bare))
        return -EINVAL;
    memcpy(bare, host, length);
    bare[length] = '\0';
    if (inet_pton(AF_INET6, bare, &in6.sin6_addr) != 1)
        return -EINVAL;
    if (percent && number_parse(percent + 1, UINT32_MAX, &in6.sin6_scope_id))
        return -EINVAL;
    *addr = (struct addr){.length = sizeof(in6), .in6 = in6};
    return 0;
}

int addr_from_host(struct addr *addr, const char *host, uint16_t port)
{
    struct sockaddr_in in4 = {.sin_family = AF_INET, .sin_port = htons(port)};

    if (strchr(host, ':'))
        return addr_from_host6(addr, host, port);
    if (inet_pton(AF_INET, host, &in4.sin_addr) != 1)
        return -EINVAL;
    *addr = (struct addr){.length = sizeof(in4), .in4 = in4};
    return 0;
}

int addr_from_path(struct addr *addr, const char *path)
{
    size_t length = strlen(path);

    if (!length)
        return -EINVAL;
    if (length >= sizeof(addr->local.sun_path))
        return -ENAMETOOLONG;
    *addr =
        (struct addr){.length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length + 1)};
    addr->local.sun_family = AF_UNIX;
    memcpy(addr->local.sun_path, path, length);
    return 0;
}

/* Cuts "host:port" or "[host]:port" at the colon; *port is NULL when there is none.  The brackets
 * are left out of host and *bracketed says that they were there. */
static int host_port_cut(const char *text, char host[256], const char **port, bool *bracketed)
{
    const char *end;

    *bracketed = *text == '[';
    text += *bracketed;
    end = strchr(text, *bracketed ? ']' : ':');
    if (*bracketed && (!end || (end[1] && end[1] != ':')))
        return -EINVAL;
    if (!end)
        end = text + strlen(text);
    if (end == text || end - text > HOST_LENGTH_MAX)
        return -EINVAL;
    memcpy(host, text, (size_t)(end - text));
    host[end - text] = '\0';
    end += *bracketed;
    *port = *end ? end + 1 : NULL;
    return 0;
}

int addr_parse(struct addr *addr, const char *text)
{
    char host[256];
    const char *port_text;
    bool bracketed;
    uint32_t port;

    if (strncmp(text, UNIX_PREFIX, strlen(UNIX_PREFIX)) == 0)
        return addr_from_path(addr, text + strlen(UNIX_PREFIX)) ? -EINVAL : 0;
    if (host_port_cut(text, host, &port_text, &bracketed) || !port_text)
        return -EINVAL;
    if (bracketed != !!strchr(host, ':') || number_parse(port_text, UINT16_MAX, &port))
        return -EINVAL;
    return addr_from_host(addr, host, (uint16_t)port);
}

int addr_parse_range(struct addr *addr, uint16_t *last, const char *text)
{
    const char *colon = strrchr(text, ':'), *hyphen = colon ? strchr(colon, '-') : NULL;
    char first[ADDR_TEXT_SIZE];
    uint32_t port;
    size_t length;

    *last = 0;
    if (!hyphen || strncmp(text, UNIX_PREFIX, strlen(UNIX_PREFIX)) == 0) {
        if (addr_parse(addr, text))
            return -EINVAL;
        *last = addr_port(addr);
        return 0;
    }
    length = (size_t)(hyphen - text);
    if (length >= sizeof(first) || number_parse(hyphen + 1, UINT16_MAX, &port))
        return -EINVAL;
    memcpy(first, text, length);
    first[length] = '\0';
    if (addr_parse(addr, first) || !addr_port(addr) || port < addr_port(addr))
        return -EINVAL;
    *last = (uint16_t)port;
    return 0;
}

/* Letters, digits, hyphen and underscore in labels of 1 to 63; one dot may end the name. */
static bool host_is_name(const char *host)
{
    size_t label = 0;

    for (; *host; host++) {
        bool letter = (*host | 0x20) >= 'a' && (*host | 0x20) <= 'z';
        bool other = (*host >= '0' && *host <= '9') || *host == '-' || *host == '_';

        if (*host == '.' && label)
            label = 0;
        else if (!(letter || other) || ++label > 63)
            return false;
    }
    return true;
}

int host_port_split(const char *text, char host[256], uint16_t *port)
{
    struct addr numeric;
    const char *port_text;
    bool bracketed;
    uint32_t number = 0;

    if (host_port_cut(text, host, &port_text, &bracketed))
        return -EINVAL;
    if (bracketed ? !strchr(host, ':') || addr_from_host(&numeric, host, 0) : !host_is_name(host))
        return -EINVAL;
    if (port_text && (number_parse(port_text, UINT16_MAX, &number) || !number))
        return -EINVAL;
    *port = (uint16_t)number;
    return 0;
}

void addr_from_sockaddr(struct addr *addr, const struct sockaddr *sa, socklen_t length)
{
    *addr = (struct addr){0};
    if (length > sizeof(addr->local))
        length = sizeof(addr->local);
    addr->length = length;
    memcpy(&addr->sa, sa, length);
}

/* ---- to text ---- */

static const char *addr_format_path(const struct addr *addr, char text[ADDR_TEXT_SIZE])
{
    size_t length = addr->length - offsetof(struct sockaddr_un, sun_path);
    const char *path = addr->local.sun_path;

    if (length && !*path) /* abstract: shown as ss(8) shows it */
        snprintf(text, ADDR_TEXT_SIZE, UNIX_PREFIX "@%.*s", (int)(length - 1), path + 1);
    else
        snprintf(text, ADDR_TEXT_SIZE, UNIX_PREFIX "%.*s", (int)length, path);
    return text;
}

const char *addr_format_host(const struct addr *addr, char text[ADDR_TEXT_SIZE])
{
    size_t length;

    switch (addr_family(addr)) {
    case AF_INET:
        inet_ntop(AF_INET, &addr->in4.sin_addr, text, ADDR_TEXT_SIZE);
        break;
    case AF_INET6:
        inet_ntop(AF_INET6, &addr->in6.sin6_addr, text, ADDR_TEXT_SIZE);
        length = strlen(text);
        if (addr->in6.sin6_scope_id)
            snprintf(text + length, ADDR_TEXT_SIZE - length, "%%%u", addr->in6.sin6_scope_id);
        break;
    case AF_UNIX:
        return addr_format_path(addr, text);
    default:
        snprintf(text, ADDR_TEXT_SIZE, "-");
    }
    return text;
}

const char *addr_format(const struct addr *addr, char text[ADDR_TEXT_SIZE])
{
    char host[ADDR_TEXT_SIZE];

    addr_format_host(addr, host);
    switch (addr_family(addr)) {
    case AF_INET:
        snprintf(text, ADDR_TEXT_SIZE, "%.64s:%u", host, addr_port(addr));
        break;
    case AF_INET6:
        snprintf(text, ADDR_TEXT_SIZE, "[%.64s]:%u", host, addr_port(addr));
        break;
    default:
        memcpy(text, host, sizeof(host));
    }
    return text;
}

/* ---- parts ---- */

uint16_t addr_port(const struct addr *addr)
{
    switch (addr_family(addr)) {
    case AF_INET:
        return ntohs(addr->in4.sin_port);
    case AF_INET6:
        return ntohs(addr->in6.sin6_port);
    default:
        return 0;
    }
}

void addr_set_port(struct addr *addr, uint16_t port)
{
    if (addr_family(addr) == AF_INET)
        addr->in4.sin_port = htons(port);
    else if (addr_family(addr) == AF_INET6)
        addr->in6.sin6_port = htons(port);
}

bool addr_is_wildcard(const struct addr *addr)
{
    switch (addr_family(addr)) {
    case AF_INET:
        return addr->in4.sin_addr.s_addr == htonl(INADDR_ANY);
    case AF_INET6:
        return IN6_IS_ADDR_UNSPECIFIED(&addr->in6.sin6_addr);
    default:
        return false;
    }
}

static bool addr_equal6(const struct sockaddr_in6 *a, const struct sockaddr_in6 *b)
{
    return a->sin6_port == b->sin6_port && a->sin6_scope_id == b->sin6_scope_id &&
           memcmp(&a->sin6_addr, &b->sin6_addr, sizeof(a->sin6_addr)) == 0;
}

bool addr_equal(const struct addr *a, const struct addr *b)
{
    if (addr_family(a) != addr_family(b))
        return false;
    switch (addr_family(a)) {
    case AF_INET:
        return a->in4.sin_port == b->in4.sin_port &&
               a->in4.sin_addr.s_addr == b->in4.sin_addr.s_addr;
    case AF_INET6:
        return addr_equal6(&a->in6, &b->in6);
    default:
        return a->length == b->length && memcmp(&a->sa, &b->sa, a->length) == 0;
    }
}

/* Multiplies to 128 bits and folds: strangers choose addresses, the seed they cannot know. */
static uint64_t hash_mix(uint64_t a, uint64_t b)
{
    unsigned __int128 product =
        (unsigned __int128)(a ^ 0x9e3779b97f4a7c15u) * (b ^ 0xd6e8feb86659fd93u);

    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static uint64_t hash_bytes(const void *bytes, size_t length, uint64_t hash)
{
    uint64_t word;

    for (size_t i = 0; i < length; i += sizeof(word)) {
        size_t part = length - i < sizeof(word) ? length - i : sizeof(word);

        word = 0;
        memcpy(&word, (const char *)bytes + i, part);
        hash = hash_mix(hash, word);
    }
    return hash;
}

uint64_t addr_hash(const struct addr *addr, uint64_t seed)
{
    uint64_t high, low;

    switch (addr_family(addr)) {
    case AF_INET:
        low = (uint64_t)addr->in4.sin_addr.s_addr << 16 | addr->in4.sin_port;
        return hash_mix(hash_mix(seed, low), seed);
    case AF_INET6:
        memcpy(&high, &addr->in6.sin6_addr.s6_addr[0], sizeof(high));
        memcpy(&low, &addr->in6.sin6_addr.s6_addr[8], sizeof(low));
        seed = hash_mix(seed, (uint64_t)addr->in6.sin6_scope_id << 16 | addr->in6.sin6_port);
        return hash_mix(hash_mix(seed, high), low ^ seed);
    default:
        return hash_bytes(&addr->sa, addr->length, seed);
    }
}
