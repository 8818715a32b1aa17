#include "relay/rate_table.h"

#include <stdlib.h>

#include "tests/unit/test.h"

static const struct rate ten_a_second = {.interval_ns = 100 * OPTION_MS, .burst = 10};

static struct addr addr_of(const char *host, uint16_t port)
{
    struct addr addr;

    must(addr_from_host(&addr, host, port) == 0);
    return addr;
}

static uint32_t take_all(struct rate_table *table, const struct addr *source, uint64_t now_ns)
{
    uint32_t taken = 0;

    while (rate_table_take(table, source, now_ns))
        taken++;
    return taken;
}

TEST(a_burst_goes_at_once_and_then_one_an_interval)
{
    struct rate_table *table = rate_table_new(&ten_a_second, 7);
    struct addr source = addr_of("192.0.2.1", 1);

    check(table && take_all(table, &source, OPTION_SECOND) == 10);
    check(take_all(table, &source, OPTION_SECOND + 99 * OPTION_MS) == 0);
    check(take_all(table, &source, OPTION_SECOND + 100 * OPTION_MS) == 1);
    check(take_all(table, &source, OPTION_SECOND + 450 * OPTION_MS) == 3);
    check(take_all(table, &source, OPTION_HOUR) == 10);
    rate_table_free(&table);
}

TEST(ports_and_the_lower_half_of_ipv6_do_not_count)
{
    struct rate_table *table = rate_table_new(&ten_a_second, 7);
    struct addr a = addr_of("192.0.2.1", 1), b = addr_of("192.0.2.1", 2);
    struct addr c = addr_of("2001:db8::1", 1), d = addr_of("2001:db8::ffff:1", 2);
    struct addr other4 = addr_of("192.0.2.2", 1), other6 = addr_of("2001:db8:0:1::1", 1);

    check(table && take_all(table, &a, 1) == 10 && take_all(table, &b, 1) == 0);
    check(take_all(table, &c, 1) == 10 && take_all(table, &d, 1) == 0);
    check(take_all(table, &other4, 1) == 10 && take_all(table, &other6, 1) == 10);
    rate_table_free(&table);
}

TEST(an_ipv4_source_inside_ipv6_counts_as_ipv4)
{
    struct rate_table *table = rate_table_new(&ten_a_second, 7);
    struct addr a = addr_of("::ffff:192.0.2.1", 1), b = addr_of("::ffff:192.0.2.2", 1);
    struct addr plain = addr_of("192.0.2.1", 1);

    check(table && take_all(table, &a, 1) == 10);
    check(take_all(table, &b, 1) == 10 && take_all(table, &plain, 1) == 0);
    rate_table_free(&table);
}

TEST(a_burst_of_one_lets_one_by)
{
    struct rate slow = {.interval_ns = 10 * OPTION_SECOND, .burst = 1};
    struct rate_table *table = rate_table_new(&slow, 7);
    struct addr source = addr_of("192.0.2.1", 1);

    check(table && take_all(table, &source, OPTION_SECOND) == 1);
    check(take_all(table, &source, 10 * OPTION_SECOND) == 0);
    check(take_all(table, &source, 11 * OPTION_SECOND) == 1);
    rate_table_free(&table);
}

/* A token bucket as the textbook has it, in whole intervals of time. */
TEST(every_history_agrees_with_a_token_bucket)
{
    srand(3);
    for (int turn = 0; turn < 200; turn++) {
        struct rate rate = {.interval_ns = 1000, .burst = (uint32_t)(1 + rand() % 20)};
        struct rate_table *table = rate_table_new(&rate, (uint64_t)rand());
        struct addr source = addr_of("2001:db8::1", 1);
        uint64_t now_ns = 1000000, filled_ns = now_ns - rate.burst * 1000u;

        check(table);
        for (int step = 0; step < 500; step++) {
            bool may;

            now_ns += (uint64_t)(rand() % 2000);
            if (now_ns - filled_ns > rate.burst * 1000u)
                filled_ns = now_ns - rate.burst * 1000u;
            may = now_ns - filled_ns >= 1000;
            check(rate_table_take(table, &source, now_ns) == may);
            if (may)
                filled_ns += 1000;
        }
        rate_table_free(&table);
    }
}

TEST(a_full_table_forgets_rather_than_refuses)
{
    struct rate_table *table = rate_table_new(&ten_a_second, 7);
    struct addr source = addr_of("10.0.0.0", 1);

    check(table);
    for (uint32_t i = 0; i < 200000; i++) {
        source.in4.sin_addr.s_addr = htonl(0x0a000000 + i);
        check(rate_table_take(table, &source, OPTION_SECOND));
    }
    rate_table_free(&table);
}
