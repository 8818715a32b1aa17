/* What a line looks like, whatever the values in it. */
#include "core/log_format.h"

#include <string.h>
#include <time.h>

#include "core/addr.h"
#include "core/log.h"
#include "tests/unit/test.h"

static char caught[LOG_LINE_SIZE + 1];
static size_t caught_count;
static enum log_level caught_level;

static void catch_line(void *context, enum log_level level, const char *line, size_t length)
{
    memcpy(caught, line, length);
    caught[length] = '\0';
    caught_level = level;
    caught_count++;
}

static uint64_t fixed_time(void *context)
{
    return *(uint64_t *)context;
}

static uint64_t now_ms = UINT64_C(1769903999123); /* 2026-01-31T23:59:59.123Z */

static struct log *sink_log(enum log_format format, struct log_source **source)
{
    struct log_options options = {.level = LOG_INFO,
                                  .format = format,
                                  .sink = catch_line,
                                  .wall_ms = fixed_time,
                                  .wall_context = &now_ms};
    int error;
    struct log *log = log_open(&options, &error);

    *source = log ? log_source_new(log) : NULL;
    caught_count = 0;
    return log;
}

TEST(a_text_line_is_time_level_event_and_fields)
{
    struct log_source *source;
    struct log *log = sink_log(LOG_FORMAT_TEXT, &source);
    struct addr addr;

    check(log && source && addr_parse(&addr, "[::1]:80") == 0);
    LOG(source, LOG_INFO, "tunnel client registered", LOG_TEXT("client", "web-1"),
        LOG_ADDR("address", &addr), LOG_NUMBER("streams", -7));
    check(strcmp(caught, "2026-01-31T23:59:59.123Z info  tunnel client registered client=web-1 "
                         "address=[::1]:80 streams=-7") == 0);
    check(caught_level == LOG_INFO);
    LOG(source, LOG_ERROR, "no fields");
    check(strcmp(caught, "2026-01-31T23:59:59.123Z error no fields") == 0);
    log_close(&log);
    check(!log);
}

TEST(a_json_line_is_one_object)
{
    struct log_source *source;
    struct log *log = sink_log(LOG_FORMAT_JSON, &source);
    struct addr addr;

    check(log && source && addr_parse(&addr, "192.0.2.1:80") == 0);
    LOG(source, LOG_WARN, "it", LOG_TEXT("a", "x y"), LOG_ADDR("b", &addr),
        LOG_NUMBER("c", INT64_MIN), LOG_TEXT("d", NULL));
    check(strcmp(caught,
                 "{\"time\":\"2026-01-31T23:59:59.123Z\",\"level\":\"warn\",\"event\":\"it\","
                 "\"a\":\"x y\",\"b\":\"192.0.2.1:80\",\"c\":-9223372036854775808,"
                 "\"d\":null}") == 0);
    log_close(&log);
}

TEST(lines_below_the_level_and_without_a_source_are_not_written)
{
    struct log_source *source, *none = NULL;
    struct log *log = sink_log(LOG_FORMAT_TEXT, &source);

    check(log && source);
    LOG(source, LOG_DEBUG, "quiet");
    LOG(none, LOG_ERROR, "nowhere");
    check(caught_count == 0);
    check(log_wanted(source, LOG_INFO) && !log_wanted(source, LOG_DEBUG));
    log_close(&log);
}

TEST(values_that_could_be_mistaken_are_quoted_and_escaped_in_text)
{
    static const struct {
        const char *value, *shown;
    } rows[] = {
        {"plain-1.2:3/4",  "v=plain-1.2:3/4"        },
        {"",               "v=\"\""                 },
        {"two words",      "v=\"two words\""        },
        {"a=b",            "v=\"a=b\""              },
        {"say \"x\"",      "v=\"say \\\"x\\\"\""    },
        {"back\\slash",    "v=\"back\\\\slash\""    },
        {"line\nfeed\r\t", "v=\"line\\nfeed\\r\\t\""},
        {"\x1b[31m\x7f",   "v=\"\\x1b[31m\\x7f\""   },
        {"\xc3\xa9",       "v=\"\\xc3\\xa9\""       },
        {NULL,             "v=-"                    },
    };
    struct log_source *source;
    struct log *log = sink_log(LOG_FORMAT_TEXT, &source);

    check(log && source);
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        LOG(source, LOG_INFO, "e", LOG_TEXT("v", rows[i].value));
        check(strcmp(caught + strlen("2026-01-31T23:59:59.123Z info  e "), rows[i].shown) == 0);
    }
    log_close(&log);
}

TEST(json_values_are_ascii_and_what_is_not_utf8_is_replaced)
{
    static const struct {
        const char *value, *shown;
    } rows[] = {
        {"a\"\\\n",          "\"a\\\"\\\\\\n\"}"                },
        {"\x01\x7f",         "\"\\u0001\\u007f\"}"              },
        {"\xc3\xa9",         "\"\\u00e9\"}"                     },
        {"\xe2\x82\xac",     "\"\\u20ac\"}"                     },
        {"\xf0\x9f\x98\x80", "\"\\ud83d\\ude00\"}"              },
        {"\xf4\x8f\xbf\xbf", "\"\\udbff\\udfff\"}"              },
        {"\xff",             "\"\\ufffd\"}"                     },
        {"\xc0\x80",         "\"\\ufffd\\ufffd\"}"              }, /* overlong NUL */
        {"\xed\xa0\x80",     "\"\\ufffd\\ufffd\\ufffd\"}"       }, /* a surrogate */
        {"\xf4\x90\x80\x80", "\"\\ufffd\\ufffd\\ufffd\\ufffd\"}"},
        {"\xe2\x82",         "\"\\ufffd\\ufffd\"}"              }, /* cut */
    };
    const size_t skip = strlen("{\"time\":\"2026-01-31T23:59:59.123Z\",\"level\":\"info\","
                               "\"event\":\"e\",\"v\":");
    struct log_source *source;
    struct log *log = sink_log(LOG_FORMAT_JSON, &source);

    check(log && source);
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        LOG(source, LOG_INFO, "e", LOG_TEXT("v", rows[i].value));
        check(strcmp(caught + skip, rows[i].shown) == 0);
    }
    log_close(&log);
}

static bool line_is_printable(const char *line, size_t length)
{
    for (size_t i = 0; i + 1 < length; i++) {
        if (line[i] < 0x20 || line[i] > 0x7e)
            return false;
    }
    return line[length - 1] == '\n';
}

TEST(any_bytes_make_one_printable_line_that_fits)
{
    static char values[4][3000];
    uint32_t random = 1;

    for (int round = 0; round < 2000; round++) {
        struct log_field fields[4];
        struct log_record record = {LOG_INFO, now_ms, "event", fields, 4};
        char line[LOG_LINE_SIZE];

        for (int i = 0; i < 4; i++) {
            size_t length = (random >> 8) % sizeof(values[i]);

            for (size_t at = 0; at < length; at++) {
                random = random * 1664525u + 1013904223u;
                values[i][at] = (char)((random >> 24) | !(random >> 24));
            }
            values[i][length] = '\0';
            fields[i] = LOG_TEXT("field", values[i]);
        }
        for (int format = LOG_FORMAT_TEXT; format <= LOG_FORMAT_JSON; format++) {
            size_t length = log_format_line(line, format, &record);

            check(length <= LOG_LINE_SIZE && line_is_printable(line, length));
            check(format == LOG_FORMAT_TEXT || memcmp(line + length - 2, "}\n", 2) == 0);
        }
    }
}

TEST(fields_that_do_not_fit_are_left_out_whole_and_the_line_says_so)
{
    static char value[2000];
    struct log_field fields[6];
    struct log_record record = {LOG_INFO, now_ms, "event", fields, 6};
    char line[LOG_LINE_SIZE];
    size_t length;

    memset(value, 'x', sizeof(value) - 1);
    for (int i = 0; i < 6; i++)
        fields[i] = LOG_TEXT("field", value);
    length = log_format_line(line, LOG_FORMAT_JSON, &record);
    check(memcmp(line + length - strlen("xxx...\",\"cut\":1}\n"), "xxx...\",\"cut\":1}\n", 17) ==
          0);
    length = log_format_line(line, LOG_FORMAT_TEXT, &record);
    check(memcmp(line + length - strlen("xxx... cut=1\n"), "xxx... cut=1\n", 13) == 0);
}

TEST(times_agree_with_gmtime_over_four_centuries)
{
    struct log_record record = {.level = LOG_INFO, .event = "e"};

    for (uint64_t second = 0; second < UINT64_C(400) * 366 * 86400; second += UINT64_C(604793)) {
        char line[LOG_LINE_SIZE], expected[64];
        time_t time = (time_t)second;
        struct tm tm;

        record.wall_ms = second * 1000;
        check(log_format_line(line, LOG_FORMAT_TEXT, &record) > 24 && gmtime_r(&time, &tm));
        strftime(expected, sizeof(expected), "%Y-%m-%dT%H:%M:%S.000Z", &tm);
        check(memcmp(line, expected, strlen(expected)) == 0);
    }
}
