/* relay/listener.h - one [listener]: its sockets, and the sessions of the users who came by them.
 * Owner: relay.  Thread: the worker's.
 * Life: new -> start -> close, perhaps -> stop -> idle -> free.  After a failed start, stop too. */
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
struct status_listener;
/* What the listeners of all workers that stand for one [listener] share. */
struct listener_share {
    struct bindings bindings;
    _Atomic uint32_t connections; /* of all workers; counted where max_connections is set */
    struct rate_table *rates;     /* NULL: no rate_limit */
    struct udp_sources *udp;      /* NULL: no UDP */
    struct listener *by_worker[SETTINGS_WORKERS_MAX]; /* set by new, constant while any runs */
};

/* 0 or -errno, and a sentence; then nothing stays open. */
int listener_share_open(struct listener_share *share, struct os *os,
                        const struct listener_settings *settings, uint32_t workers, char *error,
                        size_t error_size) MUST_CHECK;
void listener_share_close(struct listener_share *share);

typedef void listener_fn(void *context);

struct listener_options {
    struct worker *worker;
    const struct listener_settings *settings; /* borrowed until free */
    struct listener_share *share;             /* borrowed until free */
    struct backend_pool *pool;                /* borrowed until idle */
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
void listener_close(struct listener *listener); /* takes no more users; sessions go on */
uint32_t listener_active(const struct listener *listener);
void listener_status(const struct listener *listener, struct status_listener *status);
void listener_stop(struct listener *listener, enum reason reason);
void listener_free(struct listener **listener);

#endif
