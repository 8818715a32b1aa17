/* cli/relay_thread.h - a worker's thread with the relay that runs on it.
 *
 * Owner: cli/team.  Thread: the control thread's, except what is said to be the worker's.  The
 * two share the news word and mails, nothing else: the worker's state is touched by the worker
 * alone.
 * Life: start -> OPENED -> begin -> STARTED -> (drain -> DRAINED ->) stop -> STOPPED -> quit ->
 * ENDED -> join.  A thread that fails goes to STOPPED or straight to ENDED.  The threads of a
 * process take each step together: what one sends another finds it there until all have stopped. */
#ifndef CLI_RELAY_THREAD_H
#define CLI_RELAY_THREAD_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/counter.h"
#include "core/worker.h"
#include "relay/relay.h"

enum {
    THREAD_OPENED = 1 << 0,     /* the worker and its relay are made */
    THREAD_STARTED = 1 << 1,    /* everything is open */
    THREAD_REGISTERED = 1 << 2, /* a tunnel of our [client] was registered, once at least */
    THREAD_DRAINED = 1 << 3,    /* nothing is left that draining waits for */
    THREAD_STOPPED = 1 << 4,    /* the relay has ended */
    THREAD_ENDED = 1 << 5,      /* error and failed are set */
    THREAD_FAILING = 1 << 6,    /* it could not start, and stops when the others do */
};

/* What a thread is asked to do, each once. */
enum thread_order { THREAD_BEGIN, THREAD_DRAIN, THREAD_STOP, THREAD_QUIT, THREAD_ORDERS };

struct relay_thread {
    /* Set by start. */
    _Alignas(128) uint32_t index; /* the worker's; no cache line is two threads' */
    int cpu;                      /* that it is pinned to; -1: none */
    struct crew *crew;            /* borrowed until join, like the next three */
    const struct settings *settings;
    struct log_source *log, *access; /* the worker's own; access NULL: none */
    struct resolver *resolver;
    struct os *os;            /* NULL: Linux */
    const char *ring_without; /* accelerators not to use; NULL: none */
    int event_fd;             /* of the process: poll it for reading, there is news */
    pthread_t thread;
    struct counters counters;
    /* The worker's. */
    struct worker worker;
    struct relay *relay;
    bool begun;
    /* Told by the worker. */
    _Atomic uint32_t news;
    bool failed;     /* once it has ended */
    char error[512]; /* a sentence, when it failed */
    /* Mails to the worker, while it can take them. */
    pthread_mutex_t post_lock;
    bool takes_mail;
    struct thread_mail {
        struct mail mail;
        struct relay_thread *thread;
        bool given;
    } orders[THREAD_ORDERS];
    /* One at a time is under way: the worker's from the post until its word says that it is not. */
    struct mail beat_mail, picture_mail;
    _Atomic bool beating;
    bool picturing; /* the control thread's: asked for, not taken */
    _Atomic bool pictured;
    struct status picture;
    int picture_error;
    /* A step of a reload: the control thread's until it is given. */
    struct {
        struct mail mail;
        enum relay_change step;
        struct log_source *access; /* from SWITCH on */
        _Atomic bool given;        /* the worker's until it is false again */
        int rc;
        char error[512];
    } change;
};

/* The fields above `thread` are the caller's to set.  0, or -errno: nothing was started. */
int relay_thread_start(struct relay_thread *thread) MUST_CHECK;
uint32_t relay_thread_news(const struct relay_thread *thread); /* all of it, since the start */
/* No-op before THREAD_OPENED, after THREAD_ENDED, and the second time. */
void relay_thread_order(struct relay_thread *thread, enum thread_order order);
/* Whether the worker has had a turn since this was last asked; true before it has begun. */
bool relay_thread_moves(struct relay_thread *thread);
/* Asks the worker for a picture of what it does; news come with it.  False: it takes no mail, or is
 * at it already. */
bool relay_thread_ask_picture(struct relay_thread *thread);
/* The picture that was asked for, taken over (status_release).  False: it has not come. */
bool relay_thread_take_picture(struct relay_thread *thread, struct status *picture, int *error);
/* Gives the worker a step of a reload to take; news come when it has.  False: it takes no mail. */
bool relay_thread_change(struct relay_thread *thread, enum relay_change step);
/* It has not taken it yet, and is still there to do it. */
bool relay_thread_is_changing(struct relay_thread *thread);
void relay_thread_join(struct relay_thread *thread);

#endif
