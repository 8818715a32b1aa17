#include "relay/proxy_in.h"

#include <errno.h>
#include <string.h>

#include "relay/wire_bytes.h"

enum {
    V2_HEAD = 16,
    V2_LOCAL = 0x20,
    V2_PROXY = 0x21,
    V2_IP4 = 1, /* the upper half of the family byte */
    V2_IP6 = 2,
    V2_UNIX = 3,
    V2_DGRAM = 2, /* the largest of its lower half */
};

static const char v1_begin[] = "PROXY ";
static const uint8_t v2_begin[12] = {0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d,
                                     0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a};

static enum proxy_begin begins_with(const uint8_t *data, size_t length, const void *begin,
                                    size_t begin_length)
{
    if (memcmp(data, begin, length < begin_length ? length : begin_length) != 0)
        return PROXY_BEGIN_NO;
    return length < begin_length ? PROXY_BEGIN_MAYBE : PROXY_BEGIN_YES;
}

static enum proxy_begin begins_v1(const uint8_t *data, size_t length)
{
    return begins_with(data, length, v1_begin, sizeof(v1_begin) - 1);
}

static enum proxy_begin begins_v2(const uint8_t *data, size_t length)
{
    return begins_with(data, length, v2_begin, sizeof(v2_begin));
}

enum proxy_begin proxy_in_begins(const uint8_t *data, size_t length)
{
    enum proxy_begin v1 = begins_v1(data, length), v2 = begins_v2(data, length);

    return v1 > v2 ? v1 : v2;
}

/* ---- version 1 ---- */

/* Cuts the next word off a line whose words have one blank between them. */
static bool word_next(char **rest, char **word)
{
    *word = strsep(rest, " ");
    return *word && **word;
}

static int port_read(const char *word)
{
    int port = 0;

    if (!*word || (*word == '0' && word[1]))
        return -EPROTO;
    for (; *word; word++) {
        if (*word < '0' || *word > '9')
            return -EPROTO;
        port = port * 10 + (*word - '0');
        if (port > UINT16_MAX)
            return -EPROTO;
    }
    return port;
}

static int v1_address(struct addr *addr, int family, const char *host, const char *port_word)
{
    int port = port_read(port_word);

    if (port < 0 || strchr(host, '%') || addr_from_host(addr, host, (uint16_t)port) ||
        addr_family(addr) != family)
        return -EPROTO;
    return 0;
}

/* The line behind "PROXY ", without its end. */
static int v1_read(char *line, struct proxy_in *in)
{
    char *words[5] = {NULL}, *rest = line;
    int family;

    if (strcmp(line, "UNKNOWN") == 0 || strncmp(line, "UNKNOWN ", 8) == 0)
        return 0;
    for (size_t i = 0; i < ARRAY_COUNT(words); i++)
        if (!word_next(&rest, &words[i]))
            return -EPROTO;
    if (strcmp(words[0], "TCP4") == 0)
        family = AF_INET;
    else if (strcmp(words[0], "TCP6") == 0)
        family = AF_INET6;
    else
        return -EPROTO;
    if (rest || v1_address(&in->source, family, words[1], words[3]))
        return -EPROTO;
    return v1_address(&in->destination, family, words[2], words[4]);
}

/* Whether these first bytes may become a known kind: a wrong one is refused before its line ends.
 */
static bool v1_kind_is_known(const uint8_t *data, size_t length)
{
    static const char *const kinds[] = {"TCP4 ", "TCP6 ", "UNKNOWN"};

    for (size_t i = 0; i < ARRAY_COUNT(kinds); i++)
        if (begins_with(data, length, kinds[i], strlen(kinds[i])) != PROXY_BEGIN_NO)
            return true;
    return false;
}

static int v1_parse(const uint8_t *data, size_t length, struct proxy_in *in)
{
    const size_t begin = sizeof(v1_begin) - 1;
    char line[PROXY_IN_V1_MAX + 1];
    size_t seen = length < PROXY_IN_V1_MAX ? length : PROXY_IN_V1_MAX;
    const uint8_t *end = memchr(data, '\n', seen);
    size_t line_length = end ? (size_t)(end - data) + 1 : seen;
    size_t text_length = end ? line_length - 2 : seen - (data[seen - 1] == '\r');

    if (length > begin && !v1_kind_is_known(data + begin, line_length - begin))
        return -EPROTO;
    for (size_t i = 0; i < text_length; i++)
        if (data[i] < ' ' || data[i] > '~')
            return -EPROTO;
    if (!end)
        return seen < PROXY_IN_V1_MAX ? 0 : -EPROTO;
    if (end[-1] != '\r')
        return -EPROTO;
    memcpy(line, data, line_length);
    line[line_length - 2] = '\0';
    return v1_read(line + begin, in) ? -EPROTO : (int)line_length;
}

/* ---- version 2 ---- */

static void v2_read_ip4(struct byte_reader *reader, struct proxy_in *in)
{
    struct addr *addrs[] = {&in->source, &in->destination};

    for (size_t i = 0; i < ARRAY_COUNT(addrs); i++) {
        addrs[i]->length = sizeof(addrs[i]->in4);
        addrs[i]->in4.sin_family = AF_INET;
        memcpy(&addrs[i]->in4.sin_addr, bytes_take(reader, 4), 4);
    }
}

static void v2_read_ip6(struct byte_reader *reader, struct proxy_in *in)
{
    struct addr *addrs[] = {&in->source, &in->destination};

    for (size_t i = 0; i < ARRAY_COUNT(addrs); i++) {
        addrs[i]->length = sizeof(addrs[i]->in6);
        addrs[i]->in6.sin6_family = AF_INET6;
        memcpy(&addrs[i]->in6.sin6_addr, bytes_take(reader, 16), 16);
    }
}

static int v2_read(struct byte_reader *reader, uint8_t family, struct proxy_in *in)
{
    static const size_t sizes[] = {[V2_IP4] = 12, [V2_IP6] = 36, [V2_UNIX] = 216};

    if (bytes_left(reader) < sizes[family])
        return -EPROTO;
    if (family == V2_IP4)
        v2_read_ip4(reader, in);
    else if (family == V2_IP6)
        v2_read_ip6(reader, in);
    else
        return 0; /* paths of another machine say nothing here */
    addr_set_port(&in->source, (uint16_t)bytes_number(reader, 2));
    addr_set_port(&in->destination, (uint16_t)bytes_number(reader, 2));
    return 0;
}

static int v2_parse(const uint8_t *data, size_t length, struct proxy_in *in)
{
    const size_t begin = sizeof(v2_begin);
    size_t body;
    uint8_t command, family;
    struct byte_reader reader;

    command = length > begin ? data[begin] : V2_PROXY;
    family = length > begin + 1 ? data[begin + 1] >> 4 : 0;
    if ((command != V2_LOCAL && command != V2_PROXY) || family > V2_UNIX ||
        (length > begin + 1 && (data[begin + 1] & 0x0f) > V2_DGRAM))
        return -EPROTO;
    if (length < V2_HEAD)
        return 0;
    body = (size_t)data[14] << 8 | data[15];
    if (V2_HEAD + body > PROXY_IN_MAX)
        return -EPROTO;
    if (length < V2_HEAD + body)
        return 0;
    reader = byte_reader(data + V2_HEAD, body);
    if (command == V2_PROXY && family && v2_read(&reader, family, in))
        return -EPROTO;
    return (int)(V2_HEAD + body);
}

int proxy_in_parse(const uint8_t *data, size_t length, enum accept_proxy versions,
                   struct proxy_in *in)
{
    enum proxy_begin v1 = versions & ACCEPT_PROXY_V1 ? begins_v1(data, length) : PROXY_BEGIN_NO;
    enum proxy_begin v2 = versions & ACCEPT_PROXY_V2 ? begins_v2(data, length) : PROXY_BEGIN_NO;

    *in = (struct proxy_in){0};
    if (v1 == PROXY_BEGIN_YES)
        return v1_parse(data, length, in);
    if (v2 == PROXY_BEGIN_YES)
        return v2_parse(data, length, in);
    return v1 == PROXY_BEGIN_NO && v2 == PROXY_BEGIN_NO ? -EPROTO : 0;
}
