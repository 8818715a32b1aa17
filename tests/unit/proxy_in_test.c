#include "relay/proxy_in.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "relay/proxy_header.h"
#include "tests/unit/test.h"

static struct proxy_in in;

static int parse_text(const char *text)
{
    return proxy_in_parse((const uint8_t *)text, strlen(text), ACCEPT_PROXY_ANY, &in);
}

static struct addr addr_of(const char *text)
{
    struct addr addr;

    must(addr_parse(&addr, text) == 0);
    return addr;
}

TEST(version_1_says_who_and_where_to)
{
    struct addr source = addr_of("192.0.2.1:40000"), destination = addr_of("198.51.100.2:443");

    check(parse_text("PROXY TCP4 192.0.2.1 198.51.100.2 40000 443\r\nGET") == 45);
    check(addr_equal(&in.source, &source) && addr_equal(&in.destination, &destination));
    check(parse_text("PROXY TCP6 2001:db8::1 ::1 1 2\r\n") == 32);
    check(addr_family(&in.source) == AF_INET6 && addr_port(&in.destination) == 2);
}

TEST(version_1_may_know_nobody)
{
    check(parse_text("PROXY UNKNOWN\r\n") == 15 && !in.source.length);
    check(parse_text("PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n") == 35 && !in.source.length);
}

TEST(wrong_lines_are_refused)
{
    static const char *const wrong[] = {
        "PROXY TCP4 192.0.2.1 198.51.100.2 40000 443\n",
        "PROXY TCP4 192.0.2.1 198.51.100.2 40000\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.2 40000 443 1\r\n",
        "PROXY TCP4 192.0.2.1  198.51.100.2 40000 443\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.2 40000 65536\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.2 040 443\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.2 -1 443\r\n",
        "PROXY TCP4 ::1 ::1 1 2\r\n",
        "PROXY TCP6 192.0.2.1 198.51.100.2 1 2\r\n",
        "PROXY TCP6 fe80::1%1 ::1 1 2\r\n",
        "PROXY TCP5",
        "PROXY UDP4 ",
        "PROXY  TCP4",
        "PROXY UNKNOWNX\r\n",
        "PROXY \r\n",
        "PROXY UNKNOWN \x01",
        "proxy ",
        "GET / HTTP/1.1\r\n",
    };

    for (size_t i = 0; i < ARRAY_COUNT(wrong); i++)
        check(parse_text(wrong[i]) == -EPROTO);
}

TEST(a_line_without_end_is_refused_at_107_bytes)
{
    char line[128];

    memset(line, 'x', sizeof(line));
    memcpy(line, "PROXY UNKNOWN ", 14);
    check(proxy_in_parse((uint8_t *)line, 106, ACCEPT_PROXY_ANY, &in) == 0);
    check(proxy_in_parse((uint8_t *)line, 107, ACCEPT_PROXY_ANY, &in) == -EPROTO);
    memcpy(line + 105, "\r\n", 2);
    check(proxy_in_parse((uint8_t *)line, 128, ACCEPT_PROXY_ANY, &in) == 107);
}

static const uint8_t v2_begin[16] = {0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51,
                                     0x55, 0x49, 0x54, 0x0a, 0x21, 0x11, 0x00, 0x0c};

/* A version 2 header of that command and family, with `length` bytes behind it. */
static int parse_v2(uint8_t command, uint8_t family, uint16_t length)
{
    static uint8_t bytes[1024];

    memset(bytes, 0, sizeof(bytes));
    memcpy(bytes, v2_begin, sizeof(v2_begin));
    bytes[12] = command;
    bytes[13] = family;
    bytes[14] = (uint8_t)(length >> 8);
    bytes[15] = (uint8_t)length;
    return proxy_in_parse(bytes, sizeof(bytes), ACCEPT_PROXY_ANY, &in);
}

TEST(version_2_is_read_by_family_and_length)
{
    check(parse_v2(0x21, 0x11, 12) == 28 && addr_family(&in.source) == AF_INET);
    check(parse_v2(0x21, 0x21, 36) == 52 && addr_family(&in.source) == AF_INET6);
    check(parse_v2(0x21, 0x11, 100) == 116 && addr_family(&in.source) == AF_INET); /* TLVs */
    check(parse_v2(0x21, 0x31, 216) == 232 && !in.source.length);
    check(parse_v2(0x21, 0x00, 7) == 23 && !in.source.length);
    check(parse_v2(0x20, 0x11, 12) == 28 && !in.source.length); /* LOCAL */
    check(parse_v2(0x21, 0x11, 11) == -EPROTO && parse_v2(0x21, 0x21, 35) == -EPROTO);
    check(parse_v2(0x22, 0x11, 12) == -EPROTO && parse_v2(0x11, 0x11, 12) == -EPROTO);
    check(parse_v2(0x21, 0x41, 12) == -EPROTO && parse_v2(0x21, 0x13, 12) == -EPROTO);
}

TEST(version_2_is_refused_above_536_bytes)
{
    check(parse_v2(0x21, 0x11, 520) == 536 && parse_v2(0x21, 0x11, 521) == -EPROTO);
    check(parse_v2(0x20, 0x00, 65535) == -EPROTO);
}

/* What we write ourselves, with random addresses. */
static size_t random_header(uint8_t header[PROXY_HEADER_MAX], bool *v1, struct addr ends[2])
{
    bool ip6 = rand() % 2;

    for (int i = 0; i < 2; i++) {
        ends[i] = addr_of(ip6 ? "[2001:db8::1]:1" : "192.0.2.1:1");
        if (ip6)
            ends[i].in6.sin6_addr.s6_addr32[3] = (uint32_t)rand();
        else
            ends[i].in4.sin_addr.s_addr = (uint32_t)rand();
        addr_set_port(&ends[i], (uint16_t)rand());
    }
    *v1 = rand() % 2;
    return *v1 ? proxy_header_v1(&ends[0], &ends[1], header)
               : proxy_header_v2(&ends[0], &ends[1], false, header);
}

TEST(every_header_reads_back_and_waits_at_every_offset)
{
    uint8_t header[PROXY_HEADER_MAX];
    struct addr ends[2];
    bool v1;

    srand(1);
    for (int turn = 0; turn < 2000; turn++) {
        size_t length = random_header(header, &v1, ends);

        for (size_t cut = 0; cut < length; cut++)
            check(proxy_in_parse(header, cut, ACCEPT_PROXY_ANY, &in) == 0);
        check(proxy_in_parse(header, length, ACCEPT_PROXY_ANY, &in) == (int)length);
        check(addr_equal(&in.source, &ends[0]) && addr_equal(&in.destination, &ends[1]));
        check(proxy_in_parse(header, length, v1 ? ACCEPT_PROXY_V2 : ACCEPT_PROXY_V1, &in) ==
              -EPROTO);
    }
}

/* Whatever stands at whatever offset: what was refused stays refused with more bytes, and a header
 * that is whole does not change with what follows it. */
TEST(a_verdict_never_changes_with_more_bytes)
{
    uint8_t bytes[PROXY_HEADER_MAX + 8] = {0};
    struct addr ends[2];
    bool v1;

    srand(2);
    for (int turn = 0; turn < 20000; turn++) {
        size_t length = random_header(bytes, &v1, ends);
        int verdict = 0;

        bytes[(size_t)rand() % length] = (uint8_t)rand();
        for (size_t cut = 0; cut <= length + 8; cut++) {
            int now = proxy_in_parse(bytes, cut, ACCEPT_PROXY_ANY, &in);

            check(!verdict || now == verdict);
            check(now <= (int)cut);
            verdict = now;
        }
    }
}

TEST(beginnings_of_headers_are_told_from_other_bytes)
{
    check(proxy_in_begins((const uint8_t *)"", 0) == PROXY_BEGIN_MAYBE);
    check(proxy_in_begins((const uint8_t *)"P", 1) == PROXY_BEGIN_MAYBE);
    check(proxy_in_begins((const uint8_t *)"PROXY", 5) == PROXY_BEGIN_MAYBE);
    check(proxy_in_begins((const uint8_t *)"PROXY ", 6) == PROXY_BEGIN_YES);
    check(proxy_in_begins((const uint8_t *)"POST /", 6) == PROXY_BEGIN_NO);
    check(proxy_in_begins(v2_begin, 11) == PROXY_BEGIN_MAYBE);
    check(proxy_in_begins(v2_begin, 12) == PROXY_BEGIN_YES);
    check(proxy_in_begins((const uint8_t *)"\r\n\r\nx", 5) == PROXY_BEGIN_NO);
}
