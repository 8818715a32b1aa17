#include "relay/settings_diff.h"

#include <string.h>

static bool texts_are_equal(const void *left, const void *right)
{
    const char *a = *(char *const *)left, *b = *(char *const *)right;

    return a && b ? strcmp(a, b) == 0 : a == b;
}

/* Not as bytes: the struct has padding. */
static bool accounts_are_equal(const void *left, const void *right)
{
    const struct account *a = left, *b = right;

    return a->given == b->given && a->id == b->id && a->group == b->group;
}

static bool addrs_are_equal(const void *left, const void *right)
{
    return addr_equal(left, right);
}

static const struct {
    const struct option_type *type;
    bool (*are_equal)(const void *left, const void *right);
} comparisons[] = {
    {&option_path,  texts_are_equal   },
    {&option_user,  accounts_are_equal},
    {&option_group, accounts_are_equal},
    {&option_addr,  addrs_are_equal   },
};

/* What no row above compares is a number or a text in place, which are zero-filled. */
static bool values_are_equal(const struct option *option, const char *left, const char *right)
{
    for (size_t i = 0; i < sizeof comparisons / sizeof *comparisons; i++)
        if (comparisons[i].type == option->type)
            return comparisons[i].are_equal(left + option->offset, right + option->offset);
    return memcmp(left + option->offset, right + option->offset, option->size) == 0;
}

static const struct option *section_restart(const struct settings_section *section,
                                            const char *left, const char *right)
{
    for (uint32_t i = 0; i < section->option_count; i++) {
        const struct option *option = &section->options[i];

        if (option->reload == RELOAD_RESTART && !values_are_equal(option, left, right))
            return option;
    }
    return NULL;
}

const struct option *settings_diff_restart(const struct settings *old_settings,
                                           const struct settings *new_settings,
                                           const struct settings_section **section)
{
    for (uint32_t i = 0; i < settings_section_count; i++) {
        const struct settings_section *each = &settings_sections[i];
        const struct option *option;

        if (each->named)
            continue;
        option = section_restart(each, (const char *)old_settings + each->offset,
                                 (const char *)new_settings + each->offset);
        if (option) {
            *section = each;
            return option;
        }
    }
    return NULL;
}
