/* core/key_file.h - files that hold secrets: read only when nobody else can read or replace them,
 * written whole or not at all.  Thread: any.
 *
 * Symbolic links are followed (renewal tools rely on them); the checks are made on the file that
 * was opened, so that it cannot be exchanged in between. */
#ifndef CORE_KEY_FILE_H
#define CORE_KEY_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/must.h"

enum { KEY_FILE_MAX = 1 << 20 };

struct key_file {
    uint8_t *data; /* NUL after the last byte */
    size_t length;
};

/* Reads a regular file of at most KEY_FILE_MAX bytes.  A secret one must belong to root or to us,
 * be closed to others, not writable by its group, and readable by it only when we are in that group
 * or it is root's: systemd's credentials are, the service's user being named in an access list.
 * 0 or -errno (-EPERM: unsafe); error is a sentence that names the file. */
int key_file_read(const char *path, bool secret, struct key_file *file, char *error,
                  size_t error_size) MUST_CHECK;
void key_file_release(struct key_file *file); /* wiped; accepts a zeroed one */

/* Writes beside the path, then renames: readers see the old file or the new one.  Secret: mode
 * 0600, else 0644.  Without force an existing file is left alone: -EEXIST.  0 or -errno. */
int key_file_write(const char *path, bool secret, const void *data, size_t length, bool force,
                   char *error, size_t error_size) MUST_CHECK;

#endif
