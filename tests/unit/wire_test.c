#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "relay/tunnel_wire.h"
#include "tests/unit/test.h"

static struct addr addr_of(const char *text)
{
    struct addr addr;

    must(addr_parse(&addr, text) == 0);
    return addr;
}

static struct wire_flow flow_sample(void)
{
    return (struct wire_flow){.hops = 2,
                              .service = "web-1.example",
                              .source = addr_of("192.0.2.7:40000"),
                              .destination = addr_of("[2001:db8::1]:443")};
}

static bool flow_equal(const struct wire_flow *a, const struct wire_flow *b)
{
    return a->hops == b->hops && !strcmp(a->service, b->service) &&
           addr_equal(&a->source, &b->source) && addr_equal(&a->destination, &b->destination);
}

static struct wire_message message_sample(uint16_t type)
{
    struct wire_message message = {.type = type};

    if (type == WIRE_REGISTER) {
        message.reg = (struct wire_register){
            .label = "pod 7",
            .version_min = 1,
            .version_max = 3,
            .features = 5,
            .slot = 1,
            .service_count = 2,
            .services = {{1, "web"}, {3, "dns"}}
        };
        memset(message.reg.instance, 7, WIRE_INSTANCE_SIZE);
    } else if (type == WIRE_REGISTERED) {
        message.registered = (struct wire_registered){.version = 1,
                                                      .features = 1,
                                                      .worker_count = 8,
                                                      .worker = 3,
                                                      .heartbeat_ms = 10000,
                                                      .health_timeout_ms = 30000,
                                                      .probe_ms = 1000};
    } else if (type == WIRE_REFUSED) {
        message.refused = (struct wire_refused){.code = WIRE_CODE_VERSION, .text = "no"};
    } else if (type == WIRE_UDP_OPEN) {
        message.session.id = 77;
        message.session.flow = flow_sample();
    } else if (type == WIRE_UDP_OPENED || type == WIRE_UDP_CLOSE) {
        message.session.id = 0xfffffffe;
        message.session.code = type == WIRE_UDP_CLOSE ? WIRE_CODE_LIMIT : 0;
    } else if (type == WIRE_WANT) {
        message.want.worker = 5;
    }
    return message;
}

/* Decoding from memory of the exact size: the sanitizers see a byte too many. */
static int decode_exact(const uint8_t *data, size_t length, struct wire_message *message)
{
    uint8_t *exact = malloc(length ? length : 1);
    int used;

    must(exact);
    memcpy(exact, data, length);
    used = wire_decode(exact, length, message);
    free(exact);
    return used;
}

static bool register_equal(const struct wire_register *a, const struct wire_register *b)
{
    for (uint32_t i = 0; i < a->service_count; i++)
        if (strcmp(a->services[i].name, b->services[i].name) ||
            a->services[i].protocols != b->services[i].protocols)
            return false;
    return !memcmp(a->instance, b->instance, WIRE_INSTANCE_SIZE) && !strcmp(a->label, b->label) &&
           a->version_min == b->version_min && a->version_max == b->version_max &&
           a->features == b->features && a->slot == b->slot && a->service_count == b->service_count;
}

static bool registered_equal(const struct wire_registered *a, const struct wire_registered *b)
{
    return a->version == b->version && a->features == b->features &&
           !memcmp(a->instance, b->instance, WIRE_INSTANCE_SIZE) &&
           a->worker_count == b->worker_count && a->worker == b->worker &&
           a->heartbeat_ms == b->heartbeat_ms && a->health_timeout_ms == b->health_timeout_ms &&
           a->probe_ms == b->probe_ms;
}

TEST(every_message_survives_the_way)
{
    uint8_t data[WIRE_HEAD_SIZE + WIRE_MESSAGE_MAX];
    struct wire_message out;

    for (unsigned type = WIRE_REGISTER; type < WIRE_TYPE_COUNT; type++) {
        struct wire_message in = message_sample((uint16_t)type);
        size_t length = wire_encode(&in, data, sizeof(data));

        check(length >= WIRE_HEAD_SIZE);
        check(decode_exact(data, length, &out) == (int)length);
        check(out.type == type);
        if (type == WIRE_UDP_OPEN)
            check(out.session.id == 77 && flow_equal(&in.session.flow, &out.session.flow));
        if (type == WIRE_REGISTER)
            check(register_equal(&in.reg, &out.reg));
        if (type == WIRE_REGISTERED)
            check(registered_equal(&in.registered, &out.registered));
        if (type == WIRE_REFUSED)
            check(out.refused.code == WIRE_CODE_VERSION && !strcmp(out.refused.text, "no"));
        if (type == WIRE_UDP_CLOSE)
            check(out.session.id == 0xfffffffe && out.session.code == WIRE_CODE_LIMIT);
    }
}

TEST(a_message_cut_at_any_offset_asks_for_more)
{
    uint8_t data[WIRE_HEAD_SIZE + WIRE_MESSAGE_MAX];
    struct wire_message out;

    for (unsigned type = WIRE_REGISTER; type < WIRE_TYPE_COUNT; type++) {
        struct wire_message in = message_sample((uint16_t)type);
        size_t length = wire_encode(&in, data, sizeof(data));

        for (size_t cut = 0; cut < length; cut++)
            check(decode_exact(data, cut, &out) == 0);
    }
}

TEST(an_encoder_never_writes_past_its_room)
{
    uint8_t data[WIRE_HEAD_SIZE + WIRE_MESSAGE_MAX];
    struct wire_message in = message_sample(WIRE_REGISTER);
    size_t length = wire_encode(&in, data, sizeof(data));

    for (size_t size = 0; size < length; size++) {
        uint8_t *exact = malloc(size ? size : 1);

        check(wire_encode(&in, exact, size) == 0);
        free(exact);
    }
}

TEST(garbage_never_crashes_and_never_uses_more_than_there_is)
{
    uint8_t data[96];
    struct wire_message message;
    struct wire_flow flow;
    struct wire_datagram datagram;
    uint32_t random = 1;

    for (int round = 0; round < 200000; round++) {
        size_t length = (size_t)(round % (int)sizeof(data));
        int used;

        for (size_t i = 0; i < length; i++) {
            random = random * 1664525 + 1013904223;
            data[i] = (uint8_t)(random >> 24);
        }
        if (length > 3) { /* often a known message of a length that fits */
            data[0] = 0;
            data[1] %= WIRE_TYPE_COUNT + 1;
            data[2] = 0;
        }
        used = decode_exact(data, length, &message);
        check(used == -EPROTO || (used >= 0 && (size_t)used <= length));
        used = wire_open_decode(data, length, &flow);
        check(used == -EPROTO || (used >= 0 && (size_t)used <= length));
        if (wire_datagram_decode(data, length, &datagram) == 0)
            check(datagram.length <= length);
    }
}

TEST(unknown_messages_and_fields_are_skipped)
{
    static const uint8_t unknown_type[] = {0x7f, 0xff, 0, 3, 1, 2, 3};
    static const uint8_t unknown_field[] = {0, WIRE_REFUSED, 0, 11, 0x12, 0x34, 0, 1, 9, 0, 1, 0, 2,
                                            0, 0x31};
    struct wire_message message;

    check(wire_decode(unknown_type, sizeof(unknown_type), &message) == sizeof(unknown_type));
    check(message.type == WIRE_TYPE_COUNT);
    check(wire_decode(unknown_field, sizeof(unknown_field), &message) == sizeof(unknown_field));
    check(message.type == WIRE_REFUSED && message.refused.code == WIRE_CODE_VERSION);
}

TEST(a_missing_field_a_field_twice_and_a_wrong_width_break_the_protocol)
{
    static const uint8_t missing[] = {0, WIRE_UDP_CLOSE, 0, 0};
    static const uint8_t twice[] = {
        0, WIRE_UDP_OPENED, 0, 16, 0, 1, 0, 4, 0, 0, 0, 1, 0, 1, 0, 4, 0, 0, 0, 1};
    static const uint8_t width[] = {0, WIRE_UDP_OPENED, 0, 6, 0, 1, 0, 2, 0, 1};
    struct wire_message message;

    check(wire_decode(missing, sizeof(missing), &message) == -EPROTO);
    check(wire_decode(twice, sizeof(twice), &message) == -EPROTO);
    check(wire_decode(width, sizeof(width), &message) == -EPROTO);
}

TEST(a_message_longer_than_the_limit_is_refused_by_its_head)
{
    static const uint8_t head[] = {0, WIRE_HEARTBEAT, (WIRE_MESSAGE_MAX + 1) >> 8,
                                   (WIRE_MESSAGE_MAX + 1) & 0xff};
    struct wire_message message;

    check(wire_decode(head, sizeof(head), &message) == -EPROTO);
}

TEST(the_largest_registration_fits_one_message)
{
    uint8_t data[WIRE_HEAD_SIZE + WIRE_MESSAGE_MAX];
    struct wire_message in = message_sample(WIRE_REGISTER), out;
    size_t length;

    in.reg.service_count = WIRE_SERVICES_MAX;
    for (uint32_t i = 0; i < WIRE_SERVICES_MAX; i++) {
        in.reg.services[i].protocols = 3;
        memset(in.reg.services[i].name, 'a', WIRE_NAME_MAX);
    }
    length = wire_encode(&in, data, sizeof(data));
    check(length && decode_exact(data, length, &out) == (int)length);
    check(out.reg.service_count == WIRE_SERVICES_MAX);
}

TEST(an_open_cut_at_any_offset_asks_for_more_and_then_tells_the_flow)
{
    struct wire_flow in = flow_sample(), out;
    uint8_t data[WIRE_FLOW_MAX + 1];
    size_t length = wire_open_encode(&in, data, sizeof(data));

    check(length > 0);
    for (size_t cut = 0; cut < length; cut++)
        check(wire_open_decode(data, cut, &out) == 0);
    check(wire_open_decode(data, length, &out) == (int)length);
    check(flow_equal(&in, &out));
}

TEST(a_flow_of_unix_sockets_has_no_addresses)
{
    struct wire_flow in = {.service = "x"}, out;
    uint8_t data[WIRE_FLOW_MAX];
    size_t length;

    must(addr_from_path(&in.source, "/tmp/x") == 0);
    length = wire_flow_encode(&in, data, sizeof(data));
    check(wire_flow_decode(data, length, &out) == (int)length);
    check(!out.source.length && !out.destination.length);
}

TEST(a_flow_may_carry_fields_of_a_later_version)
{
    struct wire_flow in = flow_sample(), out;
    uint8_t data[WIRE_FLOW_MAX];
    size_t length = wire_flow_encode(&in, data, sizeof(data));

    memset(data + length, 0xee, 9);
    data[1] = (uint8_t)(data[1] + 9);
    check(wire_flow_decode(data, length + 9, &out) == (int)length + 9);
    check(flow_equal(&in, &out));
}

TEST(a_service_name_is_letters_digits_dot_dash_and_underscore)
{
    static const uint8_t empty[] = {0, 4, 0, 0, 0, 0};
    static const uint8_t blank[] = {0, 5, 0, 1, ' ', 0, 0};
    static const uint8_t control[] = {0, 5, 0, 1, '\n', 0, 0};
    struct wire_flow flow;

    check(wire_flow_decode(empty, sizeof(empty), &flow) == -EPROTO);
    check(wire_flow_decode(blank, sizeof(blank), &flow) == -EPROTO);
    check(wire_flow_decode(control, sizeof(control), &flow) == -EPROTO);
}

TEST(an_answer_may_come_byte_by_byte_and_stops_before_user_bytes)
{
    static const uint8_t whole[] = {WIRE_ANSWER_SEEN, 0x05, WIRE_ANSWER_CONNECTED, 'h', 'i'};
    struct wire_answer answer = {0};

    check(wire_answer_decode(whole, sizeof(whole), &answer) == 3);
    check(answer.seen && answer.connected && answer.count == 3);
    answer = (struct wire_answer){0};
    for (int i = 0; i < 3; i++) {
        check(!wire_answer_final(&answer));
        check(wire_answer_decode(whole + i, 1, &answer) == 1);
    }
    check(answer.connected);
}

TEST(an_answer_that_refuses_tells_why_and_one_without_end_breaks_the_protocol)
{
    static const uint8_t refused[] = {WIRE_ANSWER_SEEN, WIRE_CODE_NO_SERVICE, 'x'};
    static const uint8_t endless[WIRE_ANSWERS_MAX + 1] = {0};
    struct wire_answer answer = {0};

    check(wire_answer_decode(refused, sizeof(refused), &answer) == 2);
    check(answer.refused == WIRE_CODE_NO_SERVICE && !answer.connected);
    answer = (struct wire_answer){0};
    check(wire_answer_decode(endless, sizeof(endless), &answer) == -EPROTO);
}

TEST(a_datagram_of_an_unknown_kind_is_told_apart_from_a_broken_one)
{
    static const uint8_t plain[] = {0, 0, 0, 1, 2, 'x'};
    static const uint8_t unknown[] = {9, 0, 0, 0, 1};
    struct wire_datagram in;

    check(wire_datagram_decode(plain, sizeof(plain), &in) == 0);
    check(in.session == 258 && in.length == 1 && in.data[0] == 'x');
    check(wire_datagram_decode(plain, 5, &in) == 0 && in.length == 0);
    check(wire_datagram_decode(plain, 4, &in) == -EPROTO);
    check(wire_datagram_decode(unknown, sizeof(unknown), &in) == -ENOTSUP);
}

TEST(the_highest_common_version_is_chosen_or_none)
{
    check(wire_version_choose(1, 1) == 1);
    check(wire_version_choose(0, 9) == WIRE_VERSION_MAX);
    check(wire_version_choose(WIRE_VERSION_MAX + 1, 9) == 0);
    check(wire_version_choose(0, 0) == 0);
    check(wire_version_choose(5, 2) == 0);
}

TEST(every_code_has_its_reason_and_unknown_ones_are_told_so)
{
    check(wire_code_of(REASON_NOT_ALLOWED) == WIRE_CODE_NOT_ALLOWED);
    check(wire_code_of(REASON_LIMIT) == WIRE_CODE_LIMIT);
    check(wire_code_of(REASON_DONE) == WIRE_CODE_NONE);
    check(wire_code_reason(WIRE_CODE_NO_SERVICE, REASON_RESET) == REASON_NO_SERVICE);
    check(wire_code_reason(0xffff, REASON_RESET) == REASON_RESET);
}

TEST(no_reset_of_a_stream_that_served_looks_like_a_refusal)
{
    check(wire_code_of_reset(REASON_IDLE_TIMEOUT) == WIRE_CODE_IDLE_TIMEOUT);
    for (int reason = 0; reason < REASON_COUNT; reason++) {
        uint64_t code = wire_code_of_reset((enum reason)reason);

        check(code == WIRE_CODE_NONE || code >= WIRE_CODE_RESET);
    }
}
