/* core/tcp_loan.h - one direction of a TCP end, lent: its borrower moves the bytes on the
 * descriptor itself while the end rests.  No operation but a poll is then in flight in that
 * direction.  The end's own contract goes on when the loan is returned: the end meets the peer's
 * FIN itself, and stop() and failures close it as ever, once `recalled` has returned.
 *
 * Owner: the borrower, which embeds it.  Thread: the end's worker's.
 * Life: lent -> returned, by the borrower, inside `recalled` at the latest. */
#ifndef CORE_TCP_LOAN_H
#define CORE_TCP_LOAN_H

#include <stdbool.h>

#include "core/must.h"
#include "core/stream.h"

struct tcp_end;
struct tcp_loan {
    /* Set by the borrower. */
    void (*ready)(struct tcp_loan *loan);    /* after tcp_loan_wait: worth another try */
    void (*recalled)(struct tcp_loan *loan); /* the end closes: return it now */
    /* Set by lending. */
    struct tcp_end *end; /* NULL: not lent */
    int fd;
    uint32_t least; /* tcp_loan_expect */
};

bool is_tcp_end(const struct stream *stream);
/* Only inside received(): at another moment a receive may be in flight.  Pieces of that same
 * receive may still come. */
void tcp_end_lend_input(struct stream *stream, struct tcp_loan *loan);
/* False: it takes nothing more, now or later. */
bool tcp_end_takes_output(struct stream *stream);
/* False: that, or not all that was written has been sent.  Inside drained() it may have been. */
bool tcp_end_lend_output(struct stream *stream, struct tcp_loan *loan) MUST_CHECK;
void tcp_loan_wait(struct tcp_loan *loan); /* for bytes to read, or for room; no-op while it does */
/* An input: so many bytes must have come (or the end, or all that there is room for) before it is
 * ready; 1 at first.  The borrower must not wait for them for ever: they may never come. */
void tcp_loan_expect(struct tcp_loan *loan, uint32_t least);
/* error: 0, or what the descriptor answered (-errno) and so will not answer again. */
void tcp_loan_return(struct tcp_loan *loan, int error);

#endif
