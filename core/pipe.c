#include "core/pipe.h"

#include <stddef.h>

#include "core/mem.h"

enum {
    PIPE_SIZE = 256 << 10,
    PIPE_SIZE_LEAST = 128 << 10,
    PIPES_KEPT = 8, /* more are closed as they come back */
};

void pipes_init(struct pipes *pipes, struct os *os)
{
    *pipes = (struct pipes){.os = os};
}

static struct pipe *pipe_open(struct pipes *pipes)
{
    struct pipe *pipe = mem_new(sizeof(*pipe));
    int fds[2], size;

    if (!pipe)
        return NULL;
    size = pipes->os->pipe(pipes->os, fds, PIPE_SIZE, PIPE_SIZE_LEAST);
    if (size < 0) {
        mem_free(pipe);
        return NULL;
    }
    *pipe = (struct pipe){.output = fds[0], .input = fds[1], .size = (uint32_t)size};
    pipes->count++;
    return pipe;
}

static void pipe_close(struct pipes *pipes, struct pipe *pipe)
{
    pipes->os->close(pipes->os, pipe->output);
    pipes->os->close(pipes->os, pipe->input);
    pipes->count--;
    mem_free(pipe);
}

static struct pipe *pipe_take_kept(struct pipes *pipes)
{
    struct pipe *pipe = pipes->kept;

    pipes->kept = pipe->next;
    pipes->kept_count--;
    if (pipes->kept_count < pipes->spare)
        pipes->spare = pipes->kept_count;
    return pipe;
}

struct pipe *pipe_take(struct pipes *pipes)
{
    if (pipes->kept)
        return pipe_take_kept(pipes);
    return pipes->count < PIPES_MAX ? pipe_open(pipes) : NULL;
}

void pipe_give(struct pipes *pipes, struct pipe *pipe)
{
    if (pipe->held || pipes->kept_count == PIPES_KEPT) {
        pipe_close(pipes, pipe);
        return;
    }
    pipe->next = pipes->kept;
    pipes->kept = pipe;
    pipes->kept_count++;
}

void pipes_trim(struct pipes *pipes)
{
    for (uint32_t spare = pipes->spare; spare; spare--)
        pipe_close(pipes, pipe_take_kept(pipes));
    pipes->spare = pipes->kept_count;
}

void pipes_release(struct pipes *pipes)
{
    while (pipes->kept)
        pipe_close(pipes, pipe_take_kept(pipes));
    must(!pipes->count);
}
