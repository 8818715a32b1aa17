#include "core/cidr.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/test.h"

static bool holds(const char *network, const char *host)
{
    struct cidr cidr;
    struct addr addr;

    return cidr_parse(&cidr, network) == 0 && addr_from_host(&addr, host, 80) == 0 &&
           cidr_holds(&cidr, &addr);
}

TEST(a_network_holds_what_shares_its_bits_and_nothing_else)
{
    check(holds("10.0.0.0/8", "10.255.255.255") && !holds("10.0.0.0/8", "11.0.0.0"));
    check(holds("192.0.2.4/31", "192.0.2.5") && !holds("192.0.2.4/31", "192.0.2.6"));
    check(holds("192.0.2.4", "192.0.2.4") && !holds("192.0.2.4", "192.0.2.5"));
    check(holds("0.0.0.0/0", "203.0.113.9") && !holds("0.0.0.0/0", "2001:db8::1"));
    check(holds("2001:db8::/33", "2001:db8:7fff::1") && !holds("2001:db8::/33", "2001:db8:8000::"));
    check(holds("::/0", "2001:db8::1") && !holds("::/0", "192.0.2.1"));
}

TEST(an_ipv4_address_inside_ipv6_counts_as_ipv4)
{
    check(holds("10.0.0.0/8", "::ffff:10.1.2.3"));
    check(!holds("::/0", "::ffff:10.1.2.3"));
}

TEST(a_unix_address_is_in_no_network)
{
    struct cidr all4, all6;
    struct addr addr;

    check(cidr_parse(&all4, "0.0.0.0/0") == 0 && cidr_parse(&all6, "::/0") == 0);
    check(addr_from_path(&addr, "/x") == 0);
    check(!cidr_holds(&all4, &addr) && !cidr_holds(&all6, &addr));
}

TEST(what_is_no_network_is_refused)
{
    static const char *const wrong[] = {"",
                                        "/",
                                        "10.0.0.0/",
                                        "10.0.0.0/33",
                                        "10.0.0/8",
                                        "10.0.0.0/-1",
                                        "10.0.0.0/08x",
                                        "10.0.0.0/ 8",
                                        "::/129",
                                        "2001:db8::/",
                                        "[::]/0",
                                        "localhost",
                                        "10.0.0.0/0008",
                                        "10.0.0.1:80"};
    struct cidr cidr;

    for (size_t i = 0; i < ARRAY_COUNT(wrong); i++)
        check(cidr_parse(&cidr, wrong[i]) == -EINVAL);
    check(cidr_parse(&cidr, "10.0.0.1/8") == -EDOM);
    check(cidr_parse(&cidr, "2001:db8::1/64") == -EDOM);
}

TEST(a_network_reads_back_as_it_was_written)
{
    static const char *const networks[] = {"10.0.0.0/8", "192.0.2.1/32", "2001:db8::/32", "::/0"};
    char text[CIDR_TEXT_SIZE];
    struct cidr cidr;

    for (size_t i = 0; i < ARRAY_COUNT(networks); i++) {
        check(cidr_parse(&cidr, networks[i]) == 0);
        check(strcmp(cidr_format(&cidr, text), networks[i]) == 0);
    }
}

/* A model that compares bit by bit. */
TEST(every_length_agrees_with_a_bitwise_model)
{
    srand(1);
    for (int turn = 0; turn < 20000; turn++) {
        struct cidr cidr = {.family = AF_INET, .length = (uint8_t)(rand() % 33)};
        uint32_t network = (uint32_t)rand() * 3u, host = network ^ (1u << rand() % 32);
        uint32_t mask = cidr.length ? ~0u << (32 - cidr.length) : 0;
        struct addr addr = {.length = sizeof(struct sockaddr_in)};

        addr.in4.sin_family = AF_INET;
        addr.in4.sin_addr.s_addr = htonl(host);
        network = htonl(network & mask);
        memcpy(cidr.bytes, &network, 4);
        check(cidr_holds(&cidr, &addr) == ((host & mask) == ntohl(network)));
    }
}
