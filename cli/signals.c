#include "cli/signals.h"

#include <errno.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

static const struct {
    int number;
    enum signal_event event;
    const char *name;
} signals[] = {
    {SIGTERM, SIGNAL_END,     "SIGTERM"},
    {SIGINT,  SIGNAL_END,     "SIGINT" },
    {SIGUSR1, SIGNAL_REOPEN,  "SIGUSR1"},
    {SIGHUP,  SIGNAL_RELOAD,  "SIGHUP" },
    {SIGUSR2, SIGNAL_UPGRADE, "SIGUSR2"},
};

int signals_open(void)
{
    sigset_t set;
    int fd;

    sigemptyset(&set);
    for (size_t i = 0; i < ARRAY_COUNT(signals); i++)
        sigaddset(&set, signals[i].number);
    if (sigprocmask(SIG_BLOCK, &set, NULL))
        return -errno;
    fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

enum signal_event signals_next(int fd, const char **name)
{
    struct signalfd_siginfo information;

    if (read(fd, &information, sizeof information) != sizeof information)
        return SIGNAL_NONE;
    for (size_t i = 0; i < ARRAY_COUNT(signals); i++)
        if (signals[i].number == (int)information.ssi_signo) {
            *name = signals[i].name;
            return signals[i].event;
        }
    return SIGNAL_NONE;
}

void signals_close(int fd)
{
    close(fd);
}
