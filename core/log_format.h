/* core/log_format.h - one log line as text or JSON; log.c's own.  Thread: any.
 *
 *     2026-01-31T23:59:59.123Z info  tunnel client registered client=web-1 streams=7
 *     {"time":"2026-01-31T23:59:59.123Z","level":"info","event":"tunnel client
 * registered","client":"web-1","streams":7}
 *
 * Only bytes 0x20 to 0x7e come out, whatever went in.  Text: a value with blanks, quotes, `=` or
 * other bytes is quoted, with \" \\ \n \r \t and \xNN.  JSON: always valid; UTF-8 becomes \uNNNN,
 * what is not UTF-8 \ufffd.  A long value is cut and ends in "...", fields that do not fit are left
 * out and the line then ends with a field "cut". */
#ifndef CORE_LOG_FORMAT_H
#define CORE_LOG_FORMAT_H

#include "core/log.h"

/* With its newline; as much as a pipe takes in one piece. */
enum { LOG_LINE_SIZE = 4096 };

struct log_record {
    enum log_level level;
    uint64_t wall_ms;
    const char *event; /* NULL: neither level nor event are shown */
    const struct log_field *fields;
    size_t count;
};
/* Returns the length, newline included, which is the last byte; there is no NUL. */
size_t log_format_line(char text[LOG_LINE_SIZE], enum log_format format,
                       const struct log_record *record) MUST_CHECK;

#endif
