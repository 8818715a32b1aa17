/* relay/udp_ferry.h - the far end of a UDP session whose member is on another worker: carries
 * datagrams there and back, those of a turn in one message.
 *
 * What is on its way is bounded, per session and direction: more is dropped and counted.
 * Owner: as of any datagram end.  Thread: the near worker's; `open` is called on the far one.  The
 * far worker turns until closed(). */
#ifndef RELAY_UDP_FERRY_H
#define RELAY_UDP_FERRY_H

#include "balancer/balancer.h"

/* The end there; NULL: *reason says why. */
typedef struct datagram_end *udp_ferry_open_fn(struct member *member, struct worker *worker,
                                               const struct datagram_request *request,
                                               enum reason *reason);

/* member: borrowed until closed(); request: copied.  NULL: no memory. */
struct datagram_end *udp_ferry_new(struct worker *near, struct worker *far, struct member *member,
                                   const struct datagram_request *request,
                                   udp_ferry_open_fn *open) MUST_CHECK;

#endif
