#include "core/addr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include "tests/unit/test.h"

TEST(text_that_is_an_address_survives_parse_and_format)
{
    static const char *const texts[] = {
        "192.0.2.1:80",        "0.0.0.0:0",     "255.255.255.255:65535", "[::]:0",
        "[2001:db8::1]:65535", "[::1]:1",       "[fe80::1%3]:443",       "[::ffff:192.0.2.1]:7",
        "unix:/run/x.sock",    "unix:relative",
    };

    for (size_t i = 0; i < ARRAY_COUNT(texts); i++) {
        char text[ADDR_TEXT_SIZE];
        struct addr addr;

        check(addr_parse(&addr, texts[i]) == 0);
        check(strcmp(addr_format(&addr, text), texts[i]) == 0);
    }
}

TEST(text_that_is_no_address_is_refused)
{
    static const char *const texts[] = {
        "",
        ":",
        ":80",
        "192.0.2.1",
        "192.0.2.1:",
        "192.0.2.1:65536",
        "1.2.3:80",
        "1.2.3.4:+1",
        "1.2.3.4: 1",
        "1.2.3.4:80x",
        "1.2.3.4:-1",
        "1.2.3.4:8:0",
        "::1:80",
        "[::1]",
        "[::1]80",
        "[::1]:",
        "[]:80",
        "[::1:80",
        "[1.2.3.4]:80",
        "host:80",
        "[::1%]:80",
        "[::1%x]:80",
        "[::g]:80",
        " 1.2.3.4:80",
        "unix:",
        "1.2.3.4:99999999999999999999",
        "[1:2:3:4:5:6:7:8:9]:80",
        "[fe80::1%4294967296]:1",
    };

    for (size_t i = 0; i < ARRAY_COUNT(texts); i++) {
        struct addr addr;

        check(addr_parse(&addr, texts[i]) == -EINVAL);
    }
}

TEST(a_path_up_to_the_kernels_limit_is_an_address)
{
    char path[109], text[ADDR_TEXT_SIZE];
    struct addr addr;

    memset(path, 'x', sizeof(path));
    path[107] = '\0';
    check(addr_from_path(&addr, path) == 0);
    check(addr_family(&addr) == AF_UNIX && addr_port(&addr) == 0);
    check(strlen(addr_format(&addr, text)) == 107 + 5);
    path[107] = 'x';
    path[108] = '\0';
    check(addr_from_path(&addr, path) == -ENAMETOOLONG);
    check(addr_from_path(&addr, "") == -EINVAL);
}

TEST(an_unnamed_and_an_abstract_unix_address_have_a_text)
{
    struct sockaddr_un local = {.sun_family = AF_UNIX, .sun_path = "\0name"};
    socklen_t base = offsetof(struct sockaddr_un, sun_path);
    char text[ADDR_TEXT_SIZE];
    struct addr addr;

    addr_from_sockaddr(&addr, (struct sockaddr *)&local, base);
    check(strcmp(addr_format(&addr, text), "unix:") == 0);
    addr_from_sockaddr(&addr, (struct sockaddr *)&local, base + 5);
    check(strcmp(addr_format(&addr, text), "unix:@name") == 0);
}

TEST(no_address_has_a_text_and_no_family)
{
    struct addr addr = {0};
    char text[ADDR_TEXT_SIZE];

    check(addr_family(&addr) == AF_UNSPEC && addr_port(&addr) == 0 && !addr_is_wildcard(&addr));
    check(strcmp(addr_format(&addr, text), "-") == 0);
    check(strcmp(addr_format_host(&addr, text), "-") == 0);
    check(addr_equal(&addr, &addr));
}

TEST(a_host_is_formatted_without_brackets_and_port)
{
    char text[ADDR_TEXT_SIZE];
    struct addr addr;

    check(addr_from_host(&addr, "2001:db8::1", 80) == 0);
    check(strcmp(addr_format_host(&addr, text), "2001:db8::1") == 0);
    check(addr_from_host(&addr, "192.0.2.1", 80) == 0);
    check(strcmp(addr_format_host(&addr, text), "192.0.2.1") == 0);
    check(addr_from_host(&addr, "example.org", 80) == -EINVAL);
}

TEST(the_port_can_be_read_and_changed)
{
    struct addr four, six;

    check(addr_parse(&four, "192.0.2.1:80") == 0 && addr_parse(&six, "[::1]:80") == 0);
    check(addr_port(&four) == 80 && addr_port(&six) == 80);
    addr_set_port(&four, 81);
    addr_set_port(&six, 65535);
    check(addr_port(&four) == 81 && addr_port(&six) == 65535);
}

TEST(only_the_unspecified_addresses_are_wildcards)
{
    struct addr addr;

    check(addr_parse(&addr, "0.0.0.0:80") == 0 && addr_is_wildcard(&addr));
    check(addr_parse(&addr, "[::]:80") == 0 && addr_is_wildcard(&addr));
    check(addr_parse(&addr, "127.0.0.1:80") == 0 && !addr_is_wildcard(&addr));
    check(addr_parse(&addr, "unix:/x") == 0 && !addr_is_wildcard(&addr));
}

TEST(addresses_are_equal_exactly_when_their_texts_are)
{
    static const char *const texts[] = {
        "192.0.2.1:80", "192.0.2.1:81", "192.0.2.2:80",   "[::1]:80", "[::1]:81",
        "[::2]:80",     "[fe80::1]:80", "[fe80::1%1]:80", "unix:/a",  "unix:/ab",
    };

    for (size_t i = 0; i < ARRAY_COUNT(texts); i++) {
        for (size_t j = 0; j < ARRAY_COUNT(texts); j++) {
            struct addr a, b;

            check(addr_parse(&a, texts[i]) == 0 && addr_parse(&b, texts[j]) == 0);
            check(addr_equal(&a, &b) == (i == j));
            check((addr_hash(&a, 1) == addr_hash(&b, 1)) == (i == j));
        }
    }
}

TEST(flow_labels_and_padding_do_not_make_addresses_differ)
{
    struct addr a, b;

    check(addr_parse(&a, "[2001:db8::1]:80") == 0);
    b = a;
    b.in6.sin6_flowinfo = htonl(7);
    check(addr_equal(&a, &b) && addr_hash(&a, 3) == addr_hash(&b, 3));
    check(addr_parse(&a, "192.0.2.1:80") == 0);
    b = a;
    memset(b.in4.sin_zero, 1, sizeof(b.in4.sin_zero));
    check(addr_equal(&a, &b) && addr_hash(&a, 3) == addr_hash(&b, 3));
}

TEST(hashes_depend_on_the_seed_and_spread_over_buckets)
{
    uint32_t buckets[256] = {0};
    struct addr addr;

    check(addr_parse(&addr, "10.0.0.1:1") == 0);
    check(addr_hash(&addr, 1) != addr_hash(&addr, 2));
    for (uint32_t i = 0; i < 65536; i++) { /* one host, all ports: the usual load test */
        addr_set_port(&addr, (uint16_t)i);
        buckets[addr_hash(&addr, 42) % 256]++;
    }
    for (int i = 0; i < 256; i++)
        check(buckets[i] > 150 && buckets[i] < 370); /* 256 expected */
}

TEST(host_and_port_are_cut_where_they_meet)
{
    static const struct {
        const char *text, *host;
        uint16_t port;
    } rows[] = {
        {"example.org:443", "example.org", 443  },
        {"example.org",     "example.org", 0    },
        {"a:1",             "a",           1    },
        {"192.0.2.1:65535", "192.0.2.1",   65535},
        {"[::1]:80",        "::1",         80   },
        {"[::1]",           "::1",         0    },
        {"a-b_c.D9.",       "a-b_c.D9.",   0    },
    };

    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        char host[256];
        uint16_t port = 9;

        check(host_port_split(rows[i].text, host, &port) == 0);
        check(strcmp(host, rows[i].host) == 0 && port == rows[i].port);
    }
}

TEST(a_malformed_host_or_port_is_refused)
{
    static const char *const texts[] = {
        "",         ":80",      "host:",   "host:0",    "host:65536", "host:a",
        "ho st:80", "ho/st:80", "h\x80:1", "a..b:80",   ".a:80",      ".",
        "[::1]:0",  "[::1",     "[x]:80",  "[1.2.3.4]", "::1",        "a:b:1",
        "[a.b]:1",  "a\n:80",   "a@b:80",  "[::1]x:80",
    };

    for (size_t i = 0; i < ARRAY_COUNT(texts); i++) {
        char host[256];
        uint16_t port;

        check(host_port_split(texts[i], host, &port) == -EINVAL);
    }
}

TEST(a_host_of_253_bytes_is_the_longest)
{
    char text[300], host[256];
    uint16_t port;

    for (int i = 0; i < 254; i++)
        text[i] = i % 50 == 49 ? '.' : 'a';
    snprintf(text + 253, 8, ":80");
    check(host_port_split(text, host, &port) == 0 && strlen(host) == 253 && port == 80);
    snprintf(text + 253, 8, "a:80");
    check(host_port_split(text, host, &port) == -EINVAL);
    memset(text, 'a', 64);
    text[64] = '\0';
    check(host_port_split(text, host, &port) == -EINVAL);
    text[63] = '\0';
    check(host_port_split(text, host, &port) == 0);
}
