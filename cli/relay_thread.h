/* cli/relay_thread.h - a worker's thread with the relay that runs on it.
 *
 * Owner: cli/process.  Thread: the control thread's, except what is said to be the worker's.  The
 * two share the news word and mails, nothing else: the worker's state is touched by the worker
 * alone. Life: start -> (drain -> stop) -> news has THREAD_ENDED -> join. */
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
    THREAD_STARTED = 1,    /* everything is open */
    THREAD_REGISTERED = 2, /* a tunnel of our [client] was registered, once at least */
    THREAD_ENDED = 4,      /* error and failed are set */
};

struct relay_thread {
    /* Set by start. */
    const struct settings *settings; /* borrowed until join, like the next two */
    struct log_source *log, *access; /* the worker's own; access NULL: none */
    struct resolver *resolver;
    const char *ring_without; /* accelerators not to use; NULL: none */
    pthread_t thread;
    int event_fd; /* poll it for reading: there is news */
    struct counters counters;
    /* The worker's. */
    struct worker worker;
    struct relay *relay;
    /* Told by the worker. */
    _Atomic uint32_t news;
    bool failed;                /* once it has ended */
    char error[512];            /* a sentence, when it failed */
    struct addr first_listener; /* once it has started: where the first [listener] is bound */
    /* Mails to the worker, while it can take them. */
    pthread_mutex_t post_lock;
    bool takes_mail;
    struct mail drain_mail, stop_mail;
};

/* The five fields above event_fd are the caller's to set.  0, or -errno: nothing was started. */
int relay_thread_start(struct relay_thread *thread) MUST_CHECK;
uint32_t relay_thread_news(struct relay_thread *thread); /* all of it, since the start */
void relay_thread_drain(struct relay_thread *thread);    /* once */
void relay_thread_stop(struct relay_thread *thread);     /* once */
void relay_thread_join(struct relay_thread *thread);

#endif
