/* core/tcp_end_parts.h - the inside of an end, shared by tcp_end.c, tcp_connect.c and
 * tcp_loan.c only. */
#ifndef CORE_TCP_END_PARTS_H
#define CORE_TCP_END_PARTS_H

#include "core/tcp_end.h"
#include "core/tcp_loan.h"

enum tcp_end_state {
    TCP_END_OPEN,
    TCP_END_CLOSING, /* operations end; `reason` says why */
    TCP_END_CLOSED,
    TCP_END_STATE_COUNT
};

struct tcp_end {
    struct stream stream;
    struct worker *worker;
    int fd;
    uint8_t state;
    uint8_t reason;
    bool started : 1;
    bool ended : 1;     /* the peer's FIN was received */
    bool finishing : 1; /* finish() was called */
    bool finished : 1;  /* our FIN was sent */
    bool bulky : 1;     /* the last receive filled all the room it had */
    bool broken : 1;    /* the peer takes no more: what it sent before is still received */
    bool resets : 1;    /* closing sends RST */
    bool leaves : 1;    /* closing keeps the connection */
    bool young : 1;     /* keepalive is to be set, if it lives on */
    uint32_t keepalive_s;
    uint64_t unconsumed;
    uint64_t wasted; /* written to a broken one, and not told as drained yet */
    struct queue out;
    struct vectors *receiving, *sending; /* while OP_RECV_NOW, OP_SENDMSG are in flight */
    struct op recv_op;                   /* OP_RECV, OP_RECV_NOW; after the end: OP_POLL */
    struct op send_op;
    struct tcp_loan *input, *output; /* NULL unless lent */
    struct task task;                /* sends, receives, closes: what the turn left to do */
    struct task late_task; /* what ends that are closed within milliseconds never come to */
};
_Static_assert(sizeof(struct tcp_end) <= 400, "an idle connection must stay small");

extern const struct stream_ops tcp_end_ops;

static inline struct tcp_end *tcp_end_of(struct stream *stream)
{
    return container_of(stream, struct tcp_end, stream);
}

static inline bool tcp_end_is_open(const struct tcp_end *end)
{
    return end->state == TCP_END_OPEN;
}

void tcp_end_fail(struct tcp_end *end, int error);
void tcp_end_send_failed(struct tcp_end *end, int error);
/* One that has just connected, tuned by sock_tcp_tune_first alone. */
void tcp_end_begin_young(struct tcp_end *end, uint32_t keepalive_s);

#endif
