#include "core/option.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "core/mem.h"
#include "tests/unit/test.h"

struct sample {
    uint64_t duration, size;
    uint32_t count;
    bool flag;
    int word;
    char *text, *path;
    char name[9];
    struct text_list list;
    struct addr_list addrs;
    struct bind_list binds;
    struct cidr_list cidrs;
    struct rate rate;
};

static const struct option_choice words[] = {
    {"one", 1, false},
    {"two", 2, false},
    {"six", 6, true },
    {NULL,  0, false},
};

/* clang-format off */
static const struct option rows[] = {
    OPTION(duration, sample, duration, "duration", "1s", OPTION_MS, OPTION_HOUR, RELOAD_NEW, ""),
    OPTION(size, sample, size, "size", "1k", 1, UINT64_MAX, RELOAD_NEW, ""),
    OPTION(count, sample, count, "count", "3", 2, 5, RELOAD_NEW, "", .choices = words),
    OPTION(boolean, sample, flag, "flag", "yes", 0, 0, RELOAD_NEW, ""),
    OPTION(choice, sample, word, "word", "two", 0, 0, RELOAD_NEW, "", .choices = words),
    OPTION(text, sample, text, "text", "t", 1, 8, RELOAD_NEW, ""),
    OPTION(path, sample, path, "path", "p", 1, 8, RELOAD_NEW, "", .choices = words),
    OPTION(name, sample, name, "name", "n", 1, 8, RELOAD_NEW, ""),
    OPTION(list, sample, list, "list", NULL, 0, 3, RELOAD_NEW, "", .repeatable = true),
    OPTION(addrs, sample, addrs, "addrs", NULL, 0, 2, RELOAD_NEW, "", .repeatable = true),
    OPTION(binds, sample, binds, "binds", NULL, 0, 3, RELOAD_NEW, "", .repeatable = true),
    OPTION(cidrs, sample, cidrs, "cidrs", NULL, 0, 3, RELOAD_NEW, "", .repeatable = true),
    OPTION(rate, sample, rate, "rate", NULL, 0, 0, RELOAD_NEW, ""),
    OPTION(count, sample, count, "workers", "1", 1, 1, RELOAD_NEW, "", .later_above = true),
};
/* clang-format on */

static struct sample sample;
static struct option_input input;

static bool takes(const char *name, const char *value)
{
    const struct option *option = option_find(rows, ARRAY_COUNT(rows), name);

    input = (struct option_input){.value = value, .file = "/etc/file.ini"};
    return option_set(option, &input, &sample) == 0;
}

static bool refuses(const char *name, const char *value, const char *message)
{
    return !takes(name, value) && strcmp(input.error, message) == 0;
}

static void sample_release(void)
{
    option_release(rows, ARRAY_COUNT(rows), &sample);
}

TEST(durations_need_a_unit)
{
    check(takes("duration", "250ms") && sample.duration == 250 * OPTION_MS);
    check(takes("duration", "1500us") && sample.duration == 1500 * OPTION_US);
    check(takes("duration", "5m") && sample.duration == 5 * OPTION_MINUTE);
    check(takes("duration", "1h") && sample.duration == OPTION_HOUR);
    check(refuses("duration", "5", "duration: 5 is not a duration (50us 250ms 10s 5m 24h)"));
    check(!takes("duration", "s") && !takes("duration", "1.5s") && !takes("duration", "-1s"));
    check(!takes("duration", "1 s") && !takes("duration", "1S") && !takes("duration", "+1s"));
}

TEST(bounds_are_named_in_the_unit_that_people_use)
{
    check(takes("duration", "1ms") && takes("duration", "3600s"));
    check(refuses("duration", "999us", "duration: 999us is less than 1ms"));
    check(refuses("duration", "3601s", "duration: 3601s is more than 1h"));
    check(refuses("count", "1", "count: 1 is less than 2"));
    check(refuses("count", "6", "count: 6 is more than 5"));
    check(refuses("workers", "2", "not in this version: workers = 2"));
}

TEST(sizes_are_bytes_or_powers_of_1024)
{
    check(takes("size", "1") && sample.size == 1);
    check(takes("size", "64k") && sample.size == 65536);
    check(takes("size", "8m") && sample.size == 8 * OPTION_MIB);
    check(takes("size", "2g") && sample.size == 2 * OPTION_GIB);
    check(!takes("size", "1kb") && !takes("size", "0x10") && !takes("size", "k"));
}

TEST(numbers_too_large_to_hold_are_refused)
{
    check(takes("size", "18446744073709551615") && sample.size == UINT64_MAX);
    check(!takes("size", "18446744073709551616") && !takes("size", "99999999999999999999999"));
    check(!takes("size", "18014398509481984k") && !takes("count", "4294967299"));
}

TEST(words_may_stand_where_numbers_do)
{
    check(takes("count", "one") && sample.count == 1);
    check(takes("word", "one") && sample.word == 1);
    check(refuses("word", "six", "not in this version: word = six"));
    check(refuses("word", "seven", "word: seven is none of: one two"));
    check(!takes("word", "One") && !takes("word", "1"));
}

TEST(switches_know_six_words)
{
    check(takes("flag", "yes") && sample.flag && takes("flag", "no") && !sample.flag);
    check(takes("flag", "on") && sample.flag && takes("flag", "off") && !sample.flag);
    check(takes("flag", "true") && sample.flag && takes("flag", "false") && !sample.flag);
    check(refuses("flag", "1", "flag: 1 is none of: yes no on off true false"));
}

TEST(texts_replace_what_was_there_and_have_a_length)
{
    check(takes("text", "first") && takes("text", "12345678"));
    check(strcmp(sample.text, "12345678") == 0 && !takes("text", "123456789"));
    check(takes("path", "x") && strcmp(sample.path, "/etc/x") == 0);
    check(takes("path", "/x") && strcmp(sample.path, "/x") == 0);
    check(takes("path", "two") && strcmp(sample.path, "two") == 0);
    sample_release();
}

TEST(names_are_letters_digits_and_three_signs)
{
    check(takes("name", "a-B_9.z") && strcmp(sample.name, "a-B_9.z") == 0);
    check(takes("name", "12345678") && !takes("name", "123456789"));
    check(!takes("name", "a b") && !takes("name", "a/b") && !takes("name", "\xc3\xa9"));
    check(option_name_valid("x") && !option_name_valid(""));
}

TEST(lists_grow_by_commas_and_by_repeating)
{
    check(takes("list", "a, b") && takes("list", "c") && sample.list.count == 3);
    check(strcmp(sample.list.items[1], "b") == 0 && strcmp(sample.list.items[2], "c") == 0);
    check(refuses("list", "d", "list: more than 3 of them"));
    sample_release();
    check(!takes("list", "a,,b"));
    sample_release();
    check(!takes("list", "a b") && !takes("list", ","));
    sample_release();
}

TEST(addresses_are_numeric_and_end_in_a_port)
{
    check(takes("addrs", "127.0.0.1:80") && takes("addrs", "[::1]:443"));
    check(sample.addrs.count == 2 && addr_port(&sample.addrs.items[1]) == 443);
    check(refuses("addrs", "127.0.0.1:81", "addrs: more than 2 of them"));
    sample_release();
    check(!takes("addrs", "localhost:80") && !takes("addrs", "127.0.0.1") && !takes("addrs", "80"));
    check(!takes("addrs", "unix:/x") && !takes("addrs", "0.0.0.0:1-9"));
    sample_release();
}

TEST(binds_are_addresses_runs_of_ports_and_paths)
{
    check(takes("binds", "[::]:10000-20000") && takes("binds", "unix:/x   mode=0660"));
    check(takes("binds", "127.0.0.1:80"));
    check(addr_port(&sample.binds.items[0].addr) == 10000);
    check(sample.binds.items[0].last_port == 20000 && sample.binds.items[2].last_port == 80);
    check(addr_family(&sample.binds.items[1].addr) == AF_UNIX);
    check(sample.binds.items[1].mode == 0660 && sample.binds.items[1].last_port == 0);
    check(refuses("binds", "127.0.0.1:81", "binds: more than 3 of them"));
    sample_release();
}

TEST(binds_refuse_what_is_neither)
{
    static const char *const wrong[] = {"0.0.0.0:9-8",
                                        "0.0.0.0:0-8",
                                        "0.0.0.0:1-65536",
                                        "0.0.0.0:1-",
                                        "0.0.0.0:-9",
                                        "0.0.0.0:1-9-10",
                                        "a:1-9",
                                        "0.0.0.0:1 mode=0660",
                                        "unix:",
                                        "unix:/x mode=660",
                                        "unix:/x mode=0",
                                        "unix:/x mode=01000",
                                        "unix:/x mode=08",
                                        "unix:/x mode=0660 x",
                                        "unix:/x owner=root"};

    for (size_t i = 0; i < ARRAY_COUNT(wrong); i++)
        check(!takes("binds", wrong[i]));
    sample_release();
}

TEST(networks_grow_by_commas_and_by_repeating)
{
    check(takes("cidrs", "10.0.0.0/8, ::1") && takes("cidrs", "192.0.2.1"));
    check(sample.cidrs.count == 3 && sample.cidrs.items[1].length == 128);
    check(refuses("cidrs", "10.0.0.0/8", "cidrs: more than 3 of them"));
    sample_release();
    check(refuses("cidrs", "10.0.0.1/8", "cidrs: 10.0.0.1/8 has bits behind its length"));
    check(!takes("cidrs", "10.0.0.0/8,") && !takes("cidrs", "host"));
    sample_release();
}

TEST(a_rate_has_a_unit_and_perhaps_a_burst)
{
    check(takes("rate", "100/s") && sample.rate.interval_ns == 10 * OPTION_MS);
    check(sample.rate.burst == 100);
    check(takes("rate", "6/m") && sample.rate.interval_ns == 10 * OPTION_SECOND);
    check(sample.rate.burst == 1);
    check(takes("rate", "100/s burst=200") && sample.rate.burst == 200);
    check(!takes("rate", "100") && !takes("rate", "0/s") && !takes("rate", "1/d"));
    check(!takes("rate", "1/s burst=0") && !takes("rate", "1/s burst=2x") &&
          !takes("rate", "1/sx"));
    check(!takes("rate", "1/s burst=1000001") && !takes("rate", "99999999999999999999/s"));
}

TEST(defaults_fill_every_field_and_survive_any_failed_allocation)
{
    for (uint64_t n = 1;; n++) {
        struct sample fresh = {0};
        bool failed;
        int rc;

        mem_count(true);
        mem_fail_at(n);
        rc = option_set_standards(rows, ARRAY_COUNT(rows), &fresh);
        failed = mem_failed();
        mem_fail_at(0);
        option_release(rows, ARRAY_COUNT(rows), &fresh);
        check(mem_live() == 0);
        mem_count(false);
        check(rc == (failed ? -ENOMEM : 0));
        if (!failed) {
            check(fresh.duration == OPTION_SECOND && fresh.word == 2 && fresh.flag);
            break;
        }
    }
}
