/* Files that are right but for what is tried. */
#include "tests/unit/settings_text.h"

#include <stdio.h>
#include <string.h>

#include "tests/unit/test.h"

/* What each kind of section needs beside the option that is tried. */
static const struct fixture {
    const char *kind, *header;
    const char *needs[4];
} fixtures[] = {
    {"server",   "[server]",       {NULL}                                             },
    {"log",      "[log]",          {NULL}                                             },
    {"admin",    "[admin]",        {NULL}                                             },
    {"tls",      "[tls edge]",     {"cert = c", "key = k", "ca = a"}                  },
    {"tunnel",   "[tunnel pods]",  {"listen = 127.0.0.1:1", "tls = edge", "allow = a"}},
    {"listener", "[listener web]", {"bind = 127.0.0.1:2", "backend = api"}            },
    {"backend",  "[backend api]",  {"server = 127.0.0.1:3"}                           },
    {"client",   "[client]",       {"server = a.example:4", "tls = edge"}             },
    {"service",  "[service web]",  {"target = 127.0.0.1:5"}                           },
};

char document[32768], printed[65536];

void add_words(const char *text, const char *end)
{
    size_t length = strlen(document);

    snprintf(document + length, sizeof document - length, "%s%s", text, end);
}

void add(const char *text)
{
    add_words(text, "\n");
}

static bool same_key(const char *line, const char *key)
{
    size_t length = strlen(key);

    return strncmp(line, key, length) == 0 && line[length] == ' ';
}

static void add_needs(const struct fixture *fixture, const char *without)
{
    for (size_t i = 0; i < ARRAY_COUNT(fixture->needs) && fixture->needs[i]; i++)
        if (!without || !same_key(fixture->needs[i], without))
            add(fixture->needs[i]);
}

void compose(const char *kind, const char *key, const char *lines)
{
    *document = 0;
    for (size_t i = 0; i < ARRAY_COUNT(fixtures); i++) {
        if (strcmp(fixtures[i].kind, kind) != 0)
            continue;
        add(fixtures[i].header);
        add_words(lines, "");
        add_needs(&fixtures[i], key);
    }
    for (size_t i = 0; i < ARRAY_COUNT(fixtures); i++) {
        if (strcmp(fixtures[i].kind, kind) == 0)
            continue;
        add(fixtures[i].header);
        add_needs(&fixtures[i], NULL);
    }
}

struct settings *parse(const char *text)
{
    FILE *out = fmemopen(printed, sizeof printed, "w");
    struct settings *settings;

    memset(printed, 0, sizeof printed);
    settings = settings_parse("t.ini", text, strlen(text), out);
    fclose(out);
    return settings;
}

/* Whether one of the printed lines is exactly this one. */
static bool printed_line(const char *line)
{
    size_t length = strlen(line);

    for (const char *at = printed; (at = strstr(at, line)); at += length)
        if ((at == printed || at[-1] == '\n') && at[length] == '\n')
            return true;
    fprintf(stderr, "expected: %s\ngot:\n%.2000s", line, printed);
    return false;
}

bool refuses(const char *text, const char *line)
{
    struct settings *settings = parse(text);
    bool refused = !settings && printed_line(line);

    settings_free(&settings);
    return refused;
}

bool accepts(const char *text)
{
    struct settings *settings = parse(text);
    bool accepted = settings && !*printed;

    if (!accepted)
        fprintf(stderr, "refused: %s", printed);
    settings_free(&settings);
    return accepted;
}
