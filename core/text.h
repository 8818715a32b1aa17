/* core/text.h - small helpers for tables of names.  Thread: any. */
#ifndef CORE_TEXT_H
#define CORE_TEXT_H

#include <stddef.h>

/* "LIMIT_MAX_STREAMS" as "limit_max_streams"; cut at size - 1 bytes. */
static inline void text_lower(char *to, size_t size, const char *from)
{
    size_t i = 0;

    for (; from[i] && i + 1 < size; i++)
        to[i] = from[i] >= 'A' && from[i] <= 'Z' ? (char)(from[i] - 'A' + 'a') : from[i];
    to[i] = '\0';
}

#endif
