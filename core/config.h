/* core/config.h - reads INI files strictly: into sections and entries with the place they stand at,
 * and an error for everything that is not plainly right.
 *
 * A line is at most 4096 bytes of UTF-8 text.  `[kind]` or `[kind name]` begins a section, `key =
 * value` is an entry; comments start with `;` or `#` at the start of a line, or with `;` after a
 * blank.  Values take ${NAME} and ${NAME:-default} from the environment.  `include` takes files, or
 * patterns (* ? [) in the last part of a path, relative to the file that says it.  What sections
 * and keys mean is for others to say; they report through config_error as well.
 *
 * Owner: whoever read it, until config_free; all texts and places are the config's.  Thread: any,
 * one at a time. */
#ifndef CORE_CONFIG_H
#define CORE_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "core/must.h"

enum {
    CONFIG_LINE_MAX = 4096,
    CONFIG_FILE_MAX = 1 << 20,  /* bytes */
    CONFIG_FILES_MAX = 256,     /* all files together */
    CONFIG_DEPTH_MAX = 8,       /* includes inside includes */
    CONFIG_SECTIONS_MAX = 4096, /* of all files */
    CONFIG_ERRORS_MAX = 100,    /* then reading stops */
    CONFIG_NAME_SIZE = 65
};

struct config_place {
    const char *file;
    uint32_t line, order; /* order: of the file, as they were read */
};

struct config_entry {
    struct config_entry *next;
    char *key, *value; /* an empty value has been reported */
    struct config_place place;
};

struct config_section {
    struct config_section *next;
    char kind[CONFIG_NAME_SIZE], name[CONFIG_NAME_SIZE]; /* name: empty when none was given */
    struct config_place place;
    struct config_entry *first, *last;
    bool repeated; /* an error: there is one of that kind and name before */
    void *target;  /* the reader's own */
};

struct config_file;
struct config_problem;
struct config {
    struct config_section *first, *last;
    uint32_t section_count;
    struct config_file *files;
    uint32_t file_count;
    struct config_problem *problems;
    uint32_t problem_count;
    bool out_of_memory;
};

/* Fill `config` from a file, or from memory (`name` stands for the file).  What was wrong is in its
 * problems; config_free is due in every case. */
void config_read(struct config *config, const char *path);
void config_parse(struct config *config, const char *name, const char *text, size_t length);
void config_free(struct config *config);

/* Longer lines are refused: CONFIG_LINE_MAX, or less where inih was built with a smaller buffer. */
uint32_t config_line_max(void);

void config_error(struct config *config, struct config_place place, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Whether nothing was wrong so far. */
static inline bool config_good(const struct config *config)
{
    return !config->problem_count && !config->out_of_memory;
}
/* "FILE:LINE: message" a line, in the order of files and lines. */
void config_print_errors(struct config *config, FILE *out);

/* The first entry of that key, or NULL. */
const struct config_entry *config_find(const struct config_section *section, const char *key);
/* The first section of that kind (and name, when not NULL), or NULL. */
struct config_section *config_section(const struct config *config, const char *kind,
                                      const char *name);

/* Whether `a` stands before `b`, as files were read. */
static inline bool config_before(struct config_place a, struct config_place b)
{
    return a.order != b.order ? a.order < b.order : a.line < b.line;
}
struct config_place config_start(const struct config *config); /* line 1 of the first file */

/* Private to core/config*.c. */
struct config_file {
    struct config_file *next;
    char *path;
};
struct config_problem {
    struct config_place place;
    uint32_t sequence;
    char *text;
};
/* Reads what `value` of an include names into `config`, in sorted order. */
void config_include(struct config *config, struct config_place place, const char *value,
                    uint32_t depth);
/* Reads one file; `place` says who asked for it (line 0: nobody, it is the first). */
void config_read_file(struct config *config, struct config_place place, const char *path,
                      uint32_t depth);
/* Takes `path`. */
void config_parse_text(struct config *config, struct config_place place, char *path,
                       const char *text, size_t length, uint32_t depth);

#endif
