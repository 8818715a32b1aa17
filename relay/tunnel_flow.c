/* The short headers of qmux/2: flows, opens, answers, datagrams, and the table of codes. */
#include <errno.h>
#include <string.h>

#include "relay/tunnel_wire.h"
#include "relay/wire_bytes.h"

enum { OPEN_TCP = 1 };                                    /* the first byte of a server's stream */
enum { FAMILY_NONE = 0, FAMILY_IP4 = 4, FAMILY_IP6 = 6 }; /* of an address */

struct code_row {
    uint64_t code;
    enum reason reason;
    const char *words;
};
static const struct code_row code_rows[] = {
#define WIRE_CODE_ROW(name, value, reason, words) {value, REASON_##reason, words},
    WIRE_CODES(WIRE_CODE_ROW)
#undef WIRE_CODE_ROW
};

static const struct code_row *code_find(uint64_t code)
{
    for (size_t i = 0; i < ARRAY_COUNT(code_rows); i++)
        if (code_rows[i].code == code)
            return &code_rows[i];
    return NULL;
}

const char *wire_code_words(uint64_t code)
{
    const struct code_row *row = code_find(code);

    return row ? row->words : "a code that this version does not know";
}

enum reason wire_code_reason(uint64_t code, enum reason unknown)
{
    const struct code_row *row = code_find(code);

    return row ? row->reason : unknown;
}

enum wire_code wire_code_of(enum reason reason)
{
    for (size_t i = 0; i < ARRAY_COUNT(code_rows); i++)
        if (code_rows[i].reason == reason)
            return (enum wire_code)code_rows[i].code;
    return WIRE_CODE_RESET;
}

uint64_t wire_code_of_reset(enum reason reason)
{
    enum wire_code code = wire_code_of(reason);

    return code >= WIRE_CODE_REFUSED && code < WIRE_CODE_RESET ? WIRE_CODE_RESET : code;
}

/* ---- flows ---- */

static void flow_put_addr(struct byte_writer *writer, const struct addr *addr)
{
    int family = addr_family(addr);

    if (family == AF_INET) {
        bytes_put_number(writer, FAMILY_IP4, 1);
        bytes_put(writer, &addr->in4.sin_addr, 4);
        bytes_put_number(writer, addr_port(addr), 2);
    } else if (family == AF_INET6) {
        bytes_put_number(writer, FAMILY_IP6, 1);
        bytes_put(writer, &addr->in6.sin6_addr, 16);
        bytes_put_number(writer, addr_port(addr), 2);
    } else {
        bytes_put_number(writer, FAMILY_NONE, 1);
    }
}

static void flow_take_ip4(struct byte_reader *reader, struct addr *addr)
{
    struct sockaddr_in in4 = {.sin_family = AF_INET};
    const uint8_t *data = bytes_take(reader, 4);

    if (data)
        memcpy(&in4.sin_addr, data, 4);
    in4.sin_port = htons((uint16_t)bytes_number(reader, 2));
    addr_from_sockaddr(addr, (const struct sockaddr *)&in4, sizeof(in4));
}

static void flow_take_ip6(struct byte_reader *reader, struct addr *addr)
{
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
    const uint8_t *data = bytes_take(reader, 16);

    if (data)
        memcpy(&in6.sin6_addr, data, 16);
    in6.sin6_port = htons((uint16_t)bytes_number(reader, 2));
    addr_from_sockaddr(addr, (const struct sockaddr *)&in6, sizeof(in6));
}

static int flow_take_addr(struct byte_reader *reader, struct addr *addr)
{
    uint64_t family = bytes_number(reader, 1);

    addr->length = 0;
    if (family == FAMILY_IP4)
        flow_take_ip4(reader, addr);
    else if (family == FAMILY_IP6)
        flow_take_ip6(reader, addr);
    else if (family != FAMILY_NONE)
        return -EPROTO;
    return reader->short_of ? -EPROTO : 0;
}

static bool flow_name_char(uint8_t byte)
{
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
           (byte >= '0' && byte <= '9') || byte == '_' || byte == '.' || byte == '-';
}

static int flow_take_service(struct byte_reader *reader, char *service)
{
    size_t length = bytes_number(reader, 1);
    const uint8_t *data = bytes_take(reader, length);

    if (!data || !length || length > WIRE_NAME_MAX)
        return -EPROTO;
    for (size_t i = 0; i < length; i++)
        if (!flow_name_char(data[i]))
            return -EPROTO;
    memcpy(service, data, length);
    service[length] = 0;
    return 0;
}

/* What stands behind the destination is for later versions. */
static int flow_take(struct byte_reader *reader, struct wire_flow *flow)
{
    int error;

    flow->hops = (uint8_t)bytes_number(reader, 1);
    error = flow_take_service(reader, flow->service);
    if (!error)
        error = flow_take_addr(reader, &flow->source);
    if (!error)
        error = flow_take_addr(reader, &flow->destination);
    return error;
}

int wire_flow_decode(const uint8_t *data, size_t length, struct wire_flow *flow)
{
    struct byte_reader reader = byte_reader(data, length), inner;
    size_t size = bytes_number(&reader, 2);
    const uint8_t *body;
    int error;

    if (reader.short_of)
        return 0;
    if (size + 2 > WIRE_FLOW_MAX)
        return -EPROTO;
    body = bytes_take(&reader, size);
    if (!body)
        return 0;
    inner = byte_reader(body, size);
    error = flow_take(&inner, flow);
    return error ? error : (int)(size + 2);
}

size_t wire_flow_encode(const struct wire_flow *flow, uint8_t *to, size_t size)
{
    struct byte_writer writer = byte_writer(to, size);
    size_t name = strlen(flow->service), length;

    bytes_put_number(&writer, 0, 2);
    bytes_put_number(&writer, flow->hops, 1);
    bytes_put_number(&writer, name, 1);
    bytes_put(&writer, flow->service, name);
    flow_put_addr(&writer, &flow->source);
    flow_put_addr(&writer, &flow->destination);
    length = bytes_written(&writer);
    if (!length)
        return 0;
    to[0] = (uint8_t)((length - 2) >> 8);
    to[1] = (uint8_t)(length - 2);
    return length;
}

int wire_open_decode(const uint8_t *data, size_t length, struct wire_flow *flow)
{
    int used;

    if (!length)
        return 0;
    if (data[0] != OPEN_TCP)
        return -EPROTO;
    used = wire_flow_decode(data + 1, length - 1, flow);
    return used > 0 ? used + 1 : used;
}

size_t wire_open_encode(const struct wire_flow *flow, uint8_t *to, size_t size)
{
    size_t length;

    if (!size)
        return 0;
    to[0] = OPEN_TCP;
    length = wire_flow_encode(flow, to + 1, size - 1);
    return length ? length + 1 : 0;
}

/* ---- answers ---- */

static void answer_take(struct wire_answer *answer, uint8_t byte)
{
    answer->count++;
    answer->seen = true;
    if (byte == WIRE_ANSWER_CONNECTED)
        answer->connected = true;
    else if (byte >= WIRE_ANSWER_REFUSED)
        answer->refused = byte;
}

int wire_answer_decode(const uint8_t *data, size_t length, struct wire_answer *answer)
{
    size_t used = 0;

    while (used < length && !wire_answer_final(answer)) {
        if (answer->count == WIRE_ANSWERS_MAX)
            return -EPROTO;
        answer_take(answer, data[used++]);
    }
    return (int)used;
}

/* ---- datagrams ---- */

int wire_datagram_decode(const uint8_t *data, size_t length, struct wire_datagram *in)
{
    struct byte_reader reader = byte_reader(data, length);
    int used;

    in->kind = (uint8_t)bytes_number(&reader, 1);
    in->session = (uint32_t)bytes_number(&reader, 4);
    if (reader.short_of)
        return -EPROTO;
    if (in->kind > WIRE_DATAGRAM_OPEN)
        return -ENOTSUP;
    if (in->kind == WIRE_DATAGRAM_OPEN) {
        used = wire_flow_decode(reader.at, bytes_left(&reader), &in->flow);
        if (used <= 0)
            return -EPROTO;
        reader.at += used;
    }
    in->data = reader.at;
    in->length = (uint32_t)bytes_left(&reader);
    return 0;
}

void wire_datagram_head(uint8_t to[WIRE_DATAGRAM_HEAD], uint8_t kind, uint32_t session)
{
    struct byte_writer writer = byte_writer(to, WIRE_DATAGRAM_HEAD);

    bytes_put_number(&writer, kind, 1);
    bytes_put_number(&writer, session, 4);
}
