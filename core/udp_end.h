/* core/udp_end.h - a connected UDP socket to a service, as a datagram end (datagram.h).
 * GRO in; what is sent in one turn goes out as GSO batches of equal-sized datagrams at its end.
 * ICMP errors are counted and do not end it. */
#ifndef CORE_UDP_END_H
#define CORE_UDP_END_H

#include "core/addr.h"
#include "core/datagram.h"
#include "core/worker.h"

/* NULL: *error is -errno. */
struct datagram_end *udp_end_new(struct worker *worker, const struct addr *peer,
                                 int *error) MUST_CHECK;

/* The sending half, shared with listeners that answer many peers from one socket: collects
 * datagrams of a turn, coalesces runs of equal size to one peer into GSO sends, drops and counts
 * what exceeds its bound.  Owner: who embeds it.  What goes singly only is remembered. */
struct udp_sender;
struct udp_sender *udp_sender_new(struct worker *worker, int fd) MUST_CHECK; /* fd borrowed */
/* peer NULL: connected.  local: the source address to answer from; NULL leaves it to the kernel. */
void udp_sender_send(struct udp_sender *sender, const struct addr *peer, const struct addr *local,
                     const uint8_t *data, uint32_t length);
/* idle is called once nothing is in flight, never from inside; then udp_sender_free. */
typedef void udp_sender_idle_fn(void *owner);
void udp_sender_stop(struct udp_sender *sender, udp_sender_idle_fn *idle, void *owner);
void udp_sender_free(struct udp_sender **sender);

#endif
