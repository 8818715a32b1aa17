#include "core/pipe.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "core/mem.h"
#include "tests/unit/test.h"

TEST(a_pipe_that_comes_back_empty_is_the_next_one_taken)
{
    struct pipes pipes;
    struct pipe *pipe;

    pipes_init(&pipes, &os_linux);
    pipe = pipe_take(&pipes);
    check(pipe && pipes.count == 1);
    check((uint32_t)fcntl(pipe->input, F_GETPIPE_SZ) == pipe->size);
    check(fcntl(pipe->output, F_GETFL) & O_NONBLOCK);
    pipe_give(&pipes, pipe);
    check(pipe_take(&pipes) == pipe && pipes.count == 1);
    pipe_give(&pipes, pipe);
    pipes_release(&pipes);
}

TEST(a_pipe_with_bytes_in_it_is_never_given_to_another)
{
    struct pipes pipes;
    struct pipe *pipe;
    int fd;

    pipes_init(&pipes, &os_linux);
    pipe = pipe_take(&pipes);
    check(pipe && write(pipe->input, "left", 4) == 4);
    fd = pipe->output;
    pipe->held = 4;
    pipe_give(&pipes, pipe);
    check(pipes.count == 0 && pipes.kept_count == 0 && fcntl(fd, F_GETFL) < 0);
    pipes_release(&pipes);
}

TEST(there_are_so_many_pipes_and_no_more)
{
    static struct pipe *taken[PIPES_MAX];
    struct pipes pipes;

    pipes_init(&pipes, &os_linux);
    for (int i = 0; i < PIPES_MAX; i++)
        check((taken[i] = pipe_take(&pipes)));
    check(!pipe_take(&pipes));
    for (int i = 0; i < PIPES_MAX; i++)
        pipe_give(&pipes, taken[i]);
    check(pipes.count == pipes.kept_count && pipes.count < PIPES_MAX);
    pipes_release(&pipes);
}

static int no_pipe(struct os *os, int fds[2], uint32_t size, uint32_t least)
{
    return -EMFILE;
}

TEST(a_refused_pipe_or_allocation_leaves_nothing_behind)
{
    struct os os = os_linux;
    struct pipes pipes;

    os.pipe = no_pipe;
    pipes_init(&pipes, &os);
    check(!pipe_take(&pipes) && pipes.count == 0);
    mem_fail_at(1);
    check(!pipe_take(&pipes) && pipes.count == 0);
    mem_fail_at(0);
    pipes_release(&pipes);
}

TEST(a_pipe_that_nobody_needed_between_two_trims_is_closed)
{
    struct pipes pipes;
    struct pipe *first, *second;

    pipes_init(&pipes, &os_linux);
    first = pipe_take(&pipes);
    second = pipe_take(&pipes);
    check(first && second);
    pipe_give(&pipes, first);
    pipe_give(&pipes, second);
    pipes_trim(&pipes); /* both came back since the last one: they stay */
    check(pipes.count == 2);
    pipe_give(&pipes, pipe_take(&pipes)); /* one is still needed now and then */
    pipes_trim(&pipes);
    check(pipes.count == 1);
    pipes_trim(&pipes);
    check(pipes.count == 0);
    pipes_release(&pipes);
}
