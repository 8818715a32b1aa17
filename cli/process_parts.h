/* cli/process_parts.h - inside a running process.  Seen by cli/process*.c only.
 * Thread: the main one, which is the control thread. */
#ifndef CLI_PROCESS_PARTS_H
#define CLI_PROCESS_PARTS_H

#include "cli/activation.h"
#include "cli/admin.h"
#include "cli/notify.h"
#include "cli/pid_file.h"
#include "cli/process.h"
#include "cli/team.h"
#include "core/log.h"

struct process {
    const struct process_options *options;
    const struct settings *settings; /* in force */
    struct log *log, *access;        /* access NULL: none */
    struct log_source *source;       /* the control thread's */
    struct resolver *resolver;
    struct admin *admin;      /* NULL: off */
    struct counters counters; /* the control thread's */
    struct notify notify;
    struct activation activation;
    struct pid_file pid_file;
    struct team team;
    int signal_fd;
    uint64_t started_ms, began_ms; /* since 1970, and of the clock that only goes forward */
    uint64_t end_ms;               /* 0: no end of its own */
    uint64_t reloaded_ms;          /* since 1970: when settings last changed; 0: never */
    uint64_t sweep_ms;             /* when to look after those who leave */
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
uint64_t process_counter(const struct process *process, enum counter counter);

void process_log_options(const struct process *process, const struct settings *settings,
                         struct log_options *options);
/* False: there is no access log. */
bool process_access_options(const struct settings *settings, struct log_options *options);

/* process_reload.c */
/* False: nothing has changed, and `error`, where it is not NULL, says why, as the log does. */
bool process_reload(struct process *process, const char *asked_by, struct writer *error);
void process_sweep(struct process *process, int *timeout_ms); /* what a reload has removed */

/* process_admin.c */
int process_open_admin(struct process *process) MUST_CHECK; /* says what failed */
void process_take_picture(struct process *process);         /* hands on what the worker has sent */

/* process_duty.c: what a service manager and an administrator expect of a process */
int process_open_pid_file(struct process *process) MUST_CHECK; /* says what failed */
int process_take_duty(struct process *process) MUST_CHECK;     /* once started: user, READY */
void process_reopen_logs(struct process *process, const char *asked_by); /* they were moved away */
void process_feed_watchdog(struct process *process, int *timeout_ms);

#endif
