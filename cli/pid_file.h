/* cli/pid_file.h - the file with our number.  It is locked while we run, so that a second process
 * that was given the same one is told instead of taking it away.
 * Owner: who embeds it, fd -1 at first.  Thread: the main one. */
#ifndef CLI_PID_FILE_H
#define CLI_PID_FILE_H

#include <stddef.h>

#include "core/account.h"

struct pid_file {
    char *path; /* a copy: settings may be gone when it is closed */
    int fd;     /* -1: not open */
};

/* owner: whom it belongs to from now on.  0, or -errno and error is a sentence: -EBUSY when a
 * process that runs has it. */
int pid_file_open(struct pid_file *file, const char *path, const struct account *owner, char *error,
                  size_t error_size) MUST_CHECK;
/* Removes it, if its path leads to it still; in a folder that is not ours any more it stays, empty.
 * May be called again. */
void pid_file_close(struct pid_file *file);

#endif
