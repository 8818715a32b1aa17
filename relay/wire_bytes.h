/* relay/wire_bytes.h - reading and writing big-endian numbers within bounds: the codec's own.
 * A reader that runs out sets `short_of` and gives zeros; a writer that runs out sets `full`. */
#ifndef RELAY_WIRE_BYTES_H
#define RELAY_WIRE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct byte_reader {
    const uint8_t *at, *end;
    bool short_of;
};
struct byte_writer {
    uint8_t *start, *at, *end;
    bool full;
};

static inline struct byte_reader byte_reader(const uint8_t *data, size_t length)
{
    return (struct byte_reader){.at = data, .end = data + length};
}
static inline size_t bytes_left(const struct byte_reader *reader)
{
    return (size_t)(reader->end - reader->at);
}
/* NULL when there are fewer. */
static inline const uint8_t *bytes_take(struct byte_reader *reader, size_t length)
{
    const uint8_t *data = reader->at;

    if (bytes_left(reader) < length) {
        reader->short_of = true;
        return NULL;
    }
    reader->at += length;
    return data;
}
static inline uint64_t bytes_number(struct byte_reader *reader, unsigned width)
{
    const uint8_t *data = bytes_take(reader, width);
    uint64_t value = 0;

    for (unsigned i = 0; data && i < width; i++)
        value = value << 8 | data[i];
    return value;
}

static inline struct byte_writer byte_writer(uint8_t *to, size_t size)
{
    return (struct byte_writer){.start = to, .at = to, .end = to + size};
}
static inline void bytes_put(struct byte_writer *writer, const void *data, size_t length)
{
    if ((size_t)(writer->end - writer->at) < length) {
        writer->full = true;
        return;
    }
    if (length)
        memcpy(writer->at, data, length);
    writer->at += length;
}
static inline void bytes_put_number(struct byte_writer *writer, uint64_t value, unsigned width)
{
    uint8_t data[8];

    for (unsigned i = 0; i < width; i++)
        data[i] = (uint8_t)(value >> 8 * (width - 1 - i));
    bytes_put(writer, data, width);
}
/* How much was written; 0 when it did not fit. */
static inline size_t bytes_written(const struct byte_writer *writer)
{
    return writer->full ? 0 : (size_t)(writer->at - writer->start);
}

#endif
