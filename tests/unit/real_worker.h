/* tests/unit/real_worker.h - a worker on the real kernel for unit tests, and sockets around it.
 * BOTH(claim) makes two tests of one body: with every accelerator, and on the 6.1 floor. */
#ifndef TESTS_UNIT_REAL_WORKER_H
#define TESTS_UNIT_REAL_WORKER_H

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "core/sock.h"
#include "core/worker.h"
#include "tests/unit/test.h"

#define BOTH(title)                                                                                \
    static void title##_body(const char *without);                                                 \
    TEST(title)                                                                                    \
    {                                                                                              \
        title##_body(NULL);                                                                        \
    }                                                                                              \
    TEST(title##_without_accelerators)                                                             \
    {                                                                                              \
        title##_body("all");                                                                       \
    }                                                                                              \
    static void title##_body(const char *without)

struct real_worker {
    struct worker worker;
    struct counters counters;
};

static inline bool real_worker_open_with(struct real_worker *real, const char *without,
                                         struct pool_limits limits)
{
    char error[256];
    struct worker_options options = {
        .os = &os_linux,
        .ring = ring_uring_open(without, error, sizeof(error)),
        .limits = limits,
        .counters = &real->counters,
    };

    if (!options.ring) {
        fprintf(stderr, "%s\n", error);
        return false;
    }
    memset(&real->counters, 0, sizeof(real->counters));
    return worker_init(&real->worker, &options) == 0;
}

static inline bool real_worker_open(struct real_worker *real, const char *without)
{
    return real_worker_open_with(real, without,
                                 (struct pool_limits){
                                     {1024, 1024, 64}
    });
}

/* Turns until the condition holds; false after five seconds. */
#define turn_until(real, condition)                                                                \
    ({                                                                                             \
        uint64_t give_up_ns = os_linux.clock_ns(&os_linux) + 5000000000u;                          \
        while (!(condition) && os_linux.clock_ns(&os_linux) < give_up_ns)                          \
            must(worker_turn(&(real)->worker, give_up_ns) == 0);                                   \
        (condition);                                                                               \
    })

/* Runs what is due now; for claims that something does not happen. */
static inline void turn_some(struct real_worker *real)
{
    for (int i = 0; i < 10; i++)
        must(worker_turn(&real->worker, os_linux.clock_ns(&os_linux) + 2000000) == 0);
}

static inline struct addr loopback_addr(void)
{
    struct addr addr;

    must(addr_parse(&addr, "127.0.0.1:1") == 0);
    addr_set_port(&addr, 0);
    return addr;
}

/* A listening socket on a free port of the loopback. */
static inline int loopback_listen(struct addr *addr)
{
    struct addr any = loopback_addr();
    int fd = sock_tcp_listen(&os_linux, &any, 64);

    must(fd >= 0 && os_linux.local_addr(&os_linux, fd, addr) == 0);
    return fd;
}

/* A listening socket whose queue is full answers nothing. */
enum { SILENT_FDS = 4 };
static inline void silent_listen(struct addr *addr, int fds[SILENT_FDS])
{
    struct addr any = loopback_addr();

    fds[0] = sock_tcp_listen(&os_linux, &any, 0);
    must(fds[0] >= 0 && os_linux.local_addr(&os_linux, fds[0], addr) == 0);
    for (int i = 1; i < SILENT_FDS; i++) {
        fds[i] = sock_tcp(&os_linux, AF_INET);
        must(connect(fds[i], &addr->sa, addr->length) == 0 || errno == EINPROGRESS);
    }
}
static inline void silent_close(const int fds[SILENT_FDS])
{
    for (int i = 0; i < SILENT_FDS; i++)
        close(fds[i]);
}

/* A connected pair: *ours non-blocking, *theirs a blocking socket for the test to drive. */
static inline void loopback_pair(int *ours, int *theirs)
{
    struct addr addr;
    int listener = loopback_listen(&addr);

    *theirs = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    must(*theirs >= 0 && connect(*theirs, &addr.sa, addr.length) == 0);
    *ours = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    must(*ours >= 0);
    close(listener);
}

#endif
