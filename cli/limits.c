#include "cli/limits.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define CGROUP_ROOT "/sys/fs/cgroup"

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
                "%s:0: %" PRIu64 " descriptors are wanted, and the system allows %" PRIu64
                ": raise its limit (ulimit -n, LimitNOFILE=)\n",
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

/* ---- control groups ---- */

/* What a file of a control group allows; UINT64_MAX: no limit. */
typedef uint64_t cgroup_fn(const char *text);

/* "max 100000" or "200000 100000": time a period may use, and its length. */
static uint64_t cgroup_cores(const char *text)
{
    uint64_t quota, period;

    if (sscanf(text, "%" SCNu64 " %" SCNu64, &quota, &period) != 2 || !period || !quota)
        return UINT64_MAX;
    return (quota + period - 1) / period;
}

/* "max" or bytes. */
static uint64_t cgroup_bytes(const char *text)
{
    char *end;
    uint64_t bytes = strtoull(text, &end, 10);

    return end == text ? UINT64_MAX : bytes;
}

static uint64_t cgroup_limit(const char *folder, const char *name, cgroup_fn *limit_of)
{
    char path[PATH_MAX + 32], text[64] = "";
    FILE *file;

    snprintf(path, sizeof path, "%s/%s", folder, name);
    file = fopen(path, "re");
    if (!file)
        return UINT64_MAX;
    if (!fgets(text, sizeof text, file))
        *text = 0;
    fclose(file);
    return limit_of(text);
}

/* The group that we are in, below the root that we see: "0::/system.slice/x.service". */
static void cgroup_folder(char *folder, size_t size)
{
    char line[PATH_MAX] = "";
    FILE *file = fopen("/proc/self/cgroup", "re");

    while (file && fgets(line, sizeof line, file) && strncmp(line, "0::/", 4) != 0)
        *line = 0;
    if (file)
        fclose(file);
    line[strcspn(line, "\n")] = 0;
    snprintf(folder, size, "%s%s", CGROUP_ROOT, *line ? line + 3 : "");
}

/* Of our group and all that it is in the strictest counts. */
static uint64_t cgroup_least(const char *name, cgroup_fn *limit_of)
{
    char folder[PATH_MAX + 16];
    uint64_t least = UINT64_MAX;

    cgroup_folder(folder, sizeof folder);
    while (strlen(folder) >= strlen(CGROUP_ROOT)) {
        uint64_t limit = cgroup_limit(folder, name, limit_of);

        if (limit < least)
            least = limit;
        *strrchr(folder, '/') = 0;
    }
    return least;
}

static uint32_t affinity_cores(void)
{
    cpu_set_t set;

    return sched_getaffinity(0, sizeof set, &set) ? 1 : (uint32_t)CPU_COUNT(&set);
}

uint32_t limits_workers(void)
{
    uint64_t quota = cgroup_least("cpu.max", cgroup_cores);
    uint32_t cores = affinity_cores();

    if (cores > quota)
        cores = (uint32_t)quota;
    return cores < SETTINGS_WORKERS_MAX ? cores : SETTINGS_WORKERS_MAX;
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
    uint64_t most = cgroup_least("memory.max", cgroup_bytes);

    if (memory > most)
        memory = most;
    for (int i = 0; i < POOL_COUNT; i++) {
        uint64_t count = memory / 2 / workers / 100 * pools[i].share / pools[i].size;

        limits->count[i] = (uint32_t)(count < 64 ? 64 : count > UINT32_MAX ? UINT32_MAX : count);
    }
}
