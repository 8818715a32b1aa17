/* cli/admin.h - where others ask and command the running process: a unix socket that takes one word
 * a line and answers one line of JSON, and HTTP for probes and scrapers.
 *
 * Clients are bounded in number, in what they may send, and in how long they may take; what goes
 * over is closed and counted.  A client that waits for a picture of the workers holds up nobody.
 * Owner: cli/process.  Thread: the control thread's, polled like the resolver.
 * Life: admin_open -> poll and ready, in turns -> admin_close. */
#ifndef CLI_ADMIN_H
#define CLI_ADMIN_H

#include <poll.h>
#include <stdint.h>

#include "cli/report.h"
#include "core/log.h"
#include "relay/settings.h"

enum {
    ADMIN_LINE_MAX = 256,    /* bytes of a line */
    ADMIN_LINE_CLIENTS = 16, /* at once, on the unix socket */
    ADMIN_HTTP_CLIENTS = 64, /* at once, by HTTP */
    ADMIN_FDS = 2 + ADMIN_LINE_CLIENTS + ADMIN_HTTP_CLIENTS,
    ADMIN_READ_MS = 5000,   /* for a request, once it began; HTTP: from the start */
    ADMIN_IDLE_MS = 30000,  /* between lines */
    ADMIN_WRITE_MS = 10000, /* to take an answer, and to have it */
    ADMIN_LEAVE_MS = 1000   /* to hang up after the last one */
};

/* What the process does for its clients. */
struct admin_events {
    /* Wants a picture of the workers: admin_pictured follows.  False: there is none any more. */
    bool (*picture)(void *context);
    void (*drain)(void *context, const char *asked_by);
    void (*stop)(void *context, const char *asked_by);
    /* False: the old settings are still those; `error` has a line for each reason. */
    bool (*reload)(void *context, struct writer *error);
};

struct admin_options {
    const struct admin_settings *settings; /* borrowed until close */
    struct account owner;                  /* of the unix socket, where given */
    struct counters *counters;             /* the control thread's */
    struct log_source *log;
    const struct admin_events *events;
    void *context;
};

struct admin;
/* NULL: error is a sentence. */
struct admin *admin_open(const struct admin_options *options, char *error,
                         size_t error_size) MUST_CHECK;
void admin_close(struct admin **admin); /* answers what is still due as far as it goes at once */
/* What to poll for; lowers *timeout_ms (-1: none).  How many of `max` were filled. */
uint32_t admin_poll(struct admin *admin, struct pollfd *fds, uint32_t max, int *timeout_ms);
void admin_ready(struct admin *admin, const struct pollfd *fds, uint32_t count);
/* The picture that was asked for; NULL: there will be none. */
void admin_pictured(struct admin *admin, const struct report *report);

#endif
