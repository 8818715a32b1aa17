#include "core/option.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/mem.h"
#include "core/text.h"

int option_refuse(struct option_input *input, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(input->error, sizeof input->error, format, arguments);
    va_end(arguments);
    return -EINVAL;
}

void *option_grow(void **items, uint32_t *count, size_t size)
{
    void *grown = mem_resize(*items, (*count + 1) * size);

    if (!grown)
        return NULL;
    *items = grown;
    return memset((char *)grown + (*count)++ * size, 0, size);
}

int option_add(const struct option *option, struct option_input *input, void **items,
               uint32_t *count, const void *item, size_t size)
{
    void *slot;

    if (*count >= option->max)
        return option_refuse(input, "%s: more than %" PRIu64 " of them", option->name, option->max);
    slot = option_grow(items, count, size);
    if (!slot)
        return -ENOMEM;
    memcpy(slot, item, size);
    return 0;
}

/* ---- numbers ---- */

static void number_store(void *field, size_t size, uint64_t value)
{
    switch (size) {
    case sizeof(uint64_t):
        *(uint64_t *)field = value;
        break;
    case sizeof(uint32_t):
        *(uint32_t *)field = (uint32_t)value;
        break;
    default:
        must(size == sizeof(uint8_t));
        *(uint8_t *)field = (uint8_t)value;
    }
}

static int number_keep(const struct option *option, struct option_input *input, uint64_t value,
                       void *field)
{
    char bound[OPTION_NUMBER_SIZE];

    if (value > option->max && option->later_above)
        return option_refuse(input, "not in this version: %s = %s", option->name, input->value);
    if (value < option->min) {
        option->type->format(option->min, bound);
        return option_refuse(input, "%s: %s is less than %s", option->name, input->value, bound);
    }
    if (value > option->max) {
        option->type->format(option->max, bound);
        return option_refuse(input, "%s: %s is more than %s", option->name, input->value, bound);
    }
    number_store(field, option->size, value);
    return 0;
}

static const struct option_choice *choice_find(const struct option_choice *choice, const char *name)
{
    for (; choice && choice->name; choice++)
        if (strcmp(choice->name, name) == 0)
            return choice;
    return NULL;
}

/* 1: the value was such a word and is stored; 0: it was none; or -errno. */
static int word_keep(const struct option *option, struct option_input *input, void *field)
{
    const struct option_choice *choice = choice_find(option->choices, input->value);

    if (!choice)
        return 0;
    if (choice->later)
        return option_refuse(input, "not in this version: %s = %s", option->name, input->value);
    number_store(field, option->size, choice->value);
    return 1;
}

struct unit {
    const char *name;
    uint64_t factor;
};

/* Digits and one of the units; false: neither, or too large to hold. */
static bool number_read(const char *text, const struct unit *units, uint32_t unit_count,
                        uint64_t *value)
{
    uint64_t number = 0;

    if (*text < '0' || *text > '9')
        return false;
    for (; *text >= '0' && *text <= '9'; text++)
        if (__builtin_mul_overflow(number, 10, &number) ||
            __builtin_add_overflow(number, (uint64_t)(*text - '0'), &number))
            return false;
    for (uint32_t i = 0; i < unit_count; i++)
        if (strcmp(units[i].name, text) == 0)
            return !__builtin_mul_overflow(number, units[i].factor, value);
    return false;
}

static void number_format(uint64_t value, const struct unit *units, uint32_t unit_count,
                          char text[OPTION_NUMBER_SIZE])
{
    uint32_t best = 0;

    for (uint32_t i = 0; i < unit_count; i++)
        if (units[i].factor > units[best].factor && value && value % units[i].factor == 0)
            best = i;
    snprintf(text, OPTION_NUMBER_SIZE, "%" PRIu64 "%s", value / units[best].factor,
             units[best].name);
}

static const struct unit duration_units[] = {
    {"us", OPTION_US    },
    {"ms", OPTION_MS    },
    {"s",  OPTION_SECOND},
    {"m",  OPTION_MINUTE},
    {"h",  OPTION_HOUR  },
};
static const struct unit size_units[] = {
    {"",  1         },
    {"k", OPTION_KIB},
    {"m", OPTION_MIB},
    {"g", OPTION_GIB},
};
static const struct unit count_units[] = {
    {"", 1},
};

static void duration_format(uint64_t value, char text[OPTION_NUMBER_SIZE])
{
    if (value)
        number_format(value, duration_units, ARRAY_COUNT(duration_units), text);
    else
        snprintf(text, OPTION_NUMBER_SIZE, "0s");
}

static void size_format(uint64_t value, char text[OPTION_NUMBER_SIZE])
{
    number_format(value, size_units, ARRAY_COUNT(size_units), text);
}

static void count_format(uint64_t value, char text[OPTION_NUMBER_SIZE])
{
    number_format(value, count_units, ARRAY_COUNT(count_units), text);
}

static int number_parse(const struct option *option, struct option_input *input, void *field,
                        const struct unit *units, uint32_t unit_count)
{
    uint64_t value;
    int rc = word_keep(option, input, field);

    if (rc)
        return rc > 0 ? 0 : rc;
    if (!number_read(input->value, units, unit_count, &value))
        return option_refuse(input, "%s: %s is not a %s (%s)", option->name, input->value,
                             option->type->name, option->type->form);
    return number_keep(option, input, value, field);
}

static int duration_parse(const struct option *option, struct option_input *input, void *field)
{
    return number_parse(option, input, field, duration_units, ARRAY_COUNT(duration_units));
}

static int size_parse(const struct option *option, struct option_input *input, void *field)
{
    return number_parse(option, input, field, size_units, ARRAY_COUNT(size_units));
}

static int count_parse(const struct option *option, struct option_input *input, void *field)
{
    return number_parse(option, input, field, count_units, ARRAY_COUNT(count_units));
}

/* ---- words ---- */

static int choice_parse(const struct option *option, struct option_input *input, void *field)
{
    char names[160] = "";
    int rc = word_keep(option, input, field);

    if (rc)
        return rc > 0 ? 0 : rc;
    for (const struct option_choice *choice = option->choices; choice->name; choice++) {
        size_t length = strlen(names);

        if (!choice->later)
            snprintf(names + length, sizeof names - length, " %s", choice->name);
    }
    return option_refuse(input, "%s: %s is none of:%s", option->name, input->value, names);
}

static int boolean_parse(const struct option *option, struct option_input *input, void *field)
{
    static const struct option_choice words[] = {
        {.name = "yes",  .value = 1},
        {.name = "no",              .value = 0},
        {.name = "on",.value = 1},
        {.name = "off",   .value = 0},
        {.name = "true",              .value = 1},
        {.name = "false",  .value = 0},
        {.name = NULL},
    };
    struct option row = *option;

    row.choices = words;
    return choice_parse(&row, input, field);
}

/* ---- texts ---- */

static int text_length_check(const struct option *option, struct option_input *input)
{
    size_t length = strlen(input->value);

    if (length < option->min)
        return option_refuse(input, "%s: shorter than %" PRIu64 " bytes", option->name,
                             option->min);
    if (length > option->max)
        return option_refuse(input, "%s: longer than %" PRIu64 " bytes", option->name, option->max);
    return 0;
}

static void text_release(void *field)
{
    mem_free(*(char **)field);
    *(char **)field = NULL;
}

static int text_replace(void *field, char *text)
{
    if (!text)
        return -ENOMEM;
    text_release(field);
    *(char **)field = text;
    return 0;
}

static int text_parse(const struct option *option, struct option_input *input, void *field)
{
    int rc = text_length_check(option, input);

    return rc ? rc : text_replace(field, mem_text(input->value));
}

static int path_parse(const struct option *option, struct option_input *input, void *field)
{
    int rc = text_length_check(option, input);

    if (rc)
        return rc;
    if (choice_find(option->choices, input->value))
        return text_replace(field, mem_text(input->value));
    return text_replace(field, text_beside(input->file, input->value));
}

static bool name_characters_valid(const char *name)
{
    return name[strspn(name,
                       "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-")] == 0;
}

bool option_name_valid(const char *name)
{
    size_t length = strlen(name);

    return length && length <= OPTION_NAME_MAX && name_characters_valid(name);
}

static int name_parse(const struct option *option, struct option_input *input, void *field)
{
    int rc = text_length_check(option, input);

    if (rc)
        return rc;
    must(option->max < option->size);
    if (!name_characters_valid(input->value))
        return option_refuse(input, "%s: %s is not a name (%s)", option->name, input->value,
                             option->type->form);
    memcpy(field, input->value, strlen(input->value) + 1);
    return 0;
}

/* ---- lists ---- */

static void list_release(void *field)
{
    struct text_list *list = field;

    for (uint32_t i = 0; i < list->count; i++)
        mem_free(list->items[i]);
    mem_free(list->items);
    *list = (struct text_list){0};
}

static int list_add(const struct option *option, struct option_input *input, struct text_list *list,
                    const char *item)
{
    char *copy = mem_text(item);
    int rc =
        copy ? option_add(option, input, (void **)&list->items, &list->count, &copy, sizeof copy)
             : -ENOMEM;

    if (rc)
        mem_free(copy);
    return rc;
}

static int list_parse(const struct option *option, struct option_input *input, void *field)
{
    struct text_list *list = field;
    char *copy = mem_text(input->value), *rest = copy, *item;
    int rc = copy ? 0 : -ENOMEM;

    while (!rc && (item = strsep(&rest, ","))) {
        item = text_trim(item);
        if (!*item)
            rc = option_refuse(input, "%s: nothing beside a comma", option->name);
        else if (strpbrk(item, " \t"))
            rc = option_refuse(input, "%s: a blank inside %s; commas stand between words",
                               option->name, item);
        else
            rc = list_add(option, input, list, item);
    }
    mem_free(copy);
    return rc;
}

static void addrs_release(void *field)
{
    struct addr_list *list = field;

    mem_free(list->items);
    *list = (struct addr_list){0};
}

static int addrs_parse(const struct option *option, struct option_input *input, void *field)
{
    struct addr_list *list = field;
    struct addr addr;

    if (addr_parse(&addr, input->value) || addr_family(&addr) == AF_UNIX)
        return option_refuse(input, "%s: %s is not an address (%s)", option->name, input->value,
                             option->type->form);
    return option_add(option, input, (void **)&list->items, &list->count, &addr, sizeof addr);
}

/* clang-format off */
const struct option_type option_duration = {
    .name = "duration", .form = "50us 250ms 10s 5m 24h", .parse = duration_parse,
    .format = duration_format, .size = sizeof(uint64_t)};
const struct option_type option_size = {
    .name = "size", .form = "bytes, or 64k 8m 1g", .parse = size_parse,
    .format = size_format, .size = sizeof(uint64_t)};
const struct option_type option_count = {
    .name = "count", .form = "digits", .parse = count_parse,
    .format = count_format, .size = sizeof(uint32_t)};
const struct option_type option_boolean = {
    .name = "switch", .form = "yes no on off true false", .parse = boolean_parse,
    .size = sizeof(bool)};
const struct option_type option_choice = {
    .name = "choice", .form = "one of the words", .parse = choice_parse};
const struct option_type option_text = {
    .name = "text", .form = "text", .parse = text_parse, .release = text_release,
    .size = sizeof(char *)};
const struct option_type option_path = {
    .name = "path", .form = "a path, relative to the file that names it", .parse = path_parse,
    .release = text_release, .size = sizeof(char *)};
const struct option_type option_name = {
    .name = "name", .form = "A-Z a-z 0-9 _ . -", .parse = name_parse};
const struct option_type option_list = {
    .name = "list", .form = "words with commas between them", .parse = list_parse,
    .release = list_release, .size = sizeof(struct text_list)};
const struct option_type option_addrs = {
    .name = "address", .form = "192.0.2.1:80 or [2001:db8::1]:80", .parse = addrs_parse,
    .release = addrs_release, .size = sizeof(struct addr_list)};
/* clang-format on */

/* ---- rows ---- */

const struct option *option_find(const struct option *options, uint32_t count, const char *name)
{
    for (uint32_t i = 0; i < count; i++)
        if (strcmp(options[i].name, name) == 0)
            return &options[i];
    return NULL;
}

int option_set(const struct option *option, struct option_input *input, void *base)
{
    must(!option->type->size || option->type->size == option->size);
    return option->type->parse(option, input, (char *)base + option->offset);
}

int option_set_standards(const struct option *options, uint32_t count, void *base)
{
    for (uint32_t i = 0; i < count; i++) {
        struct option_input input = {.value = options[i].standard, .file = ""};
        int rc;

        if (!input.value)
            continue;
        rc = option_set(&options[i], &input, base);
        must(rc == 0 || rc == -ENOMEM);
        if (rc)
            return rc;
    }
    return 0;
}

void option_release(const struct option *options, uint32_t count, void *base)
{
    for (uint32_t i = 0; i < count; i++)
        if (options[i].type->release)
            options[i].type->release((char *)base + options[i].offset);
}
