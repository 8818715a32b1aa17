/* cli/metrics.h - inside the page of metrics.  Thread: the control thread. */
#ifndef CLI_METRICS_H
#define CLI_METRICS_H

#include <stdint.h>

#include "cli/writer.h"
#include "relay/relay.h"

struct metrics_label {
    const char *name, *value;
};

void metrics_family(struct writer *out, const char *name, const char *type, const char *help);
/* Labels end with a NULL name. */
void metrics_row(struct writer *out, const char *name, const struct metrics_label *labels,
                 uint64_t value);
void metrics_row_seconds(struct writer *out, const char *name, const struct metrics_label *labels,
                         uint64_t ns);

/* metrics_clients.c: tunnel clients by identity, and the servers that we are a client of. */
void metrics_clients(struct writer *out, const struct status *status);

#endif
