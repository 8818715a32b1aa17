#include "core/text.h"

#include <ctype.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"

/* The length of the UTF-8 sequence at `text`, or 0. */
static size_t utf8_sequence(const uint8_t *text, size_t length)
{
    static const struct {
        uint8_t first_min, first_max, second_min, second_max, length;
    } forms[] = {
        {0x00, 0x7f, 0x00, 0x00, 1},
        {0xc2, 0xdf, 0x80, 0xbf, 2},
        {0xe0, 0xe0, 0xa0, 0xbf, 3},
        {0xe1, 0xec, 0x80, 0xbf, 3},
        {0xed, 0xed, 0x80, 0x9f, 3},
        {0xee, 0xef, 0x80, 0xbf, 3},
        {0xf0, 0xf0, 0x90, 0xbf, 4},
        {0xf1, 0xf3, 0x80, 0xbf, 4},
        {0xf4, 0xf4, 0x80, 0x8f, 4},
    };

    for (size_t i = 0; i < ARRAY_COUNT(forms); i++) {
        if (text[0] < forms[i].first_min || text[0] > forms[i].first_max)
            continue;
        if (forms[i].length > length)
            return 0;
        if (forms[i].length > 1 && (text[1] < forms[i].second_min || text[1] > forms[i].second_max))
            return 0;
        for (size_t at = 2; at < forms[i].length; at++)
            if ((text[at] & 0xc0) != 0x80)
                return 0;
        return forms[i].length;
    }
    return 0;
}

bool text_is_utf8(const char *text, size_t length)
{
    for (size_t at = 0; at < length;) {
        size_t step = utf8_sequence((const uint8_t *)text + at, length - at);

        if (!step)
            return false;
        at += step;
    }
    return true;
}

bool text_has_control(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (((uint8_t)text[i] < 0x20 && text[i] != '\t') || text[i] == 0x7f)
            return true;
    return false;
}

char *text_trim(char *text)
{
    size_t length;

    text += strspn(text, " \t");
    length = strlen(text);
    while (length && (text[length - 1] == ' ' || text[length - 1] == '\t'))
        text[--length] = 0;
    return text;
}

struct expansion {
    char *out;
    size_t length, size;
    char *error;
    size_t error_size;
};

static int expansion_add(struct expansion *expansion, const char *text, size_t length)
{
    if (length >= expansion->size - expansion->length) {
        snprintf(expansion->error, expansion->error_size,
                 "the value is longer than %zu bytes with the environment in it",
                 expansion->size - 1);
        return -EINVAL;
    }
    memcpy(expansion->out + expansion->length, text, length);
    expansion->length += length;
    return 0;
}

static bool variable_name_valid(const char *name)
{
    if (!isalpha((uint8_t)*name) && *name != '_')
        return false;
    for (; *name; name++)
        if (!isalnum((uint8_t)*name) && *name != '_')
            return false;
    return true;
}

/* `inside` is what stands between the braces; it is written to. */
static int expansion_add_variable(struct expansion *expansion, char *inside)
{
    char *standard = strstr(inside, ":-");
    const char *value;

    if (standard) {
        *standard = 0;
        standard += 2;
    }
    if (!variable_name_valid(inside)) {
        snprintf(expansion->error, expansion->error_size, "not a variable's name: ${%.64s}",
                 inside);
        return -EINVAL;
    }
    value = getenv(inside);
    if (!value || (!*value && standard))
        value = standard;
    if (!value) {
        snprintf(expansion->error, expansion->error_size, "the environment has no %.64s", inside);
        return -EINVAL;
    }
    if (text_has_control(value, strlen(value)) || !text_is_utf8(value, strlen(value))) {
        snprintf(expansion->error, expansion->error_size,
                 "the environment's %.64s holds bytes that are not text", inside);
        return -EINVAL;
    }
    return expansion_add(expansion, value, strlen(value));
}

static int expansion_run(struct expansion *expansion, const char *value)
{
    while (*value) {
        const char *start = strstr(value, "${"), *end;
        char inside[256];
        int rc;

        if (!start)
            return expansion_add(expansion, value, strlen(value));
        end = strchr(start, '}');
        if (!end || (size_t)(end - start - 2) >= sizeof inside) {
            snprintf(expansion->error, expansion->error_size, "${ without its }");
            return -EINVAL;
        }
        memcpy(inside, start + 2, (size_t)(end - start - 2));
        inside[end - start - 2] = 0;
        rc = expansion_add(expansion, value, (size_t)(start - value));
        if (!rc)
            rc = expansion_add_variable(expansion, inside);
        if (rc)
            return rc;
        value = end + 1;
    }
    return 0;
}

int text_expand(const char *value, char *out, size_t out_size, char *error, size_t error_size)
{
    struct expansion expansion = {
        .out = out, .size = out_size, .error = error, .error_size = error_size};
    int rc = expansion_run(&expansion, value);

    out[expansion.length] = 0;
    return rc;
}

char *text_beside(const char *file, const char *path)
{
    const char *slash = strrchr(file, '/');
    size_t folder = slash && *path != '/' ? (size_t)(slash - file) + 1 : 0;
    size_t length = strlen(path);
    char *joined = mem_raw(folder + length + 1);

    if (!joined)
        return NULL;
    memcpy(joined, file, folder);
    memcpy(joined + folder, path, length + 1);
    return joined;
}
