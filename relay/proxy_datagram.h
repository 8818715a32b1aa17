/* relay/proxy_datagram.h - a stand-in for a UDP session's far end, that tells the service who the
 * user is with a PROXY header (version 2): in front of every datagram, in front of the first, or as
 * a datagram of its own before the first.  A datagram that has no room for it is dropped and
 * counted.
 * Owner: that of the end it stands for.  Thread: the worker's. */
#ifndef RELAY_PROXY_DATAGRAM_H
#define RELAY_PROXY_DATAGRAM_H

#include "core/addr.h"
#include "core/datagram.h"
#include "core/worker.h"
#include "relay/settings.h"

/* Takes `inner` when it succeeds; NULL: no memory. */
struct datagram_end *proxy_datagram_new(struct worker *worker, struct datagram_end *inner,
                                        enum send_proxy_udp where, const struct addr *source,
                                        const struct addr *destination) MUST_CHECK;

#endif
