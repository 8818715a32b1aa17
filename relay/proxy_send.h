/* relay/proxy_send.h - writes a PROXY header ahead of everything else on a stream to a service.
 * Thread: the stream's. */
#ifndef RELAY_PROXY_SEND_H
#define RELAY_PROXY_SEND_H

#include "core/addr.h"
#include "core/stream.h"
#include "core/worker.h"
#include "relay/settings.h"

/* False: no memory.  The header counts as the stream's preamble. */
bool proxy_send(struct worker *worker, struct stream *stream, enum send_proxy version,
                const struct addr *source, const struct addr *destination) MUST_CHECK;

#endif
