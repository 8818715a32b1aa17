/* Every row of every section, at its edges. */
#include "relay/settings_rows.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/settings_text.h"
#include "tests/unit/test.h"

/* The option alone, into a struct that is thrown away. */
static bool row_takes(const struct settings_section *section, const struct option *option,
                      const char *value)
{
    struct option_input input = {.value = value, .file = "t.ini"};
    void *base = calloc(1, section->size);
    int rc = option_set(option, &input, base);

    option_release(section->options, section->option_count, base);
    free(base);
    return rc == 0;
}

static bool row_refuses(const struct settings_section *section, const struct option *option,
                        const char *value, const char *message)
{
    char lines[8300], line[8500];

    snprintf(lines, sizeof lines, "%s = %s\n", option->name, value);
    compose(section->kind, option->name, lines);
    snprintf(line, sizeof line, "t.ini:2: %s", message);
    return refuses(document, line);
}

typedef bool row_fn(const struct settings_section *section, const struct option *option);

static bool all_rows(row_fn *claim)
{
    for (uint32_t i = 0; i < settings_section_count; i++)
        for (uint32_t k = 0; k < settings_sections[i].option_count; k++)
            if (!claim(&settings_sections[i], &settings_sections[i].options[k])) {
                fprintf(stderr, "at [%s] %s\n", settings_sections[i].kind,
                        settings_sections[i].options[k].name);
                return false;
            }
    return true;
}

static bool row_is_sound(const struct settings_section *section, const struct option *option)
{
    bool sized = !option->type->size || option->type->size == option->size;
    bool ends = option->help[strlen(option->help) - 1] == '.';

    return sized && ends && option->offset + option->size <= section->size &&
           (!option->required || !option->standard) && option->min <= option->max &&
           option_find(section->options, section->option_count, option->name) == option;
}

TEST(every_row_fits_its_field_and_has_a_sentence)
{
    check(all_rows(row_is_sound));
}

static bool number_keeps_bounds(const struct settings_section *section, const struct option *option)
{
    char min[OPTION_NUMBER_SIZE], max[OPTION_NUMBER_SIZE], outside[OPTION_NUMBER_SIZE];
    char message[200];

    if (!option->type->format)
        return true;
    option->type->format(option->min, min);
    option->type->format(option->max, max);
    if (!row_takes(section, option, min) || !row_takes(section, option, max))
        return false;
    option->type->format(option->max + (option->type == &option_duration ? OPTION_US : 1), outside);
    snprintf(message, sizeof message,
             option->later_above ? "not in this version: %s = %s" : "%s: %s is more than %s",
             option->name, outside, max);
    if (!row_refuses(section, option, outside, message))
        return false;
    if (!option->min) {
        snprintf(message, sizeof message, "%s: -1 is not a %s (%s)", option->name,
                 option->type->name, option->type->form);
        return row_refuses(section, option, "-1", message);
    }
    option->type->format(option->min - (option->type == &option_duration ? OPTION_US : 1), outside);
    snprintf(message, sizeof message, "%s: %s is less than %s", option->name, outside, min);
    return row_refuses(section, option, outside, message);
}

TEST(every_number_is_taken_at_its_bounds_and_refused_just_outside)
{
    check(all_rows(number_keeps_bounds));
}

static bool text_keeps_bounds(const struct settings_section *section, const struct option *option)
{
    char value[8200], message[200];
    bool text = option->type == &option_text || option->type == &option_name ||
                option->type == &option_path;

    if (!text)
        return true;
    memset(value, 'x', sizeof value);
    value[option->max] = 0;
    if (!row_takes(section, option, value) || !row_takes(section, option, "x"))
        return false;
    value[option->max] = 'x';
    value[option->max + 1] = 0;
    if (option->max + 32 > config_line_max())
        return !row_takes(section, option, value);
    snprintf(message, sizeof message, "%s: longer than %u bytes", option->name,
             (unsigned)option->max);
    return row_refuses(section, option, value, message);
}

TEST(every_text_has_a_longest_length)
{
    check(all_rows(text_keeps_bounds));
}

static bool rate_keeps_bounds(const struct settings_section *section, const struct option *option)
{
    static const char *const inside[] = {"1/h", "1000000/s", "1/s burst=1", "1/s burst=1000000"};
    static const char *const outside[] = {"0/s",         "1000001/s",         "-1/s",   "1/d",
                                          "1/s burst=0", "1/s burst=1000001", "1/s 1/s"};

    if (option->type != &option_rate)
        return true;
    for (size_t i = 0; i < ARRAY_COUNT(inside); i++)
        if (!row_takes(section, option, inside[i]))
            return false;
    for (size_t i = 0; i < ARRAY_COUNT(outside); i++)
        if (row_takes(section, option, outside[i]))
            return false;
    return true;
}

TEST(every_rate_is_taken_at_its_bounds_and_refused_just_outside)
{
    check(all_rows(rate_keeps_bounds));
}

/* But where any text will do. */
static bool nonsense_is_refused(const struct settings_section *section, const struct option *option)
{
    bool any = option->type == &option_text || option->type == &option_path ||
               option->type == &option_list;

    return any || !row_takes(section, option, "no such thing?");
}

TEST(every_option_refuses_nonsense)
{
    check(all_rows(nonsense_is_refused));
}

static bool words_are_known(const struct settings_section *section, const struct option *option)
{
    char message[200];

    for (const struct option_choice *choice = option->choices; choice && choice->name; choice++) {
        snprintf(message, sizeof message, "not in this version: %s = %s", option->name,
                 choice->name);
        if (choice->later ? !row_refuses(section, option, choice->name, message)
                          : !row_takes(section, option, choice->name))
            return false;
    }
    return option->type != &option_choice || !row_takes(section, option, "nonsense");
}

TEST(every_word_of_a_choice_is_taken_or_not_in_this_version)
{
    check(all_rows(words_are_known));
}

static bool default_is_taken(const struct settings_section *section, const struct option *option)
{
    return !option->standard || row_takes(section, option, option->standard);
}

TEST(every_default_is_a_value_within_bounds)
{
    check(all_rows(default_is_taken));
}

static bool empty_is_refused(const struct settings_section *section, const struct option *option)
{
    char message[100];

    snprintf(message, sizeof message, "%s: empty value", option->name);
    return row_refuses(section, option, "", message);
}

TEST(every_option_refuses_an_empty_value)
{
    check(all_rows(empty_is_refused));
}

static bool second_is_refused(const struct settings_section *section, const struct option *option)
{
    char lines[200], line[200];
    const char *value = option->standard ? option->standard : "127.0.0.1:9";

    if (option->repeatable)
        return true;
    snprintf(lines, sizeof lines, "%s = %s\n%s = %s\n", option->name, value, option->name, value);
    compose(section->kind, option->name, lines);
    snprintf(line, sizeof line, "t.ini:3: option given twice: %s, first at t.ini:2", option->name);
    return refuses(document, line);
}

TEST(every_option_meant_once_is_refused_twice)
{
    check(all_rows(second_is_refused));
}

static bool section_knows(const struct settings_section *section, const char *name)
{
    if (option_find(section->options, section->option_count, name))
        return true;
    for (const char *const *later = section->later; *later; later++)
        if (strcmp(*later, name) == 0)
            return true;
    return false;
}

static bool strange_elsewhere(const struct settings_section *section, const struct option *option)
{
    char lines[100], line[200];

    for (uint32_t i = 0; i < settings_section_count; i++) {
        const struct settings_section *other = &settings_sections[i];

        if (other == section || section_knows(other, option->name))
            continue;
        snprintf(lines, sizeof lines, "%s = 1\n", option->name);
        compose(other->kind, NULL, lines);
        if (strcmp(other->kind, "client") == 0 && strcmp(section->kind, "server") == 0)
            snprintf(line, sizeof line, "t.ini:2: %s belongs in [server], since there is one",
                     option->name);
        else
            snprintf(line, sizeof line, "t.ini:2: unknown option: %s", option->name);
        if (strcmp(option->name, "include") != 0 && !refuses(document, line))
            return false;
    }
    return true;
}

TEST(every_option_is_unknown_in_the_wrong_section)
{
    check(all_rows(strange_elsewhere));
}

static bool lack_is_refused(const struct settings_section *section, const struct option *option)
{
    char line[200];

    if (!option->required)
        return true;
    compose(section->kind, option->name, "");
    snprintf(line, sizeof line, "t.ini:1: missing option: %s", option->name);
    return refuses(document, line);
}

TEST(every_required_option_is_missed)
{
    check(all_rows(lack_is_refused));
}

TEST(unknown_options_and_sections_are_named)
{
    for (uint32_t i = 0; i < settings_section_count; i++) {
        compose(settings_sections[i].kind, NULL, "nonsense = 1\n");
        check(refuses(document, "t.ini:2: unknown option: nonsense"));
    }
    check(refuses("[nonsense]\nx = 1\n", "t.ini:1: unknown section: [nonsense]"));
    check(!strstr(printed, "t.ini:2:"));
}

TEST(what_the_contract_promises_for_later_is_said_to_be_so)
{
    char lines[100], line[200];

    for (uint32_t i = 0; i < settings_section_count; i++)
        for (const char *const *later = settings_sections[i].later; *later; later++) {
            snprintf(lines, sizeof lines, "%s = 1\n", *later);
            compose(settings_sections[i].kind, NULL, lines);
            snprintf(line, sizeof line, "t.ini:2: not in this version: %s", *later);
            check(refuses(document, line));
        }
    for (const char *const *later = settings_later_sections; *later; later++) {
        snprintf(lines, sizeof lines, "[%s x]\n", *later);
        snprintf(line, sizeof line, "t.ini:1: not in this version: [%s]", *later);
        check(refuses(lines, line));
    }
}
