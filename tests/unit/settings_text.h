/* tests/unit/settings_text.h - configuration files as tests write them, and what is said of them.
 */
#ifndef TESTS_UNIT_SETTINGS_TEXT_H
#define TESTS_UNIT_SETTINGS_TEXT_H

#include <stdbool.h>

#include "relay/settings.h"

extern char document[32768]; /* the file in the making */
extern char printed[65536];  /* what the last parse() said */

/* Appends a line, or words with an end of their own, to the document. */
void add(const char *text);
void add_words(const char *text, const char *end);
/* The document becomes a whole file: the section of `kind` first, with `lines` from line 2 on and
 * what it needs but for `key`; then all the others. */
void compose(const char *kind, const char *key, const char *lines);

/* NULL when the text was refused; the caller frees the settings. */
struct settings *parse(const char *text);
/* Whether the text is refused, and one of the printed lines is exactly this one. */
bool refuses(const char *text, const char *line);
/* Whether the text is taken without a word. */
bool accepts(const char *text);

#endif
