#include "core/config.h"

#include <errno.h>
#include <ini.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "core/option.h"
#include "core/text.h"

/* One file on its way in. */
struct reader {
    struct config *config;
    struct config_place place;
    struct config_section *section; /* NULL before the first header, or after a broken one */
    uint32_t depth;
    bool lost; /* the header was broken: its entries are passed over in silence */
};

uint32_t config_line_max(void)
{
    /* inih's buffer holds the line, a newline and a NUL, and it would cut longer lines silently. */
    return INI_MAX_LINE < CONFIG_LINE_MAX + 3 ? INI_MAX_LINE - 3 : CONFIG_LINE_MAX;
}

/* ---- problems ---- */

static void config_add_problem(struct config *config, struct config_place place, char *text)
{
    struct config_problem *problem =
        option_grow((void **)&config->problems, &config->problem_count, sizeof *problem);

    if (!problem) {
        mem_free(text);
        config->out_of_memory = true;
        return;
    }
    *problem =
        (struct config_problem){.place = place, .sequence = config->problem_count, .text = text};
}

void config_error(struct config *config, struct config_place place, const char *format, ...)
{
    char words[512], *text;
    va_list arguments;

    if (config->problem_count >= CONFIG_ERRORS_MAX)
        return;
    va_start(arguments, format);
    vsnprintf(words, sizeof words, format, arguments);
    va_end(arguments);
    text = mem_text(words);
    if (text)
        config_add_problem(config, place, text);
    else
        config->out_of_memory = true;
}

static int problem_compare(const void *left, const void *right)
{
    const struct config_problem *a = left, *b = right;

    if (config_before(a->place, b->place))
        return -1;
    if (config_before(b->place, a->place))
        return 1;
    return a->sequence < b->sequence ? -1 : a->sequence > b->sequence;
}

void config_print_errors(struct config *config, FILE *out)
{
    if (config->problem_count)
        qsort(config->problems, config->problem_count, sizeof *config->problems, problem_compare);
    for (uint32_t i = 0; i < config->problem_count; i++)
        fprintf(out, "%s:%u: %s\n", config->problems[i].place.file, config->problems[i].place.line,
                config->problems[i].text);
    if (config->problem_count >= CONFIG_ERRORS_MAX)
        fprintf(out, "%s:%u: too many errors, the rest is not shown\n",
                config->problems[config->problem_count - 1].place.file,
                config->problems[config->problem_count - 1].place.line);
    if (config->out_of_memory)
        fprintf(out, "out of memory while the configuration was read\n");
}

/* ---- sections ---- */

const struct config_entry *config_find(const struct config_section *section, const char *key)
{
    const struct config_entry *entry = section->first;

    while (entry && strcmp(entry->key, key) != 0)
        entry = entry->next;
    return entry;
}

struct config_section *config_section(const struct config *config, const char *kind,
                                      const char *name)
{
    struct config_section *section = config->first;

    while (section &&
           (strcmp(section->kind, kind) != 0 || (name && strcmp(section->name, name) != 0)))
        section = section->next;
    return section;
}

struct config_place config_start(const struct config *config)
{
    const struct config_file *file = config->files;

    while (file && file->next)
        file = file->next;
    return (struct config_place){.file = file ? file->path : "", .line = 1};
}

static void config_add_section(struct reader *reader, const char *kind, const char *name)
{
    struct config *config = reader->config;
    const struct config_section *before = config_section(config, kind, name);
    struct config_section *section = mem_new(sizeof *section);

    if (!section) {
        config->out_of_memory = true;
        return;
    }
    memcpy(section->kind, kind, strlen(kind) + 1);
    memcpy(section->name, name, strlen(name) + 1);
    section->place = reader->place;
    section->repeated = before != NULL;
    if (before)
        config_error(config, reader->place, "section given twice: [%s%s%s], first at %s:%u", kind,
                     *name ? " " : "", name, before->place.file, before->place.line);
    if (config->last)
        config->last->next = section;
    else
        config->first = section;
    config->last = section;
    config->section_count++;
    reader->section = section;
}

/* `line` starts with '['; it is written to. */
static void reader_take_header(struct reader *reader, char *line)
{
    char *end = strchr(line, ']'), *kind, *name, *rest;

    reader->section = NULL;
    reader->lost = true;
    rest = end ? end + 1 + strspn(end + 1, " \t") : NULL;
    if (!end || (*rest && (*rest != ';' || rest == end + 1))) {
        config_error(reader->config, reader->place, "expected [section] or [section name]");
        return;
    }
    *end = 0;
    name = text_trim(line + 1);
    kind = strsep(&name, " \t");
    name = name ? text_trim(name) : kind + strlen(kind);
    if (!option_name_valid(kind) || (*name && !option_name_valid(name))) {
        config_error(reader->config, reader->place,
                     "a section's name is 1 to 64 of A-Z a-z 0-9 _ . -");
        return;
    }
    if (reader->config->section_count >= CONFIG_SECTIONS_MAX) {
        config_error(reader->config, reader->place, "more than %d sections", CONFIG_SECTIONS_MAX);
        return;
    }
    reader->lost = false;
    config_add_section(reader, kind, name);
}

/* ---- entries ---- */

static void reader_keep_entry(struct reader *reader, const char *key, const char *value)
{
    struct config_section *section = reader->section;
    struct config_entry *entry = mem_new(sizeof *entry);

    if (!entry || !(entry->key = mem_text(key)) || !(entry->value = mem_text(value))) {
        if (entry)
            mem_free(entry->key);
        mem_free(entry);
        reader->config->out_of_memory = true;
        return;
    }
    entry->place = reader->place;
    if (section->last)
        section->last->next = entry;
    else
        section->first = entry;
    section->last = entry;
}

/* inih's handler, called at once for the one line that it was given; never stops it. */
static int reader_take_entry(void *context, const char *unused, const char *key, const char *value)
{
    struct reader *reader = context;
    char expanded[CONFIG_LINE_MAX + 1], error[OPTION_ERROR_SIZE];

    if (text_expand(value, expanded, sizeof expanded, error, sizeof error)) {
        config_error(reader->config, reader->place, "%s: %s", key, error);
        *expanded = 0;
    } else if (!*text_trim(expanded)) {
        config_error(reader->config, reader->place, "%s: empty value", key);
    }
    value = text_trim(expanded);
    reader_keep_entry(reader, key, value);
    if (*value && strcmp(key, "include") == 0 && !reader->section->repeated)
        config_include(reader->config, reader->place, value, reader->depth);
    return 1;
}

/* inih is content with `key: value`, and with any bytes before the sign; we are not. */
static bool is_entry(const char *line)
{
    size_t length = strspn(line, "abcdefghijklmnopqrstuvwxyz0123456789_");

    return length && line[length + strspn(line + length, " \t")] == '=';
}

static void reader_take_line(struct reader *reader, char *line)
{
    line = text_trim(line);
    if (!*line || *line == ';' || *line == '#')
        return;
    if (*line == '[')
        reader_take_header(reader, line);
    else if (!is_entry(line))
        config_error(reader->config, reader->place, "expected `key = value`%s",
                     *line != '=' && strchr(line, '=') ? ", where the key is of a-z 0-9 _" : "");
    else if (reader->section)
        must(ini_parse_string(line, reader_take_entry, reader) == 0); /* is_entry saw to it */
    else if (!reader->lost)
        config_error(reader->config, reader->place, "an option before the first [section]");
}

static void reader_check_line(struct reader *reader, const char *line, size_t length)
{
    char copy[CONFIG_LINE_MAX + 1];

    if (length && line[length - 1] == '\r')
        length--;
    if (length > config_line_max()) {
        config_error(reader->config, reader->place, "a line longer than %u bytes",
                     config_line_max());
    } else if (text_has_control(line, length)) {
        config_error(reader->config, reader->place, "control bytes in the line");
    } else if (!text_is_utf8(line, length)) {
        config_error(reader->config, reader->place, "bytes that are not UTF-8 text");
    } else {
        memcpy(copy, line, length);
        copy[length] = 0;
        reader_take_line(reader, copy);
    }
}

static bool reader_goes_on(const struct reader *reader)
{
    return !reader->config->out_of_memory && reader->config->problem_count < CONFIG_ERRORS_MAX;
}

static void reader_run(struct reader *reader, const char *text, size_t length)
{
    if (length >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {
        text += 3;
        length -= 3;
    }
    while (length && reader_goes_on(reader)) {
        const char *newline = memchr(text, '\n', length);
        size_t line = newline ? (size_t)(newline - text) : length;

        reader->place.line++;
        reader_check_line(reader, text, line);
        line += newline != NULL;
        text += line;
        length -= line;
    }
}

/* ---- files ---- */

void config_parse_text(struct config *config, struct config_place place, char *path,
                       const char *text, size_t length, uint32_t depth)
{
    struct config_file *file = mem_new(sizeof *file);
    struct reader reader = {.config = config, .depth = depth};

    if (!file) {
        mem_free(path);
        config->out_of_memory = true;
        return;
    }
    file->path = path;
    file->next = config->files;
    config->files = file;
    reader.place = (struct config_place){.file = path, .order = config->file_count++};
    if (length > CONFIG_FILE_MAX)
        config_error(config, place.line ? place : reader.place, "%s is larger than %d bytes", path,
                     CONFIG_FILE_MAX);
    else
        reader_run(&reader, text, length);
}

void config_read(struct config *config, const char *path)
{
    *config = (struct config){0};
    config_read_file(config, (struct config_place){.file = path}, path, 0);
}

void config_parse(struct config *config, const char *name, const char *text, size_t length)
{
    char *path = mem_text(name);

    *config = (struct config){0};
    if (path)
        config_parse_text(config, (struct config_place){.file = path}, path, text, length, 0);
    else
        config->out_of_memory = true;
}

static void section_free(struct config_section *section)
{
    struct config_entry *entry, *next;

    for (entry = section->first; entry; entry = next) {
        next = entry->next;
        mem_free(entry->key);
        mem_free(entry->value);
        mem_free(entry);
    }
    mem_free(section);
}

void config_free(struct config *config)
{
    struct config_section *section, *next_section;
    struct config_file *file, *next_file;

    for (section = config->first; section; section = next_section) {
        next_section = section->next;
        section_free(section);
    }
    for (file = config->files; file; file = next_file) {
        next_file = file->next;
        mem_free(file->path);
        mem_free(file);
    }
    for (uint32_t i = 0; i < config->problem_count; i++)
        mem_free(config->problems[i].text);
    mem_free(config->problems);
    *config = (struct config){0};
}
