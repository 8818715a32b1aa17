#include "relay/settings.h"

#include <errno.h>
#include <string.h>

#include "core/mem.h"
#include "relay/settings_rows.h"

enum { ROWS_MAX = 32 };

/* ---- one section into its struct ---- */

static bool is_later(const char *const *later, const char *name)
{
    while (*later && strcmp(*later, name) != 0)
        later++;
    return *later != NULL;
}

/* Where the entries of a section go: its own rows, and in a [client] that is alone the process's.
 */
struct filling {
    struct config *config;
    const struct settings_section *rows;
    void *base;
    const struct config_entry *given[ROWS_MAX]; /* by row, who said it first */
};

/* False: there is no such row here. */
static bool filling_take(struct filling *filling, const struct config_entry *entry)
{
    const struct settings_section *rows = filling->rows;
    const struct option *option = option_find(rows->options, rows->option_count, entry->key);
    struct option_input input = {.value = entry->value, .file = entry->place.file};
    const struct config_entry **given;
    int rc;

    if (!option) {
        if (!is_later(rows->later, entry->key))
            return false;
        config_error(filling->config, entry->place, "not in this version: %s", entry->key);
        return true;
    }
    given = &filling->given[option - rows->options];
    if (*given && !option->repeatable) {
        config_error(filling->config, entry->place, "option given twice: %s, first at %s:%u",
                     entry->key, (*given)->place.file, (*given)->place.line);
        return true;
    }
    if (!*given)
        *given = entry;
    if (!*entry->value)
        return true;
    rc = option_set(option, &input, filling->base);
    if (rc == -ENOMEM)
        filling->config->out_of_memory = true;
    else if (rc)
        config_error(filling->config, entry->place, "%s", input.error);
    return true;
}

static void filling_require(struct filling *filling, const struct config_section *section)
{
    for (uint32_t i = 0; i < filling->rows->option_count; i++)
        if (filling->rows->options[i].required && !filling->given[i])
            config_error(filling->config, section->place, "missing option: %s",
                         filling->rows->options[i].name);
}

static void refuse_unknown(struct config *config, const struct config_section *section,
                           const struct config_entry *entry)
{
    const struct settings_section *process = settings_section_find("server");

    if (strcmp(section->kind, "client") == 0 &&
        (option_find(process->options, process->option_count, entry->key) ||
         is_later(process->later, entry->key)))
        config_error(config, entry->place, "%s belongs in [server], since there is one",
                     entry->key);
    else
        config_error(config, entry->place, "unknown option: %s", entry->key);
}

static void section_fill(struct config *config, struct settings *settings,
                         const struct settings_section *rows, struct config_section *section)
{
    struct filling own = {.config = config, .rows = rows, .base = section->target};
    struct filling process = {
        .config = config, .rows = settings_section_find("server"), .base = &settings->process};
    bool has_process = strcmp(rows->kind, "client") == 0 && !config_section(config, "server", NULL);

    must(rows->option_count <= ROWS_MAX);
    for (const struct config_entry *entry = section->first; entry; entry = entry->next)
        if (!filling_take(&own, entry) && !(has_process && filling_take(&process, entry)))
            refuse_unknown(config, section, entry);
    filling_require(&own, section);
}

/* ---- all sections ---- */

static void *settings_field(struct settings *settings, size_t offset)
{
    return (char *)settings + offset;
}

/* Room for every section of a named kind, and for the service that `local` stands for. */
static int settings_make_room(struct settings *settings, const struct config *config,
                              const struct settings_section *rows)
{
    uint32_t count = strcmp(rows->kind, "service") == 0;
    void *array;

    for (const struct config_section *section = config->first; section; section = section->next)
        count += strcmp(section->kind, rows->kind) == 0;
    if (!count)
        return 0;
    array = mem_new(count * rows->size);
    if (!array)
        return -ENOMEM;
    *(void **)settings_field(settings, rows->offset) = array;
    return 0;
}

static struct settings *settings_new(const struct config *config)
{
    struct settings *settings = mem_new(sizeof *settings);

    for (uint32_t i = 0; settings && i < settings_section_count; i++) {
        const struct settings_section *rows = &settings_sections[i];
        int rc = rows->named ? settings_make_room(settings, config, rows)
                             : option_set_standards(rows->options, rows->option_count,
                                                    settings_field(settings, rows->offset));

        if (rc)
            settings_free(&settings);
    }
    return settings;
}

/* The next struct of a named kind with its defaults; its first member is its name. */
static void *settings_next(struct config *config, struct settings *settings,
                           const struct settings_section *rows, const char *name)
{
    uint32_t *count = settings_field(settings, rows->count_offset);
    char *element = *(char **)settings_field(settings, rows->offset) + (*count)++ * rows->size;

    memcpy(element, name, strlen(name) + 1);
    if (option_set_standards(rows->options, rows->option_count, element))
        config->out_of_memory = true;
    return element;
}

static bool section_name_good(struct config *config, const struct settings_section *rows,
                              const struct config_section *section)
{
    if (rows->named == (*section->name != 0))
        return true;
    config_error(config, section->place, rows->named ? "expected [%s NAME]" : "expected [%s]",
                 rows->kind);
    return false;
}

static void settings_take_section(struct config *config, struct settings *settings,
                                  struct config_section *section)
{
    const struct settings_section *rows = settings_section_find(section->kind);

    if (!rows && is_later(settings_later_sections, section->kind))
        config_error(config, section->place, "not in this version: [%s]", section->kind);
    else if (!rows)
        config_error(config, section->place, "unknown section: [%s]", section->kind);
    if (!rows || !section_name_good(config, rows, section) || section->repeated)
        return;
    section->target = rows->named ? settings_next(config, settings, rows, section->name)
                                  : settings_field(settings, rows->offset);
    if (!config->out_of_memory)
        section_fill(config, settings, rows, section);
}

/* `local` of the client is a service named default. */
static void settings_take_local(struct config *config, struct settings *settings)
{
    const struct config_section *client = config_section(config, "client", NULL);
    const struct config_entry *local = client ? config_find(client, "local") : NULL;
    struct service_settings *service;

    if (!local)
        return;
    if (config_section(config, "service", "default")) {
        config_error(config, local->place, "local: there is a [service default] already");
        return;
    }
    service = settings_next(config, settings, settings_section_find("service"), "default");
    service->target = settings->client.local;
}

static void settings_check_sections(struct config *config, struct settings *settings)
{
    for (uint32_t i = 0; i < settings_section_count; i++) {
        const struct settings_section *rows = &settings_sections[i];

        for (struct config_section *section = config->first; rows->check && section;
             section = section->next)
            if (section->target && strcmp(section->kind, rows->kind) == 0)
                rows->check(config, settings, section);
    }
    settings_check_all(config, settings);
}

static void settings_take_sections(struct config *config, struct settings *settings)
{
    for (struct config_section *section = config->first; section && !config->out_of_memory;
         section = section->next)
        settings_take_section(config, settings, section);
    if (!config->out_of_memory)
        settings_take_local(config, settings);
    if (!config->out_of_memory)
        settings_check_sections(config, settings);
}

/* Ends `config`, and with it the settings when anything was wrong. */
static struct settings *settings_take(struct config *config, FILE *errors)
{
    struct settings *settings = config->out_of_memory ? NULL : settings_new(config);

    if (settings)
        settings_take_sections(config, settings);
    else
        config->out_of_memory = true;
    if (!config_good(config)) {
        config_print_errors(config, errors);
        settings_free(&settings);
    }
    config_free(config);
    return settings;
}

struct settings *settings_load(const char *path, FILE *errors)
{
    struct config config;

    config_read(&config, path);
    return settings_take(&config, errors);
}

struct settings *settings_parse(const char *name, const char *text, size_t length, FILE *errors)
{
    struct config config;

    config_parse(&config, name, text, length);
    return settings_take(&config, errors);
}

static void settings_release_section(struct settings *settings, const struct settings_section *rows)
{
    char *element = settings_field(settings, rows->offset);
    uint32_t count = 1;

    if (rows->named) {
        element = *(char **)settings_field(settings, rows->offset);
        count = *(uint32_t *)settings_field(settings, rows->count_offset);
    }
    for (uint32_t i = 0; i < count; i++)
        option_release(rows->options, rows->option_count, element + i * rows->size);
    if (rows->named)
        mem_free(element);
}

void settings_free(struct settings **settings)
{
    if (!*settings)
        return;
    for (uint32_t i = 0; i < (*settings)->tls_count; i++)
        mem_free((*settings)->tls[i].file);
    for (uint32_t i = 0; i < settings_section_count; i++)
        settings_release_section(*settings, &settings_sections[i]);
    mem_free(*settings);
    *settings = NULL;
}
