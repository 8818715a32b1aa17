/* core/pipe.h - pipes for splice(2), kept for the next flow that needs one.
 * Owner: the worker.  Thread: the worker's.
 * Life: a pipe is taken and given back; an empty one is kept, one with bytes in it is closed.  All
 * of them together stay under PIPES_MAX, well within what the kernel lets one user lock in pipes
 * (pipe-user-pages-soft); where it gives no large pipe, there is none. */
#ifndef CORE_PIPE_H
#define CORE_PIPE_H

#include <stdint.h>

#include "core/must.h"
#include "core/os.h"

enum { PIPES_MAX = 192 };

struct pipe {
    int output, input; /* descriptors: bytes leave by the first, enter by the second */
    uint32_t size;     /* most bytes it holds: fewer where they come in small parts */
    uint32_t held;     /* bytes in it: its user's account */
    struct pipe *next; /* while kept */
};

struct pipes {
    struct os *os;
    struct pipe *kept;
    uint32_t kept_count, count; /* all that are open */
    uint32_t spare;             /* kept ones that nobody needed since the last trim */
};

void pipes_init(struct pipes *pipes, struct os *os);
void pipes_trim(struct pipes *pipes);    /* closes the spare ones; called now and then */
void pipes_release(struct pipes *pipes); /* every pipe given back before */
/* NULL: too many, or the kernel gives none. */
struct pipe *pipe_take(struct pipes *pipes) MUST_CHECK;
void pipe_give(struct pipes *pipes, struct pipe *pipe); /* taken */

#endif
