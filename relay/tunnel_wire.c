/* The messages of the control stream: each a table of fields, read and written by the same rows. */
#include "relay/tunnel_wire.h"

#include <errno.h>
#include <string.h>

#include "relay/wire_bytes.h"

enum wire_kind { KIND_NUMBER, KIND_BYTES, KIND_TEXT, KIND_FLOW, KIND_SERVICE };

struct field_row {
    uint16_t tag;
    uint8_t kind;
    bool required;
    uint16_t offset; /* in struct wire_message */
    uint16_t size;   /* of the member: a number's width on the wire, a text's room with its NUL */
};
struct message_row {
    const char *name;
    const struct field_row *fields;
    uint32_t count;
};

#define FIELD(tag, kind, required, member)                                                         \
    {                                                                                              \
        tag, kind, required, offsetof(struct wire_message, member),                                \
            sizeof(((struct wire_message *)0)->member)                                             \
    }

static const struct field_row register_fields[] = {
    FIELD(1, KIND_BYTES, true, reg.instance),     FIELD(2, KIND_TEXT, false, reg.label),
    FIELD(3, KIND_NUMBER, true, reg.version_min), FIELD(4, KIND_NUMBER, true, reg.version_max),
    FIELD(5, KIND_NUMBER, false, reg.features),   FIELD(6, KIND_NUMBER, false, reg.slot),
    FIELD(7, KIND_SERVICE, false, reg.services),
};
static const struct field_row registered_fields[] = {
    FIELD(1, KIND_BYTES, true, registered.instance),
    FIELD(2, KIND_NUMBER, true, registered.version),
    FIELD(3, KIND_NUMBER, false, registered.features),
    FIELD(4, KIND_NUMBER, true, registered.worker_count),
    FIELD(5, KIND_NUMBER, true, registered.worker),
    FIELD(6, KIND_NUMBER, true, registered.heartbeat_ms),
    FIELD(7, KIND_NUMBER, true, registered.health_timeout_ms),
    FIELD(8, KIND_NUMBER, false, registered.probe_ms),
};
static const struct field_row refused_fields[] = {
    FIELD(1, KIND_NUMBER, true, refused.code),
    FIELD(2, KIND_TEXT, false, refused.text),
};
static const struct field_row udp_open_fields[] = {
    FIELD(1, KIND_NUMBER, true, session.id),
    FIELD(2, KIND_FLOW, true, session.flow),
};
static const struct field_row udp_opened_fields[] = {
    FIELD(1, KIND_NUMBER, true, session.id),
};
static const struct field_row udp_close_fields[] = {
    FIELD(1, KIND_NUMBER, true, session.id),
    FIELD(2, KIND_NUMBER, false, session.code),
};
static const struct field_row want_fields[] = {
    FIELD(1, KIND_NUMBER, true, want.worker),
};

#define MESSAGE(name, fields)                                                                      \
    {                                                                                              \
        name, fields, ARRAY_COUNT(fields)                                                          \
    }
static const struct message_row message_rows[WIRE_TYPE_COUNT] = {
    [WIRE_REGISTER] = MESSAGE("REGISTER", register_fields),
    [WIRE_REGISTERED] = MESSAGE("REGISTERED", registered_fields),
    [WIRE_REFUSED] = MESSAGE("REFUSED", refused_fields),
    [WIRE_HEARTBEAT] = {"HEARTBEAT", NULL, 0},
    [WIRE_DRAIN] = {"DRAIN",     NULL, 0},
    [WIRE_UDP_OPEN] = MESSAGE("UDP_OPEN", udp_open_fields),
    [WIRE_UDP_OPENED] = MESSAGE("UDP_OPENED", udp_opened_fields),
    [WIRE_UDP_CLOSE] = MESSAGE("UDP_CLOSE", udp_close_fields),
    [WIRE_WANT] = MESSAGE("WANT", want_fields),
};

const char *wire_type_name(uint16_t type)
{
    return type < WIRE_TYPE_COUNT && message_rows[type].name ? message_rows[type].name : "UNKNOWN";
}

uint16_t wire_version_choose(uint16_t least, uint16_t most)
{
    uint16_t version = most < WIRE_VERSION_MAX ? most : WIRE_VERSION_MAX;

    return version >= least && version >= WIRE_VERSION_MIN ? version : 0;
}

/* ---- numbers: members of 1, 2, 4 or 8 bytes ---- */

static void number_store(void *to, size_t width, uint64_t value)
{
    uint8_t one = (uint8_t)value;
    uint16_t two = (uint16_t)value;
    uint32_t four = (uint32_t)value;

    if (width == 1)
        memcpy(to, &one, 1);
    else if (width == 2)
        memcpy(to, &two, 2);
    else if (width == 4)
        memcpy(to, &four, 4);
    else
        memcpy(to, &value, 8);
}

static uint64_t number_load(const void *from, size_t width)
{
    uint8_t one;
    uint16_t two;
    uint32_t four;
    uint64_t eight;

    if (width == 1)
        return memcpy(&one, from, 1), one;
    if (width == 2)
        return memcpy(&two, from, 2), two;
    if (width == 4)
        return memcpy(&four, from, 4), four;
    return memcpy(&eight, from, 8), eight;
}

/* ---- decoding ---- */

/* Words that are safe to log: no control bytes. */
static int text_copy(char *to, size_t room, const uint8_t *data, size_t length)
{
    if (length >= room)
        return -EPROTO;
    for (size_t i = 0; i < length; i++)
        if (data[i] < 0x20 || data[i] == 0x7f)
            return -EPROTO;
    memcpy(to, data, length);
    to[length] = 0;
    return 0;
}

static int service_decode(struct wire_register *reg, const uint8_t *data, size_t length)
{
    struct wire_service *service = &reg->services[reg->service_count];

    if (reg->service_count == WIRE_SERVICES_MAX || length < 2)
        return -EPROTO;
    service->protocols = data[0];
    reg->service_count++;
    return text_copy(service->name, sizeof(service->name), data + 1, length - 1);
}

static int flow_decode(struct wire_flow *flow, const uint8_t *data, size_t length)
{
    int used = wire_flow_decode(data, length, flow);

    return used > 0 && (size_t)used == length ? 0 : -EPROTO;
}

static int field_decode(const struct field_row *row, struct wire_message *message,
                        const uint8_t *data, size_t length)
{
    void *to = (uint8_t *)message + row->offset;
    struct byte_reader reader = byte_reader(data, length);

    switch (row->kind) {
    case KIND_TEXT:
        return text_copy(to, row->size, data, length);
    case KIND_FLOW:
        return flow_decode(to, data, length);
    case KIND_SERVICE:
        return service_decode(&message->reg, data, length);
    default:
        break;
    }
    if (length != row->size)
        return -EPROTO;
    if (row->kind == KIND_BYTES)
        memcpy(to, data, length);
    else
        number_store(to, row->size, bytes_number(&reader, row->size));
    return 0;
}

static uint32_t field_find(const struct message_row *row, uint64_t tag)
{
    uint32_t index = 0;

    while (index < row->count && row->fields[index].tag != tag)
        index++;
    return index;
}

static uint32_t fields_required(const struct message_row *row)
{
    uint32_t bits = 0;

    for (uint32_t i = 0; i < row->count; i++)
        if (row->fields[i].required)
            bits |= 1u << i;
    return bits;
}

/* One field; unknown ones are skipped, only services may come twice. */
static int body_decode_field(const struct message_row *row, struct wire_message *message,
                             struct byte_reader *reader, uint32_t *met)
{
    uint32_t index = field_find(row, bytes_number(reader, 2));
    size_t length = bytes_number(reader, 2);
    const uint8_t *data = bytes_take(reader, length);

    if (reader->short_of)
        return -EPROTO;
    if (index == row->count)
        return 0;
    if (*met & 1u << index && row->fields[index].kind != KIND_SERVICE)
        return -EPROTO;
    *met |= 1u << index;
    return field_decode(&row->fields[index], message, data, length);
}

static int body_decode(const uint8_t *body, size_t length, struct wire_message *message)
{
    const struct message_row *row = &message_rows[message->type];
    struct byte_reader reader = byte_reader(body, length);
    uint32_t required = fields_required(row), met = 0;
    int error = 0;

    while (bytes_left(&reader) && !error)
        error = body_decode_field(row, message, &reader, &met);
    if (!error && (met & required) != required)
        error = -EPROTO;
    return error;
}

int wire_decode(const uint8_t *data, size_t length, struct wire_message *message)
{
    struct byte_reader reader = byte_reader(data, length);
    uint16_t type = (uint16_t)bytes_number(&reader, 2);
    size_t size = bytes_number(&reader, 2);
    const uint8_t *body;
    int error = 0;

    if (reader.short_of)
        return 0;
    if (size > WIRE_MESSAGE_MAX)
        return -EPROTO;
    body = bytes_take(&reader, size);
    if (!body)
        return 0;
    memset(message, 0, sizeof(*message));
    message->type = type;
    if (type < WIRE_TYPE_COUNT && message_rows[type].name)
        error = body_decode(body, size, message);
    else
        message->type = WIRE_TYPE_COUNT;
    return error ? error : (int)(WIRE_HEAD_SIZE + size);
}

/* ---- encoding ---- */

static void field_put(struct byte_writer *writer, uint16_t tag, const void *data, size_t length)
{
    bytes_put_number(writer, tag, 2);
    bytes_put_number(writer, length, 2);
    bytes_put(writer, data, length);
}

static void services_encode(struct byte_writer *writer, uint16_t tag,
                            const struct wire_register *reg)
{
    for (uint32_t i = 0; i < reg->service_count; i++) {
        const struct wire_service *service = &reg->services[i];
        size_t length = strlen(service->name);

        bytes_put_number(writer, tag, 2);
        bytes_put_number(writer, length + 1, 2);
        bytes_put_number(writer, service->protocols, 1);
        bytes_put(writer, service->name, length);
    }
}

static void flow_encode(struct byte_writer *writer, uint16_t tag, const struct wire_flow *flow)
{
    uint8_t data[WIRE_FLOW_MAX];
    size_t length = wire_flow_encode(flow, data, sizeof(data));

    writer->full = writer->full || !length;
    field_put(writer, tag, data, length);
}

static void field_encode(struct byte_writer *writer, const struct field_row *row,
                         const struct wire_message *message)
{
    const void *from = (const uint8_t *)message + row->offset;

    switch (row->kind) {
    case KIND_NUMBER:
        bytes_put_number(writer, row->tag, 2);
        bytes_put_number(writer, row->size, 2);
        bytes_put_number(writer, number_load(from, row->size), row->size);
        break;
    case KIND_BYTES:
        field_put(writer, row->tag, from, row->size);
        break;
    case KIND_TEXT:
        field_put(writer, row->tag, from, strlen(from));
        break;
    case KIND_FLOW:
        flow_encode(writer, row->tag, from);
        break;
    default:
        services_encode(writer, row->tag, &message->reg);
    }
}

size_t wire_encode(const struct wire_message *message, uint8_t *to, size_t size)
{
    struct byte_writer writer = byte_writer(to, size);
    const struct message_row *row = &message_rows[message->type];
    size_t length;

    must(message->type < WIRE_TYPE_COUNT && row->name);
    bytes_put_number(&writer, message->type, 2);
    bytes_put_number(&writer, 0, 2);
    for (uint32_t i = 0; i < row->count; i++)
        field_encode(&writer, &row->fields[i], message);
    length = bytes_written(&writer);
    if (!length || length - WIRE_HEAD_SIZE > WIRE_MESSAGE_MAX)
        return 0;
    to[2] = (uint8_t)((length - WIRE_HEAD_SIZE) >> 8);
    to[3] = (uint8_t)(length - WIRE_HEAD_SIZE);
    return length;
}
