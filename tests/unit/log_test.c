/* A log and its files: threads, rotation, disks that are full and readers that are slow or gone. */
#include "core/log.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/mem.h"
#include "tests/unit/clock.h"
#include "tests/unit/test.h"

static char directory[] = "/tmp/log_test.XXXXXX", path[64], moved[64];
static char content[8 << 20];

__attribute__((constructor)) static void directory_make(void)
{
    if (!mkdtemp(directory))
        abort();
    snprintf(path, sizeof(path), "%s/log", directory);
    snprintf(moved, sizeof(moved), "%s/moved", directory);
}

__attribute__((destructor)) static void directory_remove(void)
{
    unlink(path);
    unlink(moved);
    rmdir(directory);
}

static size_t content_read(const char *name)
{
    int fd = open(name, O_RDONLY);
    ssize_t length = fd < 0 ? 0 : read(fd, content, sizeof(content) - 1);

    if (fd >= 0)
        close(fd);
    content[length > 0 ? length : 0] = '\0';
    return length > 0 ? (size_t)length : 0;
}

static size_t content_lines(void)
{
    size_t lines = 0;

    for (const char *at = content; (at = strchr(at, '\n')); at++)
        lines++;
    return lines;
}

static struct log *file_log(const char *file, int *error)
{
    struct log_options options = {.level = LOG_INFO, .file = file};

    return log_open(&options, error);
}

TEST(what_was_written_before_closing_is_in_the_file)
{
    struct log_source *source;
    struct stat status;
    struct log *log;
    int error;

    unlink(path);
    log = file_log(path, &error);
    check(log && (source = log_source_new(log)));
    for (int i = 0; i < 1000; i++)
        LOG(source, LOG_INFO, "line", LOG_NUMBER("number", i));
    check(log_dropped(log) == 0);
    log_close(&log);
    check(content_read(path) && content_lines() == 1000);
    check(strstr(content, "number=0\n") && strstr(content, "number=999\n"));
    check(stat(path, &status) == 0 && (status.st_mode & 0007) == 0);
}

enum { THREADS = 4, THREAD_LINES = 5000, ALL_LINES = THREADS * THREAD_LINES };

static void *write_many(void *argument)
{
    struct log_source *source = argument;

    for (int i = 0; i < THREAD_LINES; i++)
        LOG(source, LOG_INFO, "line from a thread", LOG_NUMBER("number", i), LOG_TEXT("x", "yyyy"));
    return NULL;
}

TEST(lines_of_many_threads_are_whole_in_order_and_written_or_counted)
{
    pthread_t threads[THREADS];
    struct log_source *sources[THREADS];
    struct log *log;
    uint64_t dropped, whole = 0;
    char *rest;
    int error;

    unlink(path);
    log = file_log(path, &error);
    check(log);
    for (int i = 0; i < THREADS; i++) {
        sources[i] = log_source_new(log);
        check(sources[i] && pthread_create(&threads[i], NULL, write_many, sources[i]) == 0);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    dropped = log_dropped(log);
    log_close(&log);
    check(content_read(path));
    for (char *line = strtok_r(content, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        whole += strstr(line, " x=yyyy") != NULL;
        check(strstr(line, " x=yyyy") || strstr(line, "log lines dropped"));
    }
    check(whole == ALL_LINES - dropped);
}

TEST(a_reopened_log_goes_on_in_a_new_file)
{
    const struct log_options options = {.level = LOG_INFO, .file = path};
    struct log_source *source;
    struct log_change *change;
    struct log *log;
    int error;

    unlink(path);
    log = file_log(path, &error);
    check(log && (source = log_source_new(log)));
    LOG(source, LOG_INFO, "before");
    while (!content_read(path)) /* woken at once: a few turns */
        poll(NULL, 0, 1);
    check(rename(path, moved) == 0);
    change = log_change_new(log, &options, &error);
    check(change && access(path, F_OK) == 0);
    log_change_take(log, &change);
    LOG(source, LOG_INFO, "after");
    log_close(&log);
    check(content_read(moved) && strstr(content, "before") && !strstr(content, "after"));
    check(content_read(path) && strstr(content, "after") && !strstr(content, "before"));
}

TEST(a_file_that_cannot_be_opened_is_an_error)
{
    int error = 0;

    check(!file_log("/nonexistent/log", &error) && error == -ENOENT);
    check(!file_log(directory, &error) && error == -EISDIR);
}

TEST(a_full_disk_costs_lines_and_nothing_else)
{
    struct log_source *source;
    struct log *log;
    int error;

    log = file_log("/dev/full", &error);
    check(log && (source = log_source_new(log)));
    for (int i = 0; i < 100; i++)
        LOG(source, LOG_INFO, "line", LOG_NUMBER("number", i));
    while (log_dropped(log) < 100)
        poll(NULL, 0, 1);
    LOG(source, LOG_INFO, "one more");
    while (log_dropped(log) < 101)
        poll(NULL, 0, 1);
    log_close(&log);
}

TEST(a_line_cut_by_a_full_disk_is_ended_before_the_next)
{
    struct rlimit before, small = {1000, 0};
    struct log_source *source;
    struct log *log;
    size_t cut;
    int error;

    unlink(path);
    check(getrlimit(RLIMIT_FSIZE, &before) == 0);
    small.rlim_max = before.rlim_max;
    log = file_log(path, &error);
    check(log && (source = log_source_new(log)));
    check(setrlimit(RLIMIT_FSIZE, &small) == 0); /* SIGXFSZ would kill the process */
    for (int i = 0; i < 100; i++)
        LOG(source, LOG_INFO, "line", LOG_NUMBER("number", i));
    while (!log_dropped(log))
        poll(NULL, 0, 1);
    check(setrlimit(RLIMIT_FSIZE, &before) == 0);
    cut = content_read(path);
    LOG(source, LOG_INFO, "room again");
    log_close(&log);
    check(content_read(path) > cut && content[cut] == '\n');
    check(strstr(content, "room again\n") && strstr(content, "log lines dropped lines="));
}

TEST(a_blocked_pipe_stalls_nobody_and_closing_waits_at_most_a_second)
{
    struct log_source *source;
    struct log *log;
    uint64_t began;
    int error, fifo;

    unlink(path);
    check(mkfifo(path, 0600) == 0);
    fifo = open(path, O_RDONLY | O_NONBLOCK);
    log = file_log(path, &error);
    check(fifo >= 0 && log && (source = log_source_new(log)));
    began = monotonic_ms();
    for (int i = 0; i < 20000; i++) /* more than pipe and buffer hold */
        LOG(source, LOG_INFO, "a line that nobody reads", LOG_NUMBER("number", i));
    check(log_dropped(log) > 0);
    check(monotonic_ms() - began < 900);
    began = monotonic_ms();
    log_close(&log);
    check(monotonic_ms() - began < 1500);
    close(fifo);
    unlink(path);
}

TEST(what_a_slow_reader_missed_is_told_when_it_reads_again)
{
    struct log_source *source;
    struct log *log;
    ssize_t length;
    bool told = false;
    int error, fifo;

    unlink(path);
    check(mkfifo(path, 0600) == 0);
    fifo = open(path, O_RDONLY | O_NONBLOCK);
    log = file_log(path, &error);
    check(fifo >= 0 && log && (source = log_source_new(log)));
    while (!log_dropped(log))
        LOG(source, LOG_INFO, "a line that nobody reads");
    while (!told) {
        struct pollfd fd = {.fd = fifo, .events = POLLIN};

        check(poll(&fd, 1, 5000) == 1);
        length = read(fifo, content, sizeof(content) - 1);
        check(length > 0);
        content[length] = '\0';
        told = strstr(content, "log lines dropped lines=");
    }
    log_close(&log);
    close(fifo);
    unlink(path);
}

TEST(a_reader_that_went_away_is_no_signal)
{
    struct log_source *source;
    struct log *log;
    int error, fifo;

    unlink(path);
    check(mkfifo(path, 0600) == 0);
    fifo = open(path, O_RDONLY | O_NONBLOCK);
    log = file_log(path, &error);
    check(fifo >= 0 && log && (source = log_source_new(log)));
    close(fifo);
    LOG(source, LOG_INFO, "into the void");
    while (!log_dropped(log))
        poll(NULL, 0, 1);
    log_close(&log);
    unlink(path);
}

TEST(stderr_blocked_for_ever_is_given_up_after_a_second_and_keeps_its_flags)
{
    int ends[2], saved = dup(STDERR_FILENO), error, flags;
    struct log_source *source;
    struct log *log;
    uint64_t began;

    check(saved >= 0 && pipe(ends) == 0);
    dup2(ends[1], STDERR_FILENO);
    log = file_log("stderr", &error);
    source = log ? log_source_new(log) : NULL;
    for (int i = 0; source && i < 5000; i++)
        LOG(source, LOG_INFO, "a line that nobody reads");
    flags = fcntl(STDERR_FILENO, F_GETFL);
    began = monotonic_ms();
    log_close(&log);
    dup2(saved, STDERR_FILENO);
    check(source && monotonic_ms() - began < 1500);
    check(!(flags & O_NONBLOCK));
    close(ends[0]);
    close(ends[1]);
    close(saved);
}

TEST(opening_survives_any_failed_allocation)
{
    for (uint64_t n = 1;; n++) {
        struct log_source *source = NULL;
        struct log *log;
        bool failed;
        int error = 0;

        mem_count(true);
        mem_fail_at(n);
        log = file_log(path, &error);
        if (log)
            source = log_source_new(log);
        failed = mem_failed();
        mem_fail_at(0);
        check(failed == !source && (log || error == -ENOMEM));
        log_close(&log);
        check(mem_live() == 0);
        mem_count(false);
        if (!failed)
            break;
    }
}
