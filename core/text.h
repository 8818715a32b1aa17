/* core/text.h - text that comes from files and the environment, and tables of names.
 * Thread: any. */
#ifndef CORE_TEXT_H
#define CORE_TEXT_H

#include <stdbool.h>
#include <stddef.h>

#include "core/must.h"

bool text_is_utf8(const char *text, size_t length); /* shortest forms only, no surrogates */
/* A byte that is neither printable, nor UTF-8, nor a tab. */
bool text_has_control(const char *text, size_t length);
/* Cuts blanks off both ends, in place. */
char *text_trim(char *text);
/* Writes `value` to `out` with ${NAME} and ${NAME:-default} replaced by the environment's.  0, or
 * -EINVAL with a sentence in `error`. */
int text_expand(const char *value, char *out, size_t out_size, char *error,
                size_t error_size) MUST_CHECK;
/* `path` as seen from the folder of `file`: a new text (mem_free), or NULL without memory. */
char *text_beside(const char *file, const char *path) MUST_CHECK;
/* "LIMIT_MAX_STREAMS" as "limit_max_streams"; cut at size - 1 bytes. */
static inline void text_lower(char *to, size_t size, const char *from)
{
    size_t i = 0;

    for (; from[i] && i + 1 < size; i++) {
        to[i] = from[i];
        if (from[i] >= 'A' && from[i] <= 'Z')
            to[i] |= 0x20;
    }
    to[i] = '\0';
}

#endif
