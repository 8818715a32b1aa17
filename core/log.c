#include "core/log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/log_format.h"
#include "core/mem.h"

/* Finished lines wait in a ring of bytes per source, of which the source is the only writer and the
 * log's thread the only reader.  Waking a thread costs far more than a line, so the thread, once it
 * had work, looks again every REST_MS and sleeps for good only after it found nothing. */
enum {
    SOURCE_SIZE = 256 << 10, /* a power of two */
    REST_MS = 20,
    CLOSE_MS = 1000, /* the thread stops GRACE_MS earlier, so that it can be joined */
    GRACE_MS = 100,
    FILE_BATCH = 64 << 10,
    PIPE_BATCH = PIPE_BUF, /* what poll(2) promises that a pipe takes without blocking */
};

enum writer_state { WRITER_BUSY, WRITER_RESTS, WRITER_SLEEPS };

struct log_source {
    struct log *log;
    struct log_source *next;
    /* The source's thread. */
    _Alignas(64) _Atomic uint64_t head; /* bytes ever put in, whole lines */
    _Atomic uint64_t dropped;
    /* The log's thread. */
    _Alignas(64) _Atomic uint64_t tail; /* bytes ever taken out */
    char bytes[SOURCE_SIZE];
};

struct log {
    /* Set by log_open. */
    struct log_options options;
    char *path; /* NULL: stderr */
    int wake_fd, finished_fd;
    pthread_t thread;
    /* Shared. */
    _Atomic(struct log_source *) sources;
    _Atomic int state; /* enum writer_state */
    _Atomic bool reopen;
    _Atomic uint64_t close_at_ms; /* 0: not closing */
    _Atomic bool over;            /* the thread has ended, or log_close has given up on it */
    _Atomic uint64_t lost;        /* lines that the file refused */
    /* The log's thread. */
    int fd;
    size_t batch_size;
    bool torn; /* the last line in the file has no end */
    uint64_t told_dropped;
    char batch[FILE_BATCH];
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

/* ---- the file; the log's thread ---- */

/* Only a descriptor of our own is made non-blocking: stderr is shared with whoever started us. */
static int log_open_file(const char *path)
{
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0640);

    return fd < 0 ? -errno : fd;
}

static void log_use_file(struct log *log, int fd)
{
    struct stat status;

    log->fd = fd;
    log->batch_size = fstat(fd, &status) == 0 && S_ISREG(status.st_mode) ? FILE_BATCH : PIPE_BATCH;
}

static void log_close_file(struct log *log)
{
    if (log->path && log->fd >= 0)
        close(log->fd);
}

/* When the new file cannot be opened the old one is kept: lines go where they went before. */
static void log_reopen_file(struct log *log)
{
    int fd;

    if (!atomic_exchange(&log->reopen, false) || !log->path)
        return;
    fd = log_open_file(log->path);
    if (fd < 0)
        return;
    log_close_file(log);
    log_use_file(log, fd);
    log->torn = false;
}

/* Milliseconds that poll may wait: for ever, or what closing leaves. */
static int log_patience_ms(const struct log *log)
{
    uint64_t close_at = atomic_load(&log->close_at_ms), now;

    if (!close_at)
        return -1;
    now = clock_ms(CLOCK_MONOTONIC);
    return now < close_at ? (int)(close_at - now) : 0;
}

static void log_clear_wake(struct log *log)
{
    uint64_t value;

    if (read(log->wake_fd, &value, sizeof(value)) < 0)
        must(errno == EAGAIN || errno == EINTR);
}

/* False when closing has run out of time. */
static bool log_wait_writable(struct log *log)
{
    struct pollfd fds[] = {
        {.fd = log->fd,      .events = POLLOUT},
        {.fd = log->wake_fd, .events = POLLIN }
    };

    for (;;) {
        int patience_ms = log_patience_ms(log);

        if (poll(fds, ARRAY_COUNT(fds), patience_ms) < 0)
            continue; /* EINTR */
        if (fds[0].revents)
            return true;
        if (patience_ms == 0)
            return false;
        if (fds[1].revents)
            log_clear_wake(log);
    }
}

static void log_count_lost(struct log *log, const char *bytes, size_t length)
{
    const char *end = bytes + length;

    while ((bytes = memchr(bytes, '\n', (size_t)(end - bytes)))) {
        atomic_fetch_add(&log->lost, 1);
        bytes++;
    }
}

/* Returns how many bytes the file refused: a full disk, or a reader that went away. */
static size_t log_put(struct log *log, const char *bytes, size_t length)
{
    while (length && log_wait_writable(log)) {
        ssize_t written = write(log->fd, bytes, length);

        if (written < 0 && errno != EAGAIN && errno != EINTR)
            break;
        if (written > 0) {
            bytes += written;
            length -= (size_t)written;
            log->torn = bytes[-1] != '\n';
        }
    }
    return length;
}

static size_t log_put_lines(struct log *log, const char *bytes, size_t length)
{
    if (log->torn && log_put(log, "\n", 1))
        return length;
    return log_put(log, bytes, length);
}

/* ---- the rings; the log's thread ---- */

/* Copies whole lines, as many as the batch takes, out of the ring; returns their length. */
static size_t source_take(struct log_source *source, char *batch, size_t size)
{
    uint64_t tail = atomic_load_explicit(&source->tail, memory_order_relaxed);
    uint64_t head = atomic_load_explicit(&source->head, memory_order_acquire);
    size_t at = tail % SOURCE_SIZE, length = head - tail < size ? (size_t)(head - tail) : size;
    size_t first = length < SOURCE_SIZE - at ? length : SOURCE_SIZE - at;

    memcpy(batch, source->bytes + at, first);
    memcpy(batch + first, source->bytes, length - first);
    while (length && batch[length - 1] != '\n')
        length--;
    atomic_store_explicit(&source->tail, tail + length, memory_order_release);
    return length;
}

static bool log_pending(struct log *log)
{
    for (struct log_source *source = atomic_load(&log->sources); source; source = source->next) {
        if (atomic_load(&source->head) != atomic_load(&source->tail))
            return true;
    }
    return false;
}

/* A batch from each source in turn; false when there was none. */
static bool log_drain_once(struct log *log)
{
    bool any = false;

    for (struct log_source *source = atomic_load(&log->sources); source; source = source->next) {
        size_t length = source_take(source, log->batch, log->batch_size), refused;

        if (!length)
            continue;
        refused = log_put_lines(log, log->batch, length);
        log_count_lost(log, log->batch + length - refused, refused);
        any = true;
    }
    return any;
}

static void log_tell_dropped(struct log *log)
{
    uint64_t dropped = log_dropped(log);
    const struct log_field fields[] = {LOG_NUMBER("lines", dropped - log->told_dropped)};
    const struct log_record record = {LOG_WARN, log_wall_ms(log), "log lines dropped", fields, 1};

    if (dropped == log->told_dropped)
        return;
    if (!log_put_lines(log, log->batch, log_format_line(log->batch, log->options.format, &record)))
        log->told_dropped = dropped;
}

static bool log_drain(struct log *log)
{
    bool any = false, more;

    do {
        log_reopen_file(log);
        any |= more = log_drain_once(log);
    } while (more && log_patience_ms(log) != 0);
    log_tell_dropped(log);
    return any;
}

static bool log_is_asked(struct log *log)
{
    return atomic_load(&log->close_at_ms) || atomic_load(&log->reopen);
}

static void log_rest(struct log *log, bool had_work)
{
    struct pollfd fd = {.fd = log->wake_fd, .events = POLLIN};

    /* Who writes a line or a flag looks at the state, or wakes us, after it; we look for both after
     * setting the state. */
    atomic_store(&log->state, had_work ? WRITER_RESTS : WRITER_SLEEPS);
    if ((had_work || !log_pending(log)) && !log_is_asked(log) &&
        poll(&fd, 1, had_work ? REST_MS : -1) > 0)
        log_clear_wake(log);
    atomic_store(&log->state, WRITER_BUSY);
}

static void log_release(struct log *log);

static void *log_run(void *argument)
{
    struct log *log = argument;

    for (;;) {
        uint64_t closing = atomic_load(&log->close_at_ms);
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

    for (; source; source = next) {
        next = source->next;
        mem_free(source);
    }
    log_close_file(log);
    if (log->wake_fd >= 0)
        close(log->wake_fd);
    if (log->finished_fd >= 0)
        close(log->finished_fd);
    mem_free(log->path);
    mem_free(log);
}

static int log_open_outputs(struct log *log)
{
    int fd = STDERR_FILENO;

    log->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    log->finished_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (log->wake_fd < 0 || log->finished_fd < 0)
        return -errno;
    if (strcmp(log->options.file, "stderr") != 0) {
        log->path = mem_text(log->options.file);
        if (!log->path)
            return -ENOMEM;
        fd = log_open_file(log->path);
        if (fd < 0)
            return fd;
    }
    log_use_file(log, fd);
    return log_start_thread(log);
}

struct log *log_open(const struct log_options *options, int *error)
{
    struct log *log = mem_new(sizeof(*log));

    *error = -ENOMEM;
    if (!log)
        return NULL;
    log->options = *options;
    log->fd = log->wake_fd = log->finished_fd = -1;
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

    atomic_store(&log->close_at_ms, clock_ms(CLOCK_MONOTONIC) + CLOSE_MS - GRACE_MS);
    eventfd_write(log->wake_fd, 1);
    while (poll(&fd, 1, log_patience_ms(log) + GRACE_MS) < 0)
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

void log_reopen(struct log *log)
{
    if (log->options.sink)
        return;
    atomic_store(&log->reopen, true);
    eventfd_write(log->wake_fd, 1);
}

/* ---- writing lines; the source's thread ---- */

struct log_source *log_source_new(struct log *log)
{
    struct log_source *source = mem_aligned(64, sizeof(*source));

    if (!source)
        return NULL;
    memset(source, 0, offsetof(struct log_source, bytes));
    source->log = log;
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
    return source && level >= source->log->options.level;
}

static void source_wake(struct log_source *source, uint64_t waiting)
{
    struct log *log = source->log;
    int state = atomic_load(&log->state);

    if (state == WRITER_BUSY || (state == WRITER_RESTS && waiting < SOURCE_SIZE / 2))
        return;
    if (atomic_compare_exchange_strong(&log->state, &state, WRITER_BUSY))
        eventfd_write(log->wake_fd, 1);
}

static void source_put(struct log_source *source, const char *line, size_t length)
{
    uint64_t head = atomic_load_explicit(&source->head, memory_order_relaxed);
    uint64_t waiting = head - atomic_load_explicit(&source->tail, memory_order_acquire);
    size_t at = head % SOURCE_SIZE;
    size_t first = length < SOURCE_SIZE - at ? length : SOURCE_SIZE - at;

    if (length > SOURCE_SIZE - waiting) {
        atomic_fetch_add_explicit(&source->dropped, 1, memory_order_relaxed);
        return;
    }
    memcpy(source->bytes + at, line, first);
    memcpy(source->bytes, line + first, length - first);
    atomic_store(&source->head, head + length);
    source_wake(source, waiting + length);
}

void log_write(struct log_source *source, enum log_level level, const char *event,
               const struct log_field *fields, size_t count)
{
    char line[LOG_LINE_SIZE];
    struct log_record record = {level, 0, event, fields, count};
    struct log *log = source->log;
    size_t length;

    record.wall_ms = log_wall_ms(log);
    length = log_format_line(line, log->options.format, &record);
    if (log->options.sink)
        log->options.sink(log->options.sink_context, level, line, length - 1);
    else
        source_put(source, line, length);
}
