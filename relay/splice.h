/* relay/splice.h - stands in front of a pump between two TCP sockets: a direction that proves bulky
 * moves by splice(2) through a pipe, past the pump, until it turns small or quiet or ends.
 *
 * Each direction for itself: it borrows the input of one end and, once all that was copied has been
 * sent, the output of the other; leaving, the pipe is drained first.  So nothing is lost or
 * overtaken at either change, and FIN and reset are met by the ends themselves.  In a spliced
 * direction no operation but a poll is in flight.  Without a pipe a flow stays with the pump.
 *
 * Owner: who embeds it, in place of a pump.  Thread: the worker's.
 * Life: its pump's. */
#ifndef RELAY_SPLICE_H
#define RELAY_SPLICE_H

#include "relay/pump.h"
#include "relay/settings.h"

struct splice_rule;
struct splice_flow;

/* What one end receives: how it came lately, in turns of the worker, and who moves it. */
struct splice_side {
    struct splice_flow *flow; /* NULL: the pump */
    uint64_t turn_ns;
    uint32_t bytes, turns;
};

struct splice {
    struct pump pump;
    const struct splice_rule *rule;
    struct splice_side client, backend;
};

/* Right after pump_start; no more than the pump where an end is not a TCP socket. */
void splice_start(struct splice *splice, enum zero_copy zero_copy);

#endif
