/* quic/socket.h - a UDP socket of an endpoint: receives in bursts, sends in batches.  Internal to
 * quic.
 *
 * Owner: the endpoint.  Thread: its worker's.
 * Life: socket_open -> socket_stop -> idle, once, never from inside a call; the socket is freed
 * right before.  A connection may have batches in flight when it stops its socket; each still gets
 * its done(). */
#ifndef QUIC_SOCKET_H
#define QUIC_SOCKET_H

#include <stdbool.h>
#include <stdint.h>

#include "core/addr.h"
#include "core/ring.h"
#include "core/worker.h"

struct quic_socket;
struct batch;

/* in is borrowed until return. */
typedef void socket_received_fn(void *owner, struct quic_socket *socket,
                                const struct datagram_in *in);
typedef void socket_idle_fn(void *owner);
typedef void batch_done_fn(struct batch *batch); /* the batch is taken back when it returns */

enum { BATCH_BYTES = 65000, BATCH_SEGMENTS = 64, BATCH_CONTROL = 128 };

/* Equal datagrams (the last may be shorter) that leave in one send.  The writer fills the first
 * group and gives it to batch_send. */
struct batch {
    /* Set by the writer. */
    struct chunk *chunk;    /* taken by batch_send */
    uint32_t start, length; /* of all datagrams, in the chunk */
    uint32_t segment;       /* of each but the last */
    uint8_t ecn;
    struct addr peer, local; /* length 0: connected; the kernel chooses */
    batch_done_fn *done;     /* may be NULL */
    void *owner;
    /* While in flight. */
    struct quic_socket *socket;
    struct op op;
    struct list link; /* spare ones */
    struct msghdr message;
    struct iovec part;
    _Alignas(8) uint8_t control[BATCH_CONTROL];
};

struct quic_socket_options {
    struct worker *worker;
    bool bound; /* fd is a server's, and stays its owner's when the socket ends */
    int fd;
    const struct addr *bind; /* a server's, else; else `peer` */
    const struct addr *peer;
    bool packet_info;
    socket_received_fn *received;
    void *owner;
};
/* NULL: *error is -errno. */
struct quic_socket *socket_open(const struct quic_socket_options *options, int *error) MUST_CHECK;
void socket_stop(struct quic_socket *socket, socket_idle_fn *idle, void *owner);
const struct addr *socket_local(const struct quic_socket *socket);

/* A batch with a chunk of that size, all else zero; NULL when memory is out.  Small ones are for a
 * single packet that is not the connection's bulk: many may be in flight at once.  It goes to
 * batch_send or batch_cancel. */
struct batch *batch_take(struct quic_socket *socket, enum pool_size size) MUST_CHECK;
void batch_send(struct batch *batch);
void batch_cancel(struct batch *batch);

#endif
