/* cli/writer.h - text that grows: answers, pages of metrics, screens.
 * Owner: who embeds it; writer_release.  Out of memory once, it stays `failed` and takes no more.
 * Thread: one at a time. */
#ifndef CLI_WRITER_H
#define CLI_WRITER_H

#include <stdbool.h>
#include <stddef.h>

#include "core/must.h"

struct writer {
    char *text; /* ends with a NUL unless it is NULL */
    size_t length, size;
    bool failed;
};

void writer_release(struct writer *writer);
void writer_clear(struct writer *writer); /* keeps its memory */
void writer_bytes(struct writer *writer, const char *bytes, size_t length);
void writer_add(struct writer *writer, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* "text" in quotes and escaped: for JSON, and for the value of a metric's label. */
void writer_json(struct writer *writer, const char *text);
void writer_label(struct writer *writer, const char *text);

#endif
