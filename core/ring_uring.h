/* core/ring_uring.h - what the files of the kernel's ring driver share. */
#ifndef CORE_RING_URING_H
#define CORE_RING_URING_H

#include <liburing.h>

#include "core/ring.h"

/* ring_prepare.c: fills the request of an op. */
void uring_prepare(const struct op *op, struct io_uring_sqe *sqe);
/* ring_datagram.c: driver->datagram. */
bool uring_datagram(const struct op *op, struct op_result result, struct datagram_in *in);

#endif
