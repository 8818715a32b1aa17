/* cli/origin.h - the demo's web server: answers any GET with one page, on a thread of its own.
 * Owner: cli/demo.  Thread: the main one. */
#ifndef CLI_ORIGIN_H
#define CLI_ORIGIN_H

#include <pthread.h>
#include <stdint.h>

#include "core/must.h"

struct origin {
    pthread_t thread;
    int fd;
    uint16_t port; /* on 127.0.0.1, once started */
};
int origin_start(struct origin *origin) MUST_CHECK; /* 0 or -errno */
void origin_stop(struct origin *origin);

#endif
