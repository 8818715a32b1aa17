#include "cli/relay_thread.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
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

static void thread_relay_ended(void *context)
{
    thread_tell(context, THREAD_STOPPED);
}

static void thread_relay_drained(void *context)
{
    thread_tell(context, THREAD_DRAINED);
}

static void thread_registered(void *context)
{
    thread_tell(context, THREAD_REGISTERED);
}

/* ---- orders ---- */

static struct relay_thread *thread_of(struct mail *mail)
{
    return container_of(mail, struct thread_mail, mail)->thread;
}

static void thread_begins(struct mail *mail)
{
    struct relay_thread *thread = thread_of(mail);

    thread->begun = true;
    if (relay_start(thread->relay, thread->error, sizeof thread->error)) {
        thread->failed = true;
        thread_tell(thread, THREAD_FAILING);
        relay_stop(thread->relay);
    } else {
        thread_tell(thread, THREAD_STARTED);
    }
}

static void thread_drains(struct mail *mail)
{
    relay_drain(thread_of(mail)->relay);
}

static void thread_stops(struct mail *mail)
{
    struct relay_thread *thread = thread_of(mail);

    if (thread->begun)
        relay_stop(thread->relay);
    else
        thread_tell(thread, THREAD_STOPPED);
}

static void thread_quits(struct mail *mail)
{
    worker_stop(&thread_of(mail)->worker);
}

static mail_fn *const thread_orders[THREAD_ORDERS] = {
    [THREAD_BEGIN] = thread_begins,
    [THREAD_DRAIN] = thread_drains,
    [THREAD_STOP] = thread_stops,
    [THREAD_QUIT] = thread_quits,
};

static void thread_beats(struct mail *mail)
{
    struct relay_thread *thread = container_of(mail, struct relay_thread, beat_mail);

    atomic_store(&thread->beating, false);
}

static void thread_takes_picture(struct mail *mail)
{
    struct relay_thread *thread = container_of(mail, struct relay_thread, picture_mail);

    thread->picture = (struct status){0};
    thread->picture_error = relay_status(thread->relay, &thread->picture);
    atomic_store(&thread->pictured, true);
    thread_tell(thread, 0);
}

/* ---- from start to end ---- */

static int thread_open_worker(struct relay_thread *thread)
{
    struct worker_options options = {
        .os = thread->os ? thread->os : &os_linux,
        .counters = &thread->counters,
        .log = thread->log,
        .access = thread->access,
        .resolver = thread->resolver,
        .index = thread->index,
        .spin_ns = thread->settings->process.spin_ns,
    };
    int rc;

    options.ring = ring_uring_open(thread->ring_without, thread->error, sizeof thread->error);
    if (!options.ring)
        return -EIO;
    limits_of_pools(thread->settings->process.workers, &options.limits);
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
        .crew = thread->crew,
        .ended = thread_relay_ended,
        .drained = thread_relay_drained,
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

/* Turns until the order to quit.  0: nothing is left in the ring; else the ring is broken. */
static int thread_run(struct relay_thread *thread)
{
    int rc;

    thread_set_takes_mail(thread, true);
    thread_tell(thread, THREAD_OPENED);
    rc = worker_run(&thread->worker);
    thread_set_takes_mail(thread, false);
    if (rc) {
        thread->failed = true;
        snprintf(thread->error, sizeof thread->error, "the ring failed: %s", strerror(-rc));
    }
    return rc;
}

/* A core that is not there, or not ours, costs only speed. */
static void thread_pin(const struct relay_thread *thread)
{
    cpu_set_t set;
    int rc;

    if (thread->cpu < 0)
        return;
    CPU_ZERO(&set);
    CPU_SET((size_t)thread->cpu, &set);
    rc = pthread_setaffinity_np(pthread_self(), sizeof set, &set);
    if (rc)
        LOG(thread->log, LOG_WARN, "a worker could not be pinned",
            LOG_NUMBER("worker", thread->index), LOG_NUMBER("cpu", thread->cpu),
            LOG_TEXT("error", strerror(rc)));
}

static void *thread_main(void *context)
{
    struct relay_thread *thread = context;

    thread_pin(thread);
    if (thread_open_worker(thread)) {
        thread->failed = true;
    } else if (thread_open_relay(thread)) {
        thread->failed = true;
        worker_release(&thread->worker);
    } else if (thread_run(thread) == 0) {
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
    for (int i = 0; i < THREAD_ORDERS; i++)
        thread->orders[i] = (struct thread_mail){.mail.run = thread_orders[i], .thread = thread};
    thread->beat_mail.run = thread_beats;
    thread->picture_mail.run = thread_takes_picture;
    pthread_mutex_init(&thread->post_lock, NULL);
    rc = pthread_create(&thread->thread, NULL, thread_main, thread);
    if (rc)
        pthread_mutex_destroy(&thread->post_lock);
    return -rc;
}

uint32_t relay_thread_news(const struct relay_thread *thread)
{
    return atomic_load(&thread->news);
}

/* A worker that has ended takes no mail any more; the lock keeps it from ending in between. */
static bool thread_post(struct relay_thread *thread, struct mail *mail)
{
    bool posted;

    pthread_mutex_lock(&thread->post_lock);
    posted = thread->takes_mail;
    if (posted)
        worker_post(&thread->worker, mail);
    pthread_mutex_unlock(&thread->post_lock);
    return posted;
}

void relay_thread_order(struct relay_thread *thread, enum thread_order order)
{
    struct thread_mail *mail = &thread->orders[order];

    if (!mail->given)
        mail->given = thread_post(thread, &mail->mail);
}

bool relay_thread_moves(struct relay_thread *thread)
{
    if (atomic_load(&thread->beating))
        return false;
    atomic_store(&thread->beating, true);
    if (!thread_post(thread, &thread->beat_mail))
        atomic_store(&thread->beating, false); /* it is starting or ending */
    return true;
}

bool relay_thread_ask_picture(struct relay_thread *thread)
{
    if (thread->picturing)
        return false;
    thread->picturing = thread_post(thread, &thread->picture_mail);
    return thread->picturing;
}

bool relay_thread_take_picture(struct relay_thread *thread, struct status *picture, int *error)
{
    if (!thread->picturing || !atomic_exchange(&thread->pictured, false))
        return false;
    thread->picturing = false;
    *picture = thread->picture;
    *error = thread->picture_error;
    return true;
}

void relay_thread_join(struct relay_thread *thread)
{
    pthread_join(thread->thread, NULL);
    if (atomic_load(&thread->pictured))
        status_release(&thread->picture); /* nobody took it */
    pthread_mutex_destroy(&thread->post_lock);
}
