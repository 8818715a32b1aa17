#include "cli/writer.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/mem.h"
#include "core/text.h"

enum { WRITER_FIRST = 4096 };

void writer_release(struct writer *writer)
{
    mem_free(writer->text);
    *writer = (struct writer){0};
}

void writer_clear(struct writer *writer)
{
    writer->length = 0;
    writer->failed = false;
}

/* Room for so many bytes and a NUL. */
static bool writer_grow(struct writer *writer, size_t length)
{
    size_t size = writer->size ? writer->size : WRITER_FIRST;
    char *text;

    while (size - writer->length <= length)
        size *= 2;
    if (writer->failed || size == writer->size)
        return !writer->failed;
    text = mem_resize(writer->text, size);
    if (!text) {
        writer->failed = true;
        return false;
    }
    writer->text = text;
    writer->size = size;
    return true;
}

void writer_bytes(struct writer *writer, const char *bytes, size_t length)
{
    if (!writer_grow(writer, length))
        return;
    memcpy(writer->text + writer->length, bytes, length);
    writer->length += length;
    writer->text[writer->length] = 0;
}

void writer_add(struct writer *writer, const char *format, ...)
{
    va_list arguments;
    int length;

    va_start(arguments, format);
    length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    if (length < 0 || !writer_grow(writer, (size_t)length))
        return;
    va_start(arguments, format);
    vsnprintf(writer->text + writer->length, (size_t)length + 1, format, arguments);
    va_end(arguments);
    writer->length += (size_t)length;
}

/* ---- in quotes: what peers say of themselves may be any bytes ---- */

/* False: the byte may stand as it is. */
typedef bool escape_fn(struct writer *writer, unsigned char byte, bool utf8);

static void writer_quote(struct writer *writer, const char *text, escape_fn *escape)
{
    bool utf8 = text_is_utf8(text, strlen(text));

    writer_bytes(writer, "\"", 1);
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            writer_add(writer, "\\%c", *text);
        else if (!escape(writer, (unsigned char)*text, utf8))
            writer_bytes(writer, text, 1);
    }
    writer_bytes(writer, "\"", 1);
}

/* What is not UTF-8 is shown as bytes of Latin-1. */
static bool json_escape(struct writer *writer, unsigned char byte, bool utf8)
{
    if (byte >= 0x20 && byte != 0x7f && (byte < 0x80 || utf8))
        return false;
    writer_add(writer, "\\u%04x", byte);
    return true;
}

static bool label_escape(struct writer *writer, unsigned char byte, bool utf8)
{
    if (byte != '\n' && (byte < 0x80 || utf8))
        return false;
    writer_bytes(writer, byte == '\n' ? "\\n" : "?", byte == '\n' ? 2 : 1);
    return true;
}

void writer_json(struct writer *writer, const char *text)
{
    writer_quote(writer, text, json_escape);
}

void writer_label(struct writer *writer, const char *text)
{
    writer_quote(writer, text, label_escape);
}
