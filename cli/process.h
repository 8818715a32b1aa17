/* cli/process.h - a running configuration: log, resolver, workers and signals, until told to stop.
 * The main thread is the control thread meanwhile. */
#ifndef CLI_PROCESS_H
#define CLI_PROCESS_H

#include "core/addr.h"
#include "relay/settings.h"

struct process_options {
    const struct settings *settings; /* borrowed until the return */
    const char *file;                /* read again by a reload; NULL: none */
    bool quiet, verbose;
    uint32_t seconds; /* ends by itself after so long; 0: never */
    /* May be NULL: called once when all is open, and a [client] is registered.  `listener` is where
     * the first [listener] is bound (no address when there is none). */
    void (*ready)(void *context, const struct addr *listener);
    void *context;
};
/* Needs tls_global_init.  Returns the exit code; what failed was logged. */
int process_run(const struct process_options *options) MUST_CHECK;

#endif
