/* relay/gate.h - whom a listener lets in: allow, deny, rate_limit.
 * Owner: the listener embedding it.  Thread: the worker's.  Life: from gate_init on. */
#ifndef RELAY_GATE_H
#define RELAY_GATE_H

#include "core/reason.h"
#include "core/worker.h"
#include "relay/rate_table.h"
#include "relay/settings.h"

struct gate {
    struct worker *worker;
    const struct listener_settings *settings; /* borrowed while it lives */
    struct rate_table *rates;                 /* borrowed, too; NULL: no limit */
};

void gate_init(struct gate *gate, struct worker *worker, const struct listener_settings *settings,
               struct rate_table *rates);
/* REASON_DONE: come in; else why not, and it was counted.  Who comes by a path was let in by the
 * mode of its file. */
enum reason gate_admit(struct gate *gate, const struct addr *source) MUST_CHECK;
/* Whether allow and deny, as they are now, keep it out. */
bool gate_forbids(const struct gate *gate, const struct addr *source);
/* Whether that peer's PROXY header is taken, and required. */
bool gate_trusts(const struct gate *gate, const struct addr *peer);

#endif
