/* core/tcp_end.h - a connected TCP (or unix stream) socket as a stream (stream.h is the contract).
 *
 * Receiving: one OP_RECV at a time, waiting without a buffer; a flow that fills whole chunks is
 * read with OP_RECV_NOW into several chunks at once until it runs dry.  Sending: what was written
 * in a turn goes out as one sendmsg at its end, one in flight, at most 64 pieces. A reset from the
 * peer (or any socket error) ends in closed(REASON_RESET…); stop() sends RST. What the peer sent
 * before its reset is delivered first, so a reset that comes while receiving rests at receive_limit
 * is noticed when it goes on. */
#ifndef CORE_TCP_END_H
#define CORE_TCP_END_H

#include "core/addr.h"
#include "core/sock.h"
#include "core/stream.h"
#include "core/worker.h"

/* fd is taken, on failure (NULL: no memory) too. */
struct stream *tcp_end_new(struct worker *worker, int fd) MUST_CHECK;

/* From end to end, on another worker: an end that was never written to gives its connection up.
 * What it has received still comes, then closed(): with REASON_DONE tcp_end_take gives the
 * descriptor, else the connection has failed meanwhile.  The peer's FIN is met by the next end. */
void tcp_end_leave(struct stream *stream);
int tcp_end_take(struct stream *stream) MUST_CHECK; /* inside closed(); -1: there is none */
/* Before the next end starts: so many bytes of its connection are here and not consumed yet. */
void tcp_end_inherit(struct stream *stream, uint64_t length);

/* Connects first.  Owner: who embeds it; done is called once, never from inside tcp_connect_start;
 * after tcp_connect_stop it is still called, with REASON_ABANDONED, when the kernel has let go. */
struct tcp_connect;
typedef void tcp_connect_fn(struct tcp_connect *connect, struct stream *stream, enum reason reason);
struct tcp_connect {
    struct worker *worker;
    tcp_connect_fn *done; /* stream is taken; NULL when it failed, for `reason` */
    struct addr peer;
    int fd;
    uint32_t keepalive_s;
    bool stopping, timed_out;
    int failed; /* -errno of a step before the ring was asked */
    struct op op;
    struct timer timer;
    struct task task;
};
void tcp_connect_start(struct tcp_connect *connect, struct worker *worker, const struct addr *peer,
                       const struct tcp_options *options, uint64_t timeout_ns,
                       tcp_connect_fn *done);
void tcp_connect_stop(struct tcp_connect *connect);

#endif
