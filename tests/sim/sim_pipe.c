/* Pipes, and splice between one and a TCP socket. */
#include <errno.h>
#include <stdlib.h>

#include "tests/sim/kernel.h"

enum { SMALLEST_BITS = 12, BITS = 9, PART = 16384 };

int sim_pipe_open(struct sim_host *host, int fds[2])
{
    struct sim *sim = host->sim;
    struct sim_socket *ends[2];

    for (int i = 0; i < 2; i++) {
        ends[i] = sim_socket_new(host, SIM_PIPE, AF_UNSPEC);
        fds[i] = sim_socket_number(ends[i]);
        if (fds[i] >= 0)
            continue;
        if (i)
            sim_socket_close(ends[0]);
        return fds[i];
    }
    ends[0]->mate = ends[1];
    ends[1]->mate = ends[0];
    ends[1]->out.capacity = 1u << (SMALLEST_BITS + sim_random(sim, BITS));
    ends[1]->out.bytes = sim_alloc(ends[1]->out.capacity);
    return (int)ends[1]->out.capacity;
}

/* The kernel's pipes have slots: one may be full before its bytes are. */
static bool is_full(struct sim_socket *input)
{
    struct sim_pipe *pipe = &input->out;
    uint64_t held = pipe->written - pipe->taken;

    return held == pipe->capacity || (held && sim_chance(input->host->sim, 100));
}

static int splice_in(struct sim_socket *tcp, struct sim_socket *input, uint32_t length)
{
    struct sim_pipe *pipe = &input->out;
    uint64_t room = pipe->capacity - (pipe->written - pipe->taken);
    uint8_t bytes[PART];
    struct iovec part = {bytes, length < room ? length : room};
    int got;

    if (is_full(input))
        return -EAGAIN;
    part.iov_len = part.iov_len < PART ? part.iov_len : PART;
    got = sim_tcp_recv(tcp, &part, 1);
    for (int i = 0; i < got; i++)
        pipe->bytes[pipe->written++ & (pipe->capacity - 1)] = bytes[i];
    return got;
}

static int splice_out(struct sim_socket *output, struct sim_socket *tcp, uint32_t length)
{
    struct sim_pipe *pipe = &output->mate->out;
    uint64_t held = pipe->written - pipe->taken;
    uint8_t bytes[PART];
    struct iovec part = {bytes, length < held ? length : held};
    int put;

    if (!held)
        return -EAGAIN;
    part.iov_len = part.iov_len < PART ? part.iov_len : PART;
    for (size_t i = 0; i < part.iov_len; i++)
        bytes[i] = pipe->bytes[(pipe->taken + i) & (pipe->capacity - 1)];
    put = sim_tcp_send(tcp, &part, 1, 0);
    if (put > 0)
        pipe->taken += (uint64_t)put;
    return put;
}

int sim_splice(struct sim_socket *from, struct sim_socket *to, uint32_t length)
{
    must((from->kind == SIM_TCP && to->kind == SIM_PIPE && to->out.bytes) ||
         (from->kind == SIM_PIPE && to->kind == SIM_TCP && from->mate->out.bytes));
    return from->kind == SIM_TCP ? splice_in(from, to, length) : splice_out(from, to, length);
}
