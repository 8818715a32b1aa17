#include "cli/notify.h"

#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/os.h"

/* A path, or an abstract name that begins with @.  0 or -EINVAL. */
static int notify_addr(const char *name, struct addr *addr)
{
    size_t length = strlen(name);

    *addr = (struct addr){0};
    if ((*name != '/' && *name != '@') || !name[1] || length >= sizeof addr->local.sun_path)
        return -EINVAL;
    addr->local.sun_family = AF_UNIX;
    memcpy(addr->local.sun_path, name, length);
    if (*name == '@')
        addr->local.sun_path[0] = 0;
    addr->length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length + (*name == '/'));
    return 0;
}

static uint64_t environment_number(const char *name)
{
    const char *text = getenv(name);

    return text && *text >= '0' && *text <= '9' ? strtoull(text, NULL, 10) : 0;
}

/* Half the time that systemd waits; not ours when it is meant for another process. */
static uint64_t notify_watchdog_ms(void)
{
    uint64_t pid = environment_number("WATCHDOG_PID");
    uint64_t us = environment_number("WATCHDOG_USEC");

    if (!us || (pid && pid != (uint64_t)getpid()))
        return 0;
    return us / 2000 ? us / 2000 : 1;
}

void notify_open(struct notify *notify)
{
    const char *name = getenv("NOTIFY_SOCKET");

    *notify = (struct notify){.fd = -1, .watchdog_ms = notify_watchdog_ms()};
    if (name && notify_addr(name, &notify->addr) == 0)
        notify->fd = os_linux.socket(&os_linux, AF_UNIX, SOCK_DGRAM);
    if (notify->fd < 0)
        notify->watchdog_ms = 0;
    unsetenv("NOTIFY_SOCKET");
    unsetenv("WATCHDOG_USEC");
    unsetenv("WATCHDOG_PID");
}

void notify_close(struct notify *notify)
{
    if (notify->fd >= 0)
        close(notify->fd);
    notify->fd = -1;
}

/* Nothing can be done about a supervisor that does not take it. */
static void notify_say(const struct notify *notify, const char *text)
{
    if (notify->fd >= 0 && sendto(notify->fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT,
                                  &notify->addr.sa, notify->addr.length) < 0)
        return;
}

void notify_ready(struct notify *notify, const char *status)
{
    char text[256];

    snprintf(text, sizeof text, "READY=1\nMAINPID=%d\nSTATUS=%s\n", (int)getpid(), status);
    notify_say(notify, text);
}

void notify_reloading(struct notify *notify)
{
    char text[128];

    snprintf(text, sizeof text, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64 "\n",
             os_linux.clock_ns(&os_linux) / 1000);
    notify_say(notify, text);
}

void notify_stopping(struct notify *notify)
{
    notify_say(notify, "STOPPING=1\nSTATUS=draining\n");
}

void notify_watchdog(struct notify *notify)
{
    notify_say(notify, "WATCHDOG=1\n");
}
