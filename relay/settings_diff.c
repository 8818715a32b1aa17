/* What differs between two configurations. */

#include <string.h>

#include "relay/settings_rows.h"

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

static bool addr_lists_are_equal(const void *left, const void *right)
{
    const struct addr_list *a = left, *b = right;

    if (a->count != b->count)
        return false;
    for (uint32_t i = 0; i < a->count; i++)
        if (!addr_equal(&a->items[i], &b->items[i]))
            return false;
    return true;
}

static bool cpus_are_equal(const void *left, const void *right)
{
    const struct cpu_list *a = left, *b = right;

    return a->count == b->count &&
           (!a->count || memcmp(a->items, b->items, a->count * sizeof(*a->items)) == 0);
}

static const struct {
    const struct option_type *type;
    bool (*are_equal)(const void *left, const void *right);
} comparisons[] = {
    {&option_path,  texts_are_equal     },
    {&option_user,  accounts_are_equal  },
    {&option_group, accounts_are_equal  },
    {&option_addr,  addrs_are_equal     },
    {&option_addrs, addr_lists_are_equal},
    {&option_cpus,  cpus_are_equal      },
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

/* Its struct of that name; NULL: there is none. */
static const char *section_find(const struct settings *settings,
                                const struct settings_section *section, const char *name)
{
    const char *element = *(char *const *)((const char *)settings + section->offset);
    uint32_t count = *(const uint32_t *)((const char *)settings + section->count_offset);

    for (uint32_t i = 0; i < count; i++, element += section->size)
        if (strcmp(element, name) == 0)
            return element;
    return NULL;
}

static bool named_diff(const struct settings_section *section, const struct settings *old_settings,
                       const struct settings *new_settings, struct settings_difference *difference)
{
    const char *element = *(char *const *)((const char *)old_settings + section->offset);
    uint32_t count = *(const uint32_t *)((const char *)old_settings + section->count_offset);

    for (uint32_t i = 0; i < count; i++, element += section->size) {
        const char *other = section_find(new_settings, section, element);
        const struct option *option = other ? section_restart(section, element, other) : NULL;

        if (!option)
            continue;
        difference->name = element;
        difference->option = option->name;
        return true;
    }
    return false;
}

static bool unnamed_diff(const struct settings_section *section,
                         const struct settings *old_settings, const struct settings *new_settings,
                         struct settings_difference *difference)
{
    const struct option *option =
        section_restart(section, (const char *)old_settings + section->offset,
                        (const char *)new_settings + section->offset);

    difference->name = "";
    difference->option = option ? option->name : NULL;
    return option;
}

static bool admin_diff(const struct settings *old_settings, const struct settings *new_settings,
                       struct settings_difference *difference)
{
    difference->kind = "admin";
    difference->name = "";
    difference->option = "presence";
    return old_settings->admin.present != new_settings->admin.present;
}

bool settings_diff_restart(const struct settings *old_settings, const struct settings *new_settings,
                           struct settings_difference *difference)
{
    for (uint32_t i = 0; i < settings_section_count; i++) {
        const struct settings_section *section = &settings_sections[i];

        difference->kind = section->kind;
        if (section->named ? named_diff(section, old_settings, new_settings, difference)
                           : unnamed_diff(section, old_settings, new_settings, difference))
            return true;
    }
    return admin_diff(old_settings, new_settings, difference);
}
