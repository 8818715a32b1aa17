/* relay/proxy_guard.h - a stand-in for a user's stream, for users who may not send a PROXY header:
 * one that begins with a header is reset with REASON_PROXY_SPOOFED, before a byte of it passes.
 * Bytes that may still become a header are held back; everything else passes at once.
 * Owner: that of the stream it stands for.  Thread: the worker's. */
#ifndef RELAY_PROXY_GUARD_H
#define RELAY_PROXY_GUARD_H

#include "core/stream.h"
#include "core/worker.h"

/* Puts a guard in the place of *stream, which was not started.  0, or -ENOMEM and nothing was done.
 */
int proxy_guard_put(struct worker *worker, struct stream **stream) MUST_CHECK;

#endif
