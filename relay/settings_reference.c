/* The rows as the README's reference, in Markdown. */
#include <string.h>

#include "relay/settings_rows.h"

static void print_bounds(FILE *out, const struct option *option)
{
    char min[OPTION_NUMBER_SIZE], max[OPTION_NUMBER_SIZE];

    if (!option->type->format)
        return;
    option->type->format(option->min, min);
    option->type->format(option->max, max);
    if (strcmp(min, max) == 0)
        fprintf(out, "%s%s", option->choices ? ", " : "", min);
    else
        fprintf(out, "%s%s to %s", option->choices ? ", " : "", min, max);
}

static void print_values(FILE *out, const struct option *option)
{
    const char *between = "";

    for (const struct option_choice *choice = option->choices; choice && choice->name; choice++) {
        if (choice->later)
            continue;
        fprintf(out, "%s`%s`", between, choice->name);
        between = " ";
    }
    print_bounds(out, option);
    if (!option->type->format && option->type != &option_choice)
        fprintf(out, "%s%s", option->choices ? ", " : "", option->type->form);
    if (option->repeatable)
        fprintf(out, "; repeatable");
}

static void print_option(FILE *out, const struct option *option)
{
    static const char *const reloads[] = {"live", "new", "restart"};

    fprintf(out, "| `%s` | ", option->name);
    if (option->standard)
        fprintf(out, "`%s` | ", option->standard);
    else
        fprintf(out, "%s | ", option->required ? "required" : "");
    print_values(out, option);
    fprintf(out, " | %s | %s |\n", reloads[option->reload], option->help);
}

static void print_section(FILE *out, const struct settings_section *section)
{
    fprintf(out, "### [%s%s]\n\n%s\n\n", section->kind, section->named ? " NAME" : "",
            section->help);
    fprintf(out, "| option | default | values | reload | meaning |\n|---|---|---|---|---|\n");
    for (uint32_t i = 0; i < section->option_count; i++)
        print_option(out, &section->options[i]);
    fprintf(out, "\n");
}

void settings_reference(FILE *out)
{
    for (uint32_t i = 0; i < settings_section_count; i++)
        print_section(out, &settings_sections[i]);
}
