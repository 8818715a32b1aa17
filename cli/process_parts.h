/* cli/process_parts.h - inside a running process.  Seen by cli/process*.c only.
 * Thread: the main one, which is the control thread. */
#ifndef CLI_PROCESS_PARTS_H
#define CLI_PROCESS_PARTS_H

#include "cli/activation.h"
#include "cli/admin.h"
#include "cli/notify.h"
#include "cli/process.h"
#include "cli/team.h"
#include "core/log.h"

struct process {
    const struct process_options *options;
    struct log *log, *access;  /* access NULL: none */
    struct log_source *source; /* the control thread's */
    struct resolver *resolver;
    struct admin *admin;      /* NULL: off */
    struct counters counters; /* the control thread's */
    struct notify notify;
    struct activation activation;
    struct team team;
    int signal_fd;
    uint64_t started_ms, began_ms; /* since 1970, and of the clock that only goes forward */
    uint64_t end_ms;               /* 0: no end of its own */
    uint32_t ends;                 /* how often we were asked to end */
    bool started, ready, failed;
    bool picture_again; /* somebody asked after the picture that is under way was begun */
};

/* process.c */
uint64_t process_clock_ms(void);
/* To the log, and to whoever started us where that is somewhere else. */
void process_complain(struct process *process, const char *what, const char *why);
/* The first time it drains, the second time it stops; further ones change nothing. */
void process_end(struct process *process, const char *why);
/* False: nothing has changed, and `error` says why. */
bool process_reload(struct process *process, struct writer *error);
uint64_t process_counter(const struct process *process, enum counter counter);

/* process_admin.c */
int process_open_admin(struct process *process) MUST_CHECK; /* says what failed */
void process_take_picture(struct process *process);         /* hands on what the worker has sent */

/* process_duty.c: what a service manager and an administrator expect of a process */
int process_take_duty(struct process *process) MUST_CHECK; /* once started: pid file, user */
void process_leave_duty(struct process *process);
void process_feed_watchdog(struct process *process, int *timeout_ms);

#endif
