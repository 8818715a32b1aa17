#include "core/ring_probe.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include "core/must.h"

static const char *const accelerator_names[ACCELERATOR_COUNT] = {
    [ACCELERATOR_SUBMIT_ALL] = "submit_all",
    [ACCELERATOR_TASKRUN_FLAG] = "taskrun_flag",
    [ACCELERATOR_RING_FD] = "ring_fd",
    [ACCELERATOR_NO_IOWAIT] = "no_iowait",
};

static uint32_t accelerators_named(const char *name, size_t length)
{
    if (length == 3 && memcmp(name, "all", 3) == 0)
        return (1u << ACCELERATOR_COUNT) - 1;
    for (unsigned i = 0; i < ACCELERATOR_COUNT; i++)
        if (strlen(accelerator_names[i]) == length && !memcmp(accelerator_names[i], name, length))
            return 1u << i;
    return 0;
}

uint32_t accelerators_wanted(const char *without)
{
    uint32_t wanted = (1u << ACCELERATOR_COUNT) - 1;

    while (without && *without) {
        size_t length = strcspn(without, ",");

        wanted &= ~accelerators_named(without, length);
        without += length;
        without += *without == ',';
    }
    return wanted;
}

static void explain_permission(const char *release, int disabled, char *text, size_t size)
{
    if (disabled == 2)
        snprintf(text, size,
                 "io_uring is switched off on this machine: sysctl kernel.io_uring_disabled is 2; "
                 "set it to 0 (sysctl -w kernel.io_uring_disabled=0)");
    else if (disabled == 1)
        snprintf(text, size,
                 "io_uring is kept from this user: sysctl kernel.io_uring_disabled is 1; set it to "
                 "0, or put the user's group into kernel.io_uring_group");
    else
        snprintf(text, size,
                 "io_uring is forbidden here, most likely by a seccomp filter of the container "
                 "runtime or the service manager; allow the system calls io_uring_setup, "
                 "io_uring_enter and io_uring_register (docker: --security-opt seccomp=FILE)");
}

/* A kernel new enough that answers "no such call" is one behind a filter. */
static bool release_is_old(const char *release)
{
    char *end;
    long major = strtol(release, &end, 10);
    long minor = *end == '.' ? strtol(end + 1, NULL, 10) : 0;

    return major < 6 || (major == 6 && minor < 1);
}

void ring_explain(int error, const char *release, int disabled, char *text, size_t size)
{
    if (error < 0)
        error = -error;
    if ((error == ENOSYS || error == EINVAL) && release_is_old(release))
        snprintf(text, size, "the kernel is too old: Linux %s runs here, 6.1 or newer is needed",
                 release);
    else if (error == ENOSYS && disabled < 0)
        snprintf(text, size,
                 "this kernel (Linux %s) has no io_uring, or a seccomp filter hides it; use a "
                 "kernel built with CONFIG_IO_URING, or allow io_uring_setup in the filter",
                 release);
    else if (error == EPERM || error == EACCES || error == ENOSYS)
        explain_permission(release, disabled, text, size);
    else if (error == ENOMEM)
        snprintf(text, size,
                 "no memory for an io_uring: raise the memlock limit (ulimit -l, LimitMEMLOCK=) "
                 "or the memory limit of the control group");
    else if (error == EMFILE || error == ENFILE)
        snprintf(text, size,
                 "no descriptor left for an io_uring: raise the limit (ulimit -n, LimitNOFILE=)");
    else
        snprintf(text, size, "io_uring cannot be used on Linux %s: %s", release, strerror(error));
}

static int read_disabled(void)
{
    FILE *file = fopen("/proc/sys/kernel/io_uring_disabled", "re");
    char line[16] = "", *end;
    long value;

    if (!file)
        return -1;
    if (!fgets(line, sizeof(line), file))
        line[0] = '\0';
    fclose(file);
    value = strtol(line, &end, 10);
    return end == line ? -1 : (int)value;
}

void ring_explain_here(int error, char *text, size_t size)
{
    struct utsname name;

    if (uname(&name) != 0)
        strcpy(name.release, "?");
    ring_explain(error, name.release, read_disabled(), text, size);
}
