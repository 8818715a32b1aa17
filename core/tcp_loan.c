#include "core/tcp_loan.h"

#include <poll.h>

#include "core/tcp_end_parts.h"

bool is_tcp_end(const struct stream *stream)
{
    return stream->ops == &tcp_end_ops;
}

static void tcp_loan_set(struct tcp_loan *loan, struct tcp_end *end)
{
    loan->end = end;
    loan->fd = end->fd;
    loan->least = 1;
}

void tcp_end_lend_input(struct stream *stream, struct tcp_loan *loan)
{
    struct tcp_end *end = tcp_end_of(stream);

    must(is_tcp_end(stream) && !end->recv_op.busy && !end->input && !end->ended);
    tcp_loan_set(loan, end);
    end->input = loan;
}

bool tcp_end_takes_output(struct stream *stream)
{
    const struct tcp_end *end = tcp_end_of(stream);

    return tcp_end_is_open(end) && !end->broken && !end->finishing;
}

bool tcp_end_lend_output(struct stream *stream, struct tcp_loan *loan)
{
    struct tcp_end *end = tcp_end_of(stream);

    must(is_tcp_end(stream) && !end->output);
    if (!tcp_end_takes_output(stream) || end->send_op.busy || !queue_empty(&end->out))
        return false;
    tcp_loan_set(loan, end);
    end->output = loan;
    return true;
}

void tcp_loan_expect(struct tcp_loan *loan, uint32_t least)
{
    struct tcp_end *end = loan->end;
    struct os *os = end->worker->os;
    int bytes = (int)least;

    must(end->input == loan);
    if (loan->least == least || !tcp_end_is_open(end))
        return;
    if (!os->set_option(os, end->fd, SOL_SOCKET, SO_RCVLOWAT, &bytes, sizeof(bytes)))
        loan->least = least;
}

void tcp_loan_wait(struct tcp_loan *loan)
{
    struct tcp_end *end = loan->end;
    bool input = end->input == loan;

    if (!tcp_end_is_open(end))
        return; /* `recalled` comes */
    if (input ? end->recv_op.busy : end->send_op.busy)
        return;
    if (input)
        ring_poll(end->worker->ring, &end->recv_op, end->fd, POLLIN);
    else
        ring_poll(end->worker->ring, &end->send_op, end->fd, POLLOUT);
}

void tcp_loan_return(struct tcp_loan *loan, int error)
{
    struct tcp_end *end = loan->end;
    bool input = end->input == loan;

    if (input)
        tcp_loan_expect(loan, 1);
    loan->end = NULL;
    *(input ? &end->input : &end->output) = NULL;
    if (!tcp_end_is_open(end))
        return;
    ring_cancel(end->worker->ring, input ? &end->recv_op : &end->send_op);
    if (error && input)
        tcp_end_fail(end, error);
    else if (error)
        tcp_end_send_failed(end, error);
    worker_defer(end->worker, &end->task);
}
