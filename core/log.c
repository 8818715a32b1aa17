#include "core/log.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "core/log_file.h"
#include "core/log_format.h"
#include "core/log_ring.h"
#include "core/mem.h"

/* Waking a thread costs far more than a line, so the log's thread, once it had work, looks again
 * every REST_MS and sleeps for good only after it found nothing. */
enum {
    REST_MS = 20,
    CLOSE_MS = 1000, /* the thread gives up GRACE_MS earlier, so that it can be joined */
    GRACE_MS = 100,
};

enum writer_state { WRITER_BUSY, WRITER_RESTS, WRITER_SLEEPS };

struct log_source {
    struct log *log;
    struct log_source *next;
    _Atomic uint64_t dropped;
    struct log_ring ring;
};

struct log_change {
    enum log_level level;
    enum log_format format;
    struct log_file file;
};

struct log {
    /* Set by log_open. */
    struct log_options options;
    int wake_fd, finished_fd;
    pthread_t thread;
    /* Shared. */
    _Atomic(struct log_source *) sources;
    _Atomic int state; /* enum writer_state */
    _Atomic bool closing;
    _Atomic int level, format;           /* enum log_level, enum log_format */
    _Atomic(struct log_change *) change; /* that the log's thread is to take */
    _Atomic bool over;                   /* the thread has ended, or log_close has given up on it */
    _Atomic uint64_t lost;               /* lines that the file refused */
    /* The log's thread. */
    struct log_file file;
    uint64_t told_dropped;
    char batch[LOG_BATCH_SIZE];
};

static uint64_t clock_ms(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static uint64_t log_wall_ms(const struct log *log)
{
    if (log->options.wall_ms)
        return log->options.wall_ms(log->options.wall_context);
    return clock_ms(CLOCK_REALTIME);
}

/* ---- the log's thread ---- */

static void log_count_lost(struct log *log, const char *bytes, size_t length)
{
    const char *end = bytes + length;

    while ((bytes = memchr(bytes, '\n', (size_t)(end - bytes)))) {
        atomic_fetch_add(&log->lost, 1);
        bytes++;
    }
}

static bool log_pending(struct log *log)
{
    for (struct log_source *source = atomic_load(&log->sources); source; source = source->next) {
        if (!log_ring_empty(&source->ring))
            return true;
    }
    return false;
}

/* A batch from each source in turn; false when there was none. */
static bool log_drain_once(struct log *log)
{
    bool any = false;

    for (struct log_source *source = atomic_load(&log->sources); source; source = source->next) {
        size_t length = log_ring_take(&source->ring, log->batch, log->file.batch_size), refused;

        if (!length)
            continue;
        refused = log_file_put(&log->file, log->batch, length);
        log_count_lost(log, log->batch + length - refused, refused);
        any = true;
    }
    return any;
}

static enum log_format log_format_now(const struct log *log)
{
    return (enum log_format)atomic_load_explicit(&((struct log *)(uintptr_t)log)->format,
                                                 memory_order_relaxed);
}

static void log_tell_dropped(struct log *log)
{
    uint64_t dropped = log_dropped(log);
    const struct log_field fields[] = {LOG_NUMBER("lines", dropped - log->told_dropped)};
    const struct log_record record = {LOG_WARN, log_wall_ms(log), "log lines dropped", fields, 1};
    size_t length;

    if (dropped == log->told_dropped)
        return;
    length = log_format_line(log->batch, log_format_now(log), &record);
    if (log_file_put(&log->file, log->batch, length) == 0)
        log->told_dropped = dropped;
}

static void log_take_orders(struct log *log)
{
    struct log_change *change = atomic_exchange(&log->change, NULL);

    if (change)
        log_file_replace(&log->file, &change->file);
    log_change_free(&change);
}

static bool log_drain(struct log *log)
{
    bool any = false, more;

    do {
        log_take_orders(log);
        any |= more = log_drain_once(log);
    } while (more && log_file_patience_ms(&log->file) != 0);
    log_tell_dropped(log);
    return any;
}

static bool log_is_asked(struct log *log)
{
    return atomic_load(&log->closing) || atomic_load(&log->change);
}

static void log_rest(struct log *log, bool had_work)
{
    struct pollfd fd = {.fd = log->wake_fd, .events = POLLIN};
    eventfd_t value;

    /* Who writes a line or a flag looks at the state, or wakes us, after it; we look for both after
     * setting the state. */
    atomic_store(&log->state, had_work ? WRITER_RESTS : WRITER_SLEEPS);
    if ((had_work || !log_pending(log)) && !log_is_asked(log) &&
        poll(&fd, 1, had_work ? REST_MS : -1) > 0)
        eventfd_read(log->wake_fd, &value);
    atomic_store(&log->state, WRITER_BUSY);
}

static void log_release(struct log *log);

static void *log_run(void *argument)
{
    struct log *log = argument;

    for (;;) {
        bool closing = atomic_load(&log->closing);
        bool had_work = log_drain(log);

        if (closing)
            break;
        log_rest(log, had_work);
    }
    if (atomic_exchange(&log->over, true))
        log_release(log);
    else
        eventfd_write(log->finished_fd, 1);
    return NULL;
}

/* ---- opening and closing ---- */

/* Signals are for other threads; and a write here that earns SIGPIPE or SIGXFSZ just fails. */
static int log_start_thread(struct log *log)
{
    sigset_t all, before;
    int rc;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    rc = pthread_create(&log->thread, NULL, log_run, log);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return -rc;
}

static void log_release(struct log *log)
{
    struct log_source *source = atomic_load(&log->sources), *next;
    struct log_change *change = atomic_load(&log->change);

    for (; source; source = next) {
        next = source->next;
        mem_free(source);
    }
    log_change_free(&change);
    log_file_release(&log->file);
    if (log->wake_fd >= 0)
        close(log->wake_fd);
    if (log->finished_fd >= 0)
        close(log->finished_fd);
    mem_free(log);
}

static int log_open_outputs(struct log *log)
{
    int rc;

    log->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    log->finished_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (log->wake_fd < 0 || log->finished_fd < 0)
        return -errno;
    rc = log_file_open(&log->file, log->options.file, log->wake_fd);
    return rc ? rc : log_start_thread(log);
}

struct log *log_open(const struct log_options *options, int *error)
{
    struct log *log = mem_new(sizeof(*log));

    *error = -ENOMEM;
    if (!log)
        return NULL;
    log->options = *options;
    log->level = options->level;
    log->format = options->format;
    log->wake_fd = log->finished_fd = -1;
    *error = options->sink ? 0 : log_open_outputs(log);
    if (*error) {
        log_release(log);
        return NULL;
    }
    return log;
}

/* A thread that hangs in write(2) for longer than that is left behind and releases the log if it
 * ever returns. */
static void log_stop_thread(struct log *log)
{
    struct pollfd fd = {.fd = log->finished_fd, .events = POLLIN};

    atomic_store(&log->file.give_up_ms, clock_ms(CLOCK_MONOTONIC) + CLOSE_MS - GRACE_MS);
    atomic_store(&log->closing, true);
    eventfd_write(log->wake_fd, 1);
    while (poll(&fd, 1, log_file_patience_ms(&log->file) + GRACE_MS) < 0)
        ; /* EINTR */
    if (!fd.revents && !atomic_exchange(&log->over, true)) {
        pthread_detach(log->thread);
        return;
    }
    pthread_join(log->thread, NULL);
    log_release(log);
}

void log_close(struct log **log)
{
    if (!*log)
        return;
    if ((*log)->options.sink)
        log_release(*log);
    else
        log_stop_thread(*log);
    *log = NULL;
}

/* ---- another file, level, format ---- */

struct log_change *log_change_new(struct log *log, const struct log_options *options, int *error)
{
    struct log_change *change = mem_new(sizeof(*change));

    *error = -ENOMEM;
    if (!change)
        return NULL;
    change->level = options->level;
    change->format = options->format;
    *error = log_file_open(&change->file, options->file, log->wake_fd);
    if (*error)
        log_change_free(&change);
    return change;
}

/* One that the thread has not taken yet is overtaken. */
void log_change_take(struct log *log, struct log_change **change)
{
    struct log_change *old;

    atomic_store_explicit(&log->level, (int)(*change)->level, memory_order_relaxed);
    atomic_store_explicit(&log->format, (int)(*change)->format, memory_order_relaxed);
    old = atomic_exchange(&log->change, *change);
    *change = NULL;
    log_change_free(&old);
    if (!log->options.sink)
        eventfd_write(log->wake_fd, 1);
}

void log_change_free(struct log_change **change)
{
    if (!*change)
        return;
    log_file_release(&(*change)->file);
    mem_free(*change);
    *change = NULL;
}

/* ---- writing lines; the source's thread ---- */

struct log_source *log_source_new(struct log *log)
{
    struct log_source *source = mem_aligned(64, sizeof(*source));

    if (!source)
        return NULL;
    source->log = log;
    atomic_init(&source->dropped, 0);
    log_ring_init(&source->ring);
    source->next = atomic_load(&log->sources);
    while (!atomic_compare_exchange_weak(&log->sources, &source->next, source))
        ;
    return source;
}

uint64_t log_dropped(const struct log *log)
{
    const struct log_source *source = atomic_load(&((struct log *)(uintptr_t)log)->sources);
    uint64_t dropped = atomic_load(&((struct log *)(uintptr_t)log)->lost);

    for (; source; source = source->next)
        dropped += atomic_load(&((struct log_source *)(uintptr_t)source)->dropped);
    return dropped;
}

bool log_wanted(const struct log_source *source, enum log_level level)
{
    return source &&
           (int)level >= atomic_load_explicit(&((struct log *)(uintptr_t)source->log)->level,
                                              memory_order_relaxed);
}

static void source_wake(struct log_source *source, size_t waiting)
{
    struct log *log = source->log;
    int state = atomic_load(&log->state);

    if (state == WRITER_BUSY || (state == WRITER_RESTS && waiting < LOG_RING_SIZE / 2))
        return;
    if (atomic_compare_exchange_strong(&log->state, &state, WRITER_BUSY))
        eventfd_write(log->wake_fd, 1);
}

static void source_put(struct log_source *source, const char *line, size_t length)
{
    size_t waiting = log_ring_put(&source->ring, line, length);

    if (waiting)
        source_wake(source, waiting);
    else
        atomic_fetch_add_explicit(&source->dropped, 1, memory_order_relaxed);
}

void log_write(struct log_source *source, enum log_level level, const char *event,
               const struct log_field *fields, size_t count)
{
    char line[LOG_LINE_SIZE];
    struct log_record record = {level, 0, event, fields, count};
    struct log *log = source->log;
    size_t length;

    record.wall_ms = log_wall_ms(log);
    length = log_format_line(line, log_format_now(log), &record);
    if (log->options.sink)
        log->options.sink(log->options.sink_context, level, line, length - 1);
    else
        source_put(source, line, length);
}
