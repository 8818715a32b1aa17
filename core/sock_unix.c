/* Listening on a path in the file system. */
#include <errno.h>

#include "core/sock.h"

/* Whether the file is one that its listener left behind.  One who is there gets no user of us: the
 * kernel refuses datagrams to a listener. */
static bool is_left_behind(struct os *os, const struct addr *addr)
{
    int fd = os->socket(os, AF_UNIX, SOCK_DGRAM);
    int rc;

    if (fd < 0)
        return false;
    rc = os->connect(os, fd, addr);
    os->close(os, fd);
    return rc == -ECONNREFUSED;
}

static int bind_path(struct os *os, int fd, const struct addr *addr)
{
    int rc = os->bind(os, fd, addr);

    if (rc != -EADDRINUSE || !is_left_behind(os, addr))
        return rc;
    rc = os->remove_socket(os, addr->local.sun_path);
    return rc ? rc : os->bind(os, fd, addr);
}

/* Nobody can connect before the listen, so the mode rules from the first moment. */
int sock_unix_listen(struct os *os, const struct addr *addr, int backlog, uint32_t mode)
{
    int fd = os->socket(os, AF_UNIX, SOCK_STREAM);
    int rc;

    if (fd < 0)
        return fd;
    rc = bind_path(os, fd, addr);
    if (rc)
        goto close_fd;
    if (mode)
        rc = os->set_mode(os, addr->local.sun_path, mode);
    if (!rc)
        rc = os->listen(os, fd, backlog);
    if (!rc)
        return fd;
    sock_unix_remove(os, addr);
close_fd:
    os->close(os, fd);
    return rc;
}

void sock_unix_remove(struct os *os, const struct addr *addr)
{
    int rc = os->remove_socket(os, addr->local.sun_path);

    (void)rc; /* somebody else removed it, or may not: nothing is left to do */
}
