/* relay/access.h - the access log: one line for each finished connection or UDP session, and for
 * each user who was refused.  Thread: the worker's. */
#ifndef RELAY_ACCESS_H
#define RELAY_ACCESS_H

#include <stdint.h>

#include "core/reason.h"
#include "core/worker.h"

struct access_line {
    const char *listener, *protocol;
    uint64_t connection;                     /* the id that its other log lines have */
    const struct addr *source, *destination; /* as the user, or a PROXY header, has them */
    const char *backend, *member;            /* member NULL: none took it */
    uint64_t bytes_in, bytes_out;
    uint64_t began_ns, connected_ns; /* connected_ns 0: it never was */
    enum reason reason;
};
/* Costs nothing without an access log. */
void access_write(struct worker *worker, const struct access_line *line);

#endif
