/* relay/listener.h - one [listener]: its sockets, and the sessions of the users who came by them.
 * Owner: relay.  Thread: the worker's.
 * Life: new -> start -> (prepare -> switch or forget)... -> close, perhaps -> stop -> idle -> free.
 * After a failed start, stop too. */
#ifndef RELAY_LISTENER_H
#define RELAY_LISTENER_H

#include <stdatomic.h>

#include "balancer/balancer.h"
#include "core/worker.h"
#include "relay/bindings.h"
#include "relay/rate_table.h"
#include "relay/settings.h"
#include "relay/udp_source.h"

struct listener;
struct listener_heirs;
struct status_listener;
/* What the listeners of all workers that stand for one [listener] share.
 * Thread: the control thread's, but for what workers take or count. */
struct listener_share {
    char name[SETTINGS_NAME_SIZE];
    uint32_t workers;
    bool fresh;             /* made for the edition that it is first in */
    struct addr first;      /* as bound */
    struct bindings ports;  /* that workers take at their start, or when they switch */
    struct addr next_first; /* of a reload: */
    struct rate_table *next_rates;
    _Atomic uint32_t connections;                     /* of all workers, those that were counted */
    struct rate_table *rates;                         /* NULL: no rate_limit */
    struct udp_sources *udp;                          /* NULL: no UDP */
    struct listener *by_worker[SETTINGS_WORKERS_MAX]; /* set by new, constant while any runs */
    /* Of one that was removed. */
    _Atomic uint32_t busy; /* workers that still have users */
};

/* NULL: *failed is -errno, and error a sentence; then nothing stays open. */
struct listener_share *listener_share_new(struct os *os, const struct listener_settings *settings,
                                          const struct bindings_held *held, uint32_t workers,
                                          int *failed, char *error, size_t error_size) MUST_CHECK;
/* A reload: binds the ports that are new.  0 or -errno, and a sentence.  Then settle follows when
 * all workers have switched, or forget: nothing has changed. */
int listener_share_prepare(struct listener_share *share, struct os *os,
                           const struct listener_settings *had,
                           const struct listener_settings *settings,
                           const struct bindings_held *held, char *error,
                           size_t error_size) MUST_CHECK;
void listener_share_settle(struct listener_share *share);
void listener_share_forget(struct listener_share *share);
void listener_share_free(struct listener_share **share);

typedef void listener_fn(void *context);

struct listener_options {
    struct worker *worker;
    const struct listener_settings *settings; /* borrowed until free, or the next switch */
    struct listener_share *share;             /* borrowed until free */
    struct udp_table *sessions;               /* of all listeners of the worker; borrowed, too */
    struct backend_pool *pool;                /* in use until no session can pick from it */
    bool tunnel; /* members are tunnel clients, each on some of the workers */
    uint64_t connect_timeout_ns;
    uint32_t retries;
    listener_fn *emptied; /* after close: the last session has ended */
    listener_fn *idle;    /* after stop: nothing is left */
    void *context;
};
struct listener *listener_new(const struct listener_options *options) MUST_CHECK;
/* Listens on its worker's sockets. 0 or -errno, and a sentence. */
int listener_start(struct listener *listener, char *error, size_t error_size) MUST_CHECK;
/* Other settings, in steps of which only the first can fail: new ports are ready, and what new
 * sessions begin under.  At the switch each listener first gives away what others have from then
 * on: a port goes over as it is, with those who wait in its backlog. */
int listener_prepare(struct listener *listener, const struct listener_options *options, char *error,
                     size_t error_size) MUST_CHECK;
void listener_give(struct listener *listener, const struct listener_heirs *heirs);
void listener_switch(struct listener *listener);
void listener_forget(struct listener *listener); /* no-op where nothing was prepared */
void listener_close(struct listener *listener);  /* takes no more users; sessions go on */
/* Closed for good, while the rest goes on: `idle` is told instead of the options' when it stops.
 * When all workers have closed theirs, `leave`: share->busy then says whether it has users. */
void listener_take_leave(struct listener *listener, listener_fn *idle, void *context);
void listener_leave(struct listener *listener);
bool listener_has_emptied(const struct listener *listener);
uint32_t listener_active(const struct listener *listener);
void listener_status(const struct listener *listener, struct status_listener *status);
void listener_stop(struct listener *listener, enum reason reason);
void listener_free(struct listener **listener);

#endif
