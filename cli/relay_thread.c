#include "cli/relay_thread.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "cli/limits.h"
#include "core/ring.h"

/* ---- on the worker's thread ---- */

static void thread_tell(struct relay_thread *thread, uint32_t news)
{
    uint64_t one = 1;

    atomic_fetch_or(&thread->news, news);
    if (write(thread->event_fd, &one, sizeof one) < 0)
        return; /* the counter is full: the reader is woken anyway */
}

static void thread_ended(void *context)
{
    struct relay_thread *thread = context;

    worker_stop(&thread->worker);
}

static void thread_registered(void *context)
{
    thread_tell(context, THREAD_REGISTERED);
}

static void thread_drains(struct mail *mail)
{
    relay_drain(container_of(mail, struct relay_thread, drain_mail)->relay);
}

static void thread_stops(struct mail *mail)
{
    relay_stop(container_of(mail, struct relay_thread, stop_mail)->relay);
}

static int thread_open_worker(struct relay_thread *thread)
{
    struct worker_options options = {
        .os = &os_linux,
        .counters = &thread->counters,
        .log = thread->log,
        .access = thread->access,
        .resolver = thread->resolver,
        .spin_ns = thread->settings->process.spin_ns,
    };
    int rc;

    options.ring = ring_uring_open(thread->ring_without, thread->error, sizeof thread->error);
    if (!options.ring)
        return -EIO;
    limits_of_pools(&options.limits);
    rc = worker_init(&thread->worker, &options);
    if (rc)
        snprintf(thread->error, sizeof thread->error, "the worker could not be made: %s",
                 strerror(-rc));
    return rc;
}

static int thread_open_relay(struct relay_thread *thread)
{
    struct relay_options options = {
        .worker = &thread->worker,
        .settings = thread->settings,
        .ended = thread_ended,
        .registered = thread_registered,
        .context = thread,
    };

    thread->relay = relay_new(&options, thread->error, sizeof thread->error);
    return thread->relay ? 0 : -EIO;
}

static void thread_set_takes_mail(struct relay_thread *thread, bool takes_mail)
{
    pthread_mutex_lock(&thread->post_lock);
    thread->takes_mail = takes_mail;
    pthread_mutex_unlock(&thread->post_lock);
}

static void thread_log_addresses(struct relay_thread *thread)
{
    const struct settings *settings = thread->settings;
    struct addr addr;

    for (uint32_t i = 0; i < settings->tunnel_count; i++)
        if (relay_tunnel_addr(thread->relay, settings->tunnels[i].name, &addr) == 0)
            LOG(thread->log, LOG_INFO, "listening for tunnel clients",
                LOG_TEXT("tunnel", settings->tunnels[i].name), LOG_ADDR("address", &addr));
    for (uint32_t i = settings->listener_count; i-- > 0;)
        if (relay_listener_addr(thread->relay, settings->listeners[i].name, &addr) == 0) {
            LOG(thread->log, LOG_INFO, "listening for users",
                LOG_TEXT("listener", settings->listeners[i].name), LOG_ADDR("address", &addr));
            thread->first_listener = addr;
        }
}

/* The relay from start to end.  0: nothing of it is left in the ring; else the ring is broken. */
static int thread_run_relay(struct relay_thread *thread)
{
    int rc;

    if (relay_start(thread->relay, thread->error, sizeof thread->error)) {
        thread->failed = true;
        relay_stop(thread->relay);
    } else {
        thread_log_addresses(thread);
        thread_set_takes_mail(thread, true);
        thread_tell(thread, THREAD_STARTED);
    }
    rc = worker_run(&thread->worker);
    thread_set_takes_mail(thread, false);
    if (rc) {
        thread->failed = true;
        snprintf(thread->error, sizeof thread->error, "the ring failed: %s", strerror(-rc));
    }
    return rc;
}

static void *thread_main(void *context)
{
    struct relay_thread *thread = context;

    if (thread_open_worker(thread)) {
        thread->failed = true;
    } else if (thread_open_relay(thread)) {
        thread->failed = true;
        worker_release(&thread->worker);
    } else if (thread_run_relay(thread) == 0) {
        relay_free(&thread->relay);
        worker_release(&thread->worker);
    }
    thread_tell(thread, THREAD_ENDED);
    return NULL;
}

/* ---- on the control thread ---- */

int relay_thread_start(struct relay_thread *thread)
{
    int rc;

    atomic_store(&thread->news, 0);
    thread->drain_mail.run = thread_drains;
    thread->stop_mail.run = thread_stops;
    thread->event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (thread->event_fd < 0)
        return -errno;
    pthread_mutex_init(&thread->post_lock, NULL);
    rc = pthread_create(&thread->thread, NULL, thread_main, thread);
    if (rc) {
        pthread_mutex_destroy(&thread->post_lock);
        close(thread->event_fd);
    }
    return -rc;
}

uint32_t relay_thread_news(struct relay_thread *thread)
{
    uint64_t count;

    if (read(thread->event_fd, &count, sizeof count) < 0)
        return atomic_load(&thread->news); /* nothing new */
    return atomic_load(&thread->news);
}

/* A worker that has ended takes no mail any more; the lock keeps it from ending in between. */
static void thread_post(struct relay_thread *thread, struct mail *mail)
{
    pthread_mutex_lock(&thread->post_lock);
    if (thread->takes_mail)
        worker_post(&thread->worker, mail);
    pthread_mutex_unlock(&thread->post_lock);
}

void relay_thread_drain(struct relay_thread *thread)
{
    thread_post(thread, &thread->drain_mail);
}

void relay_thread_stop(struct relay_thread *thread)
{
    thread_post(thread, &thread->stop_mail);
}

void relay_thread_join(struct relay_thread *thread)
{
    pthread_join(thread->thread, NULL);
    pthread_mutex_destroy(&thread->post_lock);
    close(thread->event_fd);
}
