/* core/must.h - assertions that stay on in release, and the three macros everyone needs.
 * must() means that WE erred: never use it for what a peer, a file or the kernel did. */
#ifndef CORE_MUST_H
#define CORE_MUST_H

#include <stddef.h>

#define must(condition)                                                                            \
    (__builtin_expect(!!(condition), 1) ? (void)0                                                  \
                                        : must_failed(#condition, __FILE__, __LINE__, __func__))

_Noreturn void must_failed(const char *condition, const char *file, int line, const char *function);

#define container_of(pointer, type, member)                                                        \
    ((type *)(void *)((char *)(pointer)-offsetof(type, member)))
#define ARRAY_COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define MUST_CHECK         __attribute__((warn_unused_result))

#endif
