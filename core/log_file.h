/* core/log_file.h - the file that log lines go to; log.c's own.
 *
 * Owner: the log.  Thread: the log's, which may wait here while the file blocks.  A file that
 * refuses (a full disk, a reader that went away) costs the bytes it refused and no more: the caller
 * has SIGPIPE and SIGXFSZ blocked. */
#ifndef CORE_LOG_FILE_H
#define CORE_LOG_FILE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/must.h"

enum { LOG_BATCH_SIZE = 64 << 10 }; /* what a caller puts at once, at most */

struct log_file {
    char *path; /* NULL: stderr */
    int fd;
    int wake_fd;       /* an eventfd, borrowed: written when give_up_ms was set */
    size_t batch_size; /* what it takes at once without blocking */
    bool torn;         /* the last line in it has no end */
    /* Set by another thread: when to stop waiting (CLOCK_MONOTONIC); 0: never. */
    _Atomic uint64_t give_up_ms;
};

/* name: "stderr" or a path; wake_fd is borrowed.  0 or -errno. */
int log_file_open(struct log_file *file, const char *name, int wake_fd) MUST_CHECK;
void log_file_release(struct log_file *file);
/* Lines go on in `next`, which is empty afterwards; it may be the same file, opened anew. */
void log_file_replace(struct log_file *file, struct log_file *next);
/* Whole lines; returns how many bytes at their end were not written. */
size_t log_file_put(struct log_file *file, const char *lines, size_t length);
/* Milliseconds for poll(2): -1 for ever, else what is left until give_up_ms. */
int log_file_patience_ms(struct log_file *file);

#endif
