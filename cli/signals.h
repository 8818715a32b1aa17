/* cli/signals.h - signals as events of the control thread.
 *
 * Owner: cli/process.  Thread: the main one.  signals_open blocks them for every thread that is
 * made afterwards; signals_close leaves them blocked, since the process is about to end. */
#ifndef CLI_SIGNALS_H
#define CLI_SIGNALS_H

#include "core/must.h"

enum signal_event {
    SIGNAL_NONE,
    SIGNAL_END,     /* SIGTERM, SIGINT: drain; a second one: at once */
    SIGNAL_REOPEN,  /* SIGUSR1: log files */
    SIGNAL_RELOAD,  /* SIGHUP: settings */
    SIGNAL_UPGRADE, /* SIGUSR2: not served yet */
};

int signals_open(void) MUST_CHECK; /* a descriptor to poll for reading, or -errno */
/* The next one that came, or SIGNAL_NONE; *name is "SIGTERM". */
enum signal_event signals_next(int fd, const char **name);
void signals_close(int fd);

#endif
