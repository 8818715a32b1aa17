/* cli/team.h - the threads of a process as one: started together or not at all, drained, stopped
 * and ended together.
 *
 * Owner: cli/process.  Thread: the control thread's.
 * Life: open -> start -> (drain -> stop) -> news has THREAD_ENDED -> join -> close. */
#ifndef CLI_TEAM_H
#define CLI_TEAM_H

#include "cli/relay_thread.h"

struct team_options {
    const struct settings *settings; /* borrowed until close; workers is a number */
    struct os *os;
    struct log *log, *access; /* access NULL: none */
    struct resolver *resolver;
    const char *ring_without;
};

struct team {
    /* Set by open. */
    struct relay_thread *threads;
    uint32_t count;
    struct crew *crew;
    int event_fd; /* poll it for reading: there is news */
    /* Changes while it runs. */
    uint32_t started; /* threads that exist */
    bool draining, stopping;
    uint32_t pictures; /* asked for, and not come */
    struct status picture;
    int picture_error;
    char error[512]; /* a sentence, once something failed */
};

/* Binds every port.  0, or -errno and `error` is set; then there is nothing to close. */
int team_open(struct team *team, const struct team_options *options) MUST_CHECK;
/* 0, or -errno and `error` is set: then the threads that exist end, and are joined, as always. */
int team_start(struct team *team) MUST_CHECK;
/* What is true of all threads, since the start; THREAD_REGISTERED: of one.  Takes the team's next
 * step. */
uint32_t team_news(struct team *team);
void team_drain(struct team *team);
void team_stop(struct team *team);
bool team_join(struct team *team); /* false: something failed, `error` says what */
void team_close(struct team *team);
/* Other settings (taken), all or nothing: returns when every worker has switched.  access: the
 * sources of an access log that is new, one a worker; else NULL, and `has_access` says whether the
 * old one goes on.  0, or -errno and a sentence. */
struct team_change {
    struct settings *settings;
    struct log_source **access;
    bool has_access;
};
int team_change(struct team *team, const struct team_change *change, char *error,
                size_t error_size) MUST_CHECK;
bool team_is_left(const struct team *team); /* something of older settings is still there */
void team_sweep(struct team *team);         /* looks after it; now and then */
/* Whether every worker has had a turn since this was last asked. */
bool team_moves(struct team *team);
/* Asks all workers for a picture of what they do; false: they take no mail, or are at it already.
 */
bool team_ask_picture(struct team *team);
bool team_is_picturing(const struct team *team); /* asked for, and not taken */
/* The pictures as one, taken over (status_release), once all have come. */
bool team_take_picture(struct team *team, struct status *picture, int *error);
uint64_t team_counter(const struct team *team, enum counter counter); /* of all workers */

#endif
