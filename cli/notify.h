/* cli/notify.h - what systemd is told (sd_notify), and its watchdog.
 * Owner: cli/process.  Thread: the control thread's.  Without NOTIFY_SOCKET all of it does nothing.
 * Life: notify_open -> notify_* -> notify_close. */
#ifndef CLI_NOTIFY_H
#define CLI_NOTIFY_H

#include <stdbool.h>
#include <stdint.h>

#include "core/addr.h"

struct notify {
    int fd; /* -1: nobody wants to know */
    struct addr addr;
    uint64_t watchdog_ms; /* how often to feed it; 0: there is none */
    uint64_t feed_at_ms;
};

/* Takes what it needs out of the environment, so that no child inherits it. */
void notify_open(struct notify *notify);
void notify_close(struct notify *notify);
void notify_ready(struct notify *notify, const char *status);
void notify_reloading(struct notify *notify);
void notify_stopping(struct notify *notify);
void notify_watchdog(struct notify *notify); /* all workers move */

#endif
