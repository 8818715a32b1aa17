/* core/ring.h - one io_uring of one worker, as typed calls on operations that their owners embed.
 *
 * Owner: the worker.  Thread: the worker's only; completions run only inside ring_turn, never
 * inside a call that submits.
 *
 * An op is busy from its call until its final completion, however many come before that
 * (multishot).  While it is busy the owner keeps it, and all memory that was passed with it, alive
 * and unchanged; a new call on a busy op is our bug.  A completion may start its own op again, when
 * final, but must not free the op's owner unless it is final and nothing else of the owner is busy.
 * ring_cancel asks for the final completion to come soon; it frees nothing.
 *
 * A driver does the work: ring_uring.c for the kernel, the simulator's for tests.  Negative
 * results are -errno.  -ECANCELED is what a cancelled op usually, but not always, ends with. */
#ifndef CORE_RING_H
#define CORE_RING_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "core/addr.h"
#include "core/buf.h"
#include "core/list.h"

struct ring;
struct op;

struct op_result {
    int res;             /* bytes, descriptor, poll mask, or -errno */
    bool final;          /* nothing of this op comes after */
    bool more_waits;     /* the socket is known to hold more bytes */
    struct chunk *chunk; /* taken; what the kernel filled, for receives from a group */
};
typedef void op_done_fn(struct op *op, struct op_result result);

enum op_kind {
    OP_ACCEPT_MULTI,
    OP_RECV,          /* one receive into a chunk of a group; waits without holding a buffer */
    OP_RECV_NOW,      /* recvmsg with MSG_DONTWAIT into the owner's vectors */
    OP_RECVMSG_MULTI, /* datagrams with address and control bytes, chunk per completion */
    OP_SENDMSG,
    OP_CONNECT,
    OP_POLL,
    OP_READ, /* an eventfd */
    OP_KIND_COUNT
};

struct op {
    op_done_fn *done; /* set by op_init */
    enum op_kind kind : 8;
    bool busy : 1;
    bool cancelled : 1;
    bool waiting : 1; /* for chunks; `link` is in the group's `dry` or the ring's `ended` */
    bool drained : 1; /* receives: the last one emptied the socket */
    int fd;
    union {
        struct group *group;     /* OP_RECV, OP_RECVMSG_MULTI */
        const struct addr *peer; /* OP_CONNECT */
        void *buffer;            /* OP_READ */
    };
    struct msghdr *message; /* OP_RECV_NOW, OP_RECVMSG_MULTI, OP_SENDMSG */
    uint32_t flags;         /* MSG_* or poll mask; OP_READ: length */
    struct list link;       /* the driver's */
};

static inline void op_init(struct op *op, op_done_fn *done)
{
    *op = (struct op){.done = done, .fd = -1};
    list_init(&op->link);
}

/* ---- calls; fd and op are borrowed until the final completion ---- */
void ring_accept_multi(struct ring *ring, struct op *op, int fd);
void ring_recv(struct ring *ring, struct op *op, int fd, struct group *group);
void ring_recv_now(struct ring *ring, struct op *op, int fd, struct msghdr *message);
void ring_recvmsg_multi(struct ring *ring, struct op *op, int fd, struct group *group,
                        struct msghdr *message);
void ring_sendmsg(struct ring *ring, struct op *op, int fd, struct msghdr *message, uint32_t flags);
void ring_connect(struct ring *ring, struct op *op, int fd, const struct addr *peer);
/* Mask 0: waits for an error or a full hang-up only, may complete more than once, and is not woken
 * by a peer that only half closed. */
void ring_poll(struct ring *ring, struct op *op, int fd, uint32_t mask);
void ring_read(struct ring *ring, struct op *op, int fd, void *buffer, uint32_t length);
void ring_cancel(struct ring *ring, struct op *op); /* no-op when not busy */

/* Parses what OP_RECVMSG_MULTI left in a chunk.  False: truncated or malformed. */
struct datagram_in {
    struct addr peer;
    struct addr local; /* family AF_UNSPEC when the kernel did not say (IP_PKTINFO off) */
    const uint8_t *data;
    uint32_t length;
    uint32_t segment; /* GRO: size of each but the last datagram; 0: one datagram */
    uint8_t ecn;      /* of all segments, 0..3 */
};
bool ring_datagram(const struct op *op, struct op_result result, struct datagram_in *in);

/* ---- groups ---- */
int ring_group_open(struct ring *ring, struct group *group, struct pools *pools,
                    enum pool_size size, uint16_t count) MUST_CHECK;
void ring_group_close(struct ring *ring, struct group *group);
/* An op whose receive ended with -ENOBUFS: its done is called again with res -EAGAIN, final, once
 * chunks have come back.  The op counts as busy meanwhile and can be cancelled. */
void ring_wait_for_chunks(struct ring *ring, struct op *op);

/* ---- the loop's side ---- */
struct ring_stats {
    uint64_t enters, submissions, completions, overflows, dry; /* dry: -ENOBUFS met */
};
/* Submits what is queued, waits until a completion or deadline_ns (absolute, os clock; 0: does not
 * wait; UINT64_MAX: for ever), then runs completions, at most 256.  0, or -errno when the ring is
 * broken. */
int ring_turn(struct ring *ring, uint64_t deadline_ns) MUST_CHECK;
uint32_t ring_busy(const struct ring *ring); /* ops in flight: must be 0 before ring_close */
const struct ring_stats *ring_stats(const struct ring *ring);
void ring_close(struct ring **ring);

/* ---- drivers ---- */
struct ring_driver {
    void (*submit)(struct ring *ring, struct op *op);
    void (*cancel)(struct ring *ring, struct op *op);
    int (*turn)(struct ring *ring, uint64_t deadline_ns);
    bool (*datagram)(const struct op *op, struct op_result result, struct datagram_in *in);
    int (*group_open)(struct ring *ring, struct group *group);
    void (*group_publish)(struct ring *ring, struct group *group, uint16_t id, struct chunk *chunk);
    void (*group_close)(struct ring *ring, struct group *group);
    void (*close)(struct ring *ring);
};
/* A driver embeds this first in its own struct. */
struct ring {
    const struct ring_driver *driver;
    uint32_t busy;
    struct ring_stats stats;
    struct list refillable; /* groups that are short of chunks or have ops waiting */
    struct list ended;      /* ops that were cancelled while they waited for chunks */
    /* Set by the worker: called in each turn before its first completion (reads the clock). */
    void (*woke)(void *context);
    void *woke_context;
    bool woken; /* in this turn */
};
void ring_init(struct ring *ring, const struct ring_driver *driver);
/* For drivers: marks the op idle when final, takes the chunk out of its group and publishes
 * another, then calls done.  buffer_id is -1 without a buffer. */
void ring_complete(struct ring *ring, struct op *op, struct op_result result, int buffer_id);

/* The kernel's driver.  Features are probed; a name in `without` (comma-separated: "bundle",
 * "submit_all", …, or "all") switches an accelerator off so that tests can force the 6.1 floor.
 * Called on the thread that will run the ring, the only one the kernel then accepts.  On
 * failure: NULL and a sentence that says what forbids io_uring and what to do (old kernel, sysctl,
 * seccomp, memlock). */
struct ring *ring_uring_open(const char *without, char *error, size_t error_size) MUST_CHECK;

#endif
