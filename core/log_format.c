#include "core/log_format.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/addr.h"

enum { VALUE_MAX = 1024 }; /* bytes of a value that are shown */

/* The end of every line, kept free while fields are added: `,"cut":1}` and a newline. */
enum { TAIL_ROOM = 16, BODY_SIZE = LOG_LINE_SIZE - TAIL_ROOM };

struct line {
    char *text;
    size_t length;
    bool full; /* something did not fit; length stays valid */
    bool json;
};

static const char *const level_names[] = {
    [LOG_DEBUG] = "debug", [LOG_INFO] = "info", [LOG_WARN] = "warn", [LOG_ERROR] = "error"};

static void line_add(struct line *line, const char *bytes, size_t length)
{
    if (length > BODY_SIZE - line->length) {
        line->full = true;
        return;
    }
    memcpy(line->text + line->length, bytes, length);
    line->length += length;
}

static void line_add_text(struct line *line, const char *text)
{
    line_add(line, text, strlen(text));
}

/* ---- escapes ---- */

/* Reads one character of UTF-8: its length, or 0 when these bytes are none. */
static size_t utf8_decode(const char *text, size_t length, uint32_t *character)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    uint8_t first = (uint8_t)*text;
    size_t size = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;

    if (first < 0xc0 || first > 0xf4 || size > length)
        return 0;
    *character = first & (0xffu >> (size + 1));
    for (size_t i = 1; i < size; i++) {
        if (((uint8_t)text[i] & 0xc0) != 0x80)
            return 0;
        *character = *character << 6 | ((uint8_t)text[i] & 0x3f);
    }
    if (*character < least[size] || *character > 0x10ffff || (*character >> 11) == 0x1b)
        return 0;
    return size;
}

/* Returns how many bytes were read. */
static size_t line_add_unicode(struct line *line, const char *text, size_t length)
{
    char escape[16];
    uint32_t character = 0;
    size_t size = utf8_decode(text, length, &character);

    if (!size)
        snprintf(escape, sizeof(escape), "\\ufffd");
    else if (character < 0x10000)
        snprintf(escape, sizeof(escape), "\\u%04" PRIx32, character);
    else
        snprintf(escape, sizeof(escape), "\\u%04" PRIx32 "\\u%04" PRIx32,
                 0xd7c0 + (character >> 10), 0xdc00 + (character & 0x3ff));
    line_add_text(line, escape);
    return size ? size : 1;
}

static void line_add_control(struct line *line, uint8_t byte)
{
    char escape[8];

    snprintf(escape, sizeof(escape), line->json ? "\\u%04x" : "\\x%02x", byte);
    line_add_text(line, escape);
}

static bool byte_is_plain(char byte)
{
    return byte >= ' ' && byte <= '~' && byte != '"' && byte != '\\';
}

static size_t line_add_plain(struct line *line, const char *text, size_t length)
{
    size_t plain = 0;

    while (plain < length && byte_is_plain(text[plain]))
        plain++;
    line_add(line, text, plain);
    return plain;
}

/* Adds one character that is not plain; returns how many bytes were read. */
static size_t line_add_escaped(struct line *line, const char *text, size_t length)
{
    static const char special[] = "\"\\\n\r\t", letters[] = "\"\\nrt";
    const char *found = *text ? strchr(special, *text) : NULL;
    uint8_t byte = (uint8_t)*text;

    if (found) {
        line_add(line, (char[]){'\\', letters[found - special]}, 2);
        return 1;
    }
    if (line->json && byte >= 0x80)
        return line_add_unicode(line, text, length);
    line_add_control(line, byte);
    return 1;
}

static void line_add_string(struct line *line, const char *text)
{
    size_t length = strlen(text), shown = length > VALUE_MAX ? VALUE_MAX : length;

    for (size_t at = 0; at < shown && !line->full;) {
        size_t plain = line_add_plain(line, text + at, shown - at);

        at += plain ? plain : line_add_escaped(line, text + at, shown - at);
    }
    if (shown < length)
        line_add_text(line, "...");
}

static bool text_is_bare(const char *text)
{
    if (!*text)
        return false;
    for (; *text; text++) {
        if (*text <= ' ' || *text > '~' || strchr("\"\\=", *text))
            return false;
    }
    return true;
}

static void line_add_quoted(struct line *line, const char *text)
{
    bool bare = !line->json && text_is_bare(text);

    if (!bare)
        line_add_text(line, "\"");
    line_add_string(line, text);
    if (!bare)
        line_add_text(line, "\"");
}

/* ---- parts of a line ---- */

/* Civil date of a day since 1970: the Gregorian calendar repeats every 400 years (146,097 days);
 * years are counted from March, so that the leap day is the last. */
static void date_of_day(uint64_t day, unsigned *year, unsigned *month, unsigned *date)
{
    uint64_t shifted = day + 719468, era = shifted / 146097;
    unsigned of_era = (unsigned)(shifted % 146097);
    unsigned era_year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    unsigned of_year = of_era - (365 * era_year + era_year / 4 - era_year / 100);
    unsigned march_month = (5 * of_year + 2) / 153;

    *date = of_year - (153 * march_month + 2) / 5 + 1;
    *month = march_month < 10 ? march_month + 3 : march_month - 9;
    *year = (unsigned)(era * 400) + era_year + (*month <= 2);
}

/* Writes a number in `width` digits over what stands there. */
static void digits_put(char *to, size_t width, uint64_t number)
{
    for (; width; number /= 10)
        to[--width] = "0123456789"[number % 10];
}

static void line_add_time(struct line *line, uint64_t wall_ms)
{
    uint64_t second = wall_ms / 1000 % 86400;
    char text[] = "0000-00-00T00:00:00.000Z";
    unsigned year, month, date;

    date_of_day(wall_ms / 86400000, &year, &month, &date);
    digits_put(text, 4, year);
    digits_put(text + 5, 2, month);
    digits_put(text + 8, 2, date);
    digits_put(text + 11, 2, second / 3600);
    digits_put(text + 14, 2, second / 60 % 60);
    digits_put(text + 17, 2, second % 60);
    digits_put(text + 20, 3, wall_ms % 1000);
    line_add_text(line, text);
}

static void line_add_value(struct line *line, const struct log_field *field)
{
    char text[ADDR_TEXT_SIZE];

    if (field->kind == LOG_FIELD_NUMBER) {
        snprintf(text, sizeof(text), "%" PRId64, field->number);
        line_add_text(line, text);
    } else if (field->kind == LOG_FIELD_ADDR ? !field->addr : !field->text) {
        line_add_text(line, line->json ? "null" : "-");
    } else {
        line_add_quoted(line, field->kind == LOG_FIELD_ADDR ? addr_format(field->addr, text)
                                                            : field->text);
    }
}

static void line_add_field(struct line *line, const struct log_field *field)
{
    size_t before = line->length;

    line_add_text(line, line->json ? ",\"" : " ");
    line_add_string(line, field->name);
    line_add_text(line, line->json ? "\":" : "=");
    line_add_value(line, field);
    if (line->full)
        line->length = before;
}

static void line_begin_json(struct line *line, const struct log_record *record)
{
    line_add_text(line, "{\"time\":\"");
    line_add_time(line, record->wall_ms);
    if (!record->event) {
        line_add_text(line, "\"");
        return;
    }
    line_add_text(line, "\",\"level\":\"");
    line_add_text(line, level_names[record->level]);
    line_add_text(line, "\",\"event\":\"");
    line_add_string(line, record->event);
    line_add_text(line, "\"");
}

static void line_begin_text(struct line *line, const struct log_record *record)
{
    line_add_time(line, record->wall_ms);
    if (!record->event)
        return;
    line_add_text(line, " ");
    line_add_text(line, level_names[record->level]);
    line_add_text(line, strlen(level_names[record->level]) == 4 ? "  " : " ");
    line_add_string(line, record->event);
}

size_t log_format_line(char text[LOG_LINE_SIZE], enum log_format format,
                       const struct log_record *record)
{
    struct line line = {.text = text, .json = format == LOG_FORMAT_JSON};
    const char *tail;
    size_t tail_length;

    if (line.json)
        line_begin_json(&line, record);
    else
        line_begin_text(&line, record);
    for (size_t i = 0; i < record->count && !line.full; i++)
        line_add_field(&line, &record->fields[i]);
    if (line.json)
        tail = line.full ? ",\"cut\":1}\n" : "}\n";
    else
        tail = line.full ? " cut=1\n" : "\n";
    tail_length = strlen(tail);
    memcpy(text + line.length, tail, tail_length);
    return line.length + tail_length;
}
