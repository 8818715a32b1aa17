/* core/log.h - log lines with fields, as text or JSON, written by a thread of their own so that a
 * blocked stderr stalls no worker.
 *
 *     LOG(worker->log, LOG_INFO, "tunnel client registered", LOG_TEXT("client", name),
 *         LOG_ADDR("address", &peer), LOG_NUMBER("streams", 7));
 *
 * Owner: cli/process makes the log and one source per thread that writes; a source belongs to that
 * thread.  A line that finds its source's buffer full is dropped and counted.  Values are escaped:
 * one line is one record, and only printable bytes reach the file.  Secrets are never fields. */
#ifndef CORE_LOG_H
#define CORE_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/must.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };
enum log_format { LOG_FORMAT_TEXT, LOG_FORMAT_JSON };
enum log_field_kind { LOG_FIELD_TEXT, LOG_FIELD_NUMBER, LOG_FIELD_ADDR };

struct addr;
struct log_field {
    const char *name;
    enum log_field_kind kind;
    union {
        const char *text;
        int64_t number;
        const struct addr *addr;
    };
};
#define LOG_TEXT(field, value)                                                                     \
    ((struct log_field){.name = (field), .kind = LOG_FIELD_TEXT, .text = (value)})
#define LOG_NUMBER(field, value)                                                                   \
    ((struct log_field){.name = (field), .kind = LOG_FIELD_NUMBER, .number = (int64_t)(value)})
#define LOG_ADDR(field, value)                                                                     \
    ((struct log_field){.name = (field), .kind = LOG_FIELD_ADDR, .addr = (value)})

struct log;
struct log_source;
/* Where finished lines go instead of a file: the simulator and tests.  Borrowed line without its
 * newline. */
typedef void log_sink_fn(void *context, enum log_level level, const char *line, size_t length);

struct log_options {
    enum log_level level;
    enum log_format format;
    const char *file;  /* "stderr" or a path */
    log_sink_fn *sink; /* when set: called at once, on the caller's thread; no thread is made */
    void *sink_context;
    uint64_t (*wall_ms)(void *context); /* when set: the time of lines (simulator) */
    void *wall_context;
};
/* NULL when the file cannot be opened or the thread not made: *error is -errno. */
struct log *log_open(const struct log_options *options, int *error) MUST_CHECK;
/* Writes what is buffered, for at most one second; all sources are silent by then. */
void log_close(struct log **log);
/* Another level, format and file, or the same file anew, which was moved away.  It is opened at
 * once: NULL, and *error is -errno, when it cannot be.  `take` cannot fail; lines that are waiting
 * may go to the old file or the new. */
struct log_change;
struct log_change *log_change_new(struct log *log, const struct log_options *options,
                                  int *error) MUST_CHECK;
void log_change_take(struct log *log, struct log_change **change);
void log_change_free(struct log_change **change);              /* it was not taken */
struct log_source *log_source_new(struct log *log) MUST_CHECK; /* freed by log_close */
uint64_t log_dropped(const struct log *log); /* any thread: lines dropped or refused by the file */

/* A source that is NULL wants nothing. */
bool log_wanted(const struct log_source *source, enum log_level level);
/* event NULL: the line has the time and the fields alone, as an access log wants it. */
void log_write(struct log_source *source, enum log_level level, const char *event,
               const struct log_field *fields, size_t count);

#define LOG(source, level, event, ...)                                                             \
    do {                                                                                           \
        if (log_wanted(source, level)) {                                                           \
            const struct log_field log_fields[] = {__VA_ARGS__};                                   \
            log_write(source, level, event, log_fields, ARRAY_COUNT(log_fields));                  \
        }                                                                                          \
    } while (0)

#endif
