#include "cli/limits.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

static rlim_t limit_wanted(const struct settings *settings)
{
    uint32_t needed = settings_descriptors(settings);

    return settings->process.nofile > needed ? settings->process.nofile : needed;
}

/* Root may lift the hard limit, where nobody has taken that from it: only trying tells. */
static bool limit_can_be(struct rlimit limit, rlim_t wanted)
{
    if (wanted <= limit.rlim_max)
        return true;
    limit.rlim_max = wanted;
    return setrlimit(RLIMIT_NOFILE, &limit) == 0;
}

bool limits_check(const struct settings *settings, const char *file, FILE *errors)
{
    uint32_t needed = settings_descriptors(settings), nofile = settings->process.nofile;
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit))
        return true;
    if (!limit_can_be(limit, limit_wanted(settings))) {
        fprintf(errors,
                "%s:0: %" PRIu64 " descriptors are wanted, and the system allows %" PRIu64 "\n",
                file, (uint64_t)limit_wanted(settings), (uint64_t)limit.rlim_max);
        return false;
    }
    if (nofile && nofile < needed) {
        fprintf(errors, "%s:0: nofile is %u, and the start alone needs %u descriptors\n", file,
                nofile, needed);
        return false;
    }
    return true;
}

/* The kernel grows the table of descriptors by doubling, and with threads about it waits each time
 * until all have looked away: thousands of ports are bound sooner after one step. */
static void limits_reserve(uint32_t count)
{
    int fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, count);

    if (fd >= 0)
        close(fd);
}

int limits_raise(const struct settings *settings)
{
    struct rlimit limit;
    int rc;

    if (getrlimit(RLIMIT_NOFILE, &limit))
        return -errno;
    limit.rlim_cur = settings->process.nofile ? settings->process.nofile : limit.rlim_max;
    if (limit.rlim_cur < limit_wanted(settings))
        limit.rlim_cur = limit_wanted(settings);
    if (limit.rlim_cur > limit.rlim_max)
        limit.rlim_max = limit.rlim_cur;
    rc = setrlimit(RLIMIT_NOFILE, &limit) ? -errno : 0;
    limits_reserve(settings_descriptors(settings) - 1);
    return rc;
}

static uint32_t affinity_cores(void)
{
    cpu_set_t set;

    return sched_getaffinity(0, sizeof set, &set) ? 1 : (uint32_t)CPU_COUNT(&set);
}

/* "max 100000" or "200000 100000": time a period may use, and its length.  UINT32_MAX: no limit. */
static uint32_t cgroup_cores(void)
{
    FILE *file = fopen("/sys/fs/cgroup/cpu.max", "re");
    uint64_t quota, period;
    int found;

    if (!file)
        return UINT32_MAX;
    found = fscanf(file, "%" SCNu64 " %" SCNu64, &quota, &period);
    fclose(file);
    if (found != 2 || !period || !quota)
        return UINT32_MAX;
    return (uint32_t)((quota + period - 1) / period);
}

uint32_t limits_workers(void)
{
    uint32_t cores = affinity_cores(), quota = cgroup_cores();

    if (cores > quota)
        cores = quota;
    return cores < SETTINGS_WORKERS_MAX ? cores : SETTINGS_WORKERS_MAX;
}

/* UINT64_MAX: no limit, or none that can be read. */
static uint64_t cgroup_memory(void)
{
    FILE *file = fopen("/sys/fs/cgroup/memory.max", "re");
    char text[32] = "", *end = text;
    uint64_t bytes = 0;

    if (!file)
        return UINT64_MAX;
    if (fgets(text, sizeof text, file))
        bytes = strtoull(text, &end, 10);
    fclose(file);
    return end == text ? UINT64_MAX : bytes; /* else it says "max" */
}

void limits_of_pools(uint32_t workers, struct pool_limits *limits)
{
    static const struct {
        uint32_t size, share; /* bytes of a chunk; hundredths of the memory that all may take */
    } pools[POOL_COUNT] = {
        [POOL_SMALL] = {2 << 10,  25},
        [POOL_MEDIUM] = {16 << 10, 50},
        [POOL_LARGE] = {68 << 10, 25},
    };
    uint64_t memory = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
    uint64_t most = cgroup_memory();

    if (memory > most)
        memory = most;
    for (int i = 0; i < POOL_COUNT; i++) {
        uint64_t count = memory / 2 / workers / 100 * pools[i].share / pools[i].size;

        limits->count[i] = (uint32_t)(count < 64 ? 64 : count > UINT32_MAX ? UINT32_MAX : count);
    }
}
