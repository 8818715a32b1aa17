/* cli/report.h - what a process says of itself: as JSON for scripts, as metrics for Prometheus.
 * Thread: the control thread. */
#ifndef CLI_REPORT_H
#define CLI_REPORT_H

#include "cli/writer.h"
#include "core/counter.h"
#include "relay/relay.h"

struct report {
    const struct status *status; /* of all workers together */
    uint64_t counters[COUNTER_COUNT];
    const char *state; /* "running" or "draining" */
    bool ready;        /* all is bound, nothing is ending, and a [client] has a tunnel */
    uint64_t uptime_ms, started_ms; /* started: since 1970 */
    uint64_t reloaded_ms;           /* the last time; 0: never */
    uint32_t workers;
};

enum { METRICS_CLIENTS_MAX = 1000 }; /* shown by name; further ones together as "other" */

/* One line, {"v":1,"ok":true,…}, without its newline. */
void report_json(struct writer *out, const struct report *report);
void report_metrics(struct writer *out, const struct report *report);
/* {"v":1,"ok":false,"error":"…"} */
void report_error(struct writer *out, const char *error);

#endif
