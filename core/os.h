/* core/os.h - the rest of the kernel, as a table, so that a simulator can replace it.
 * Thread: any.  Everything returns a value or -errno.  Nothing waits, but bind. */
#ifndef CORE_OS_H
#define CORE_OS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "core/addr.h"

struct os {
    uint64_t (*clock_ns)(struct os *os); /* CLOCK_MONOTONIC */
    uint64_t (*wall_ms)(struct os *os);  /* since 1970 */
    void (*random)(struct os *os, void *to, size_t length);
    void (*yield)(struct os *os);                       /* lets whoever waits for this core run */
    int (*socket)(struct os *os, int family, int type); /* non-blocking, close-on-exec */
    /* A port in use is waited for, half a second at most. */
    int (*bind)(struct os *os, int fd, const struct addr *addr);
    int (*listen)(struct os *os, int fd, int backlog);
    int (*connect)(struct os *os, int fd,
                   const struct addr *addr); /* UDP, unix; TCP: ring_connect */
    int (*set_option)(struct os *os, int fd, int level, int name, const void *value,
                      socklen_t size);
    int (*get_option)(struct os *os, int fd, int level, int name, void *value, socklen_t *size);
    int (*local_addr)(struct os *os, int fd, struct addr *addr);
    int (*peer_addr)(struct os *os, int fd, struct addr *addr);
    int (*shutdown)(struct os *os, int fd, int how);
    void (*close)(struct os *os, int fd);
    int (*set_mode)(struct os *os, const char *path, uint32_t mode); /* 0: as the umask has it */
    int (*remove_socket)(struct os *os, const char *path); /* -EEXIST: it is something else */
    /* A pipe, its reading end first, that holds `size` bytes (or, where that is refused, `least`):
     * how many it holds.  Both ends non-blocking. */
    int (*pipe)(struct os *os, int fds[2], uint32_t size, uint32_t least);
    /* Moves up to `length` bytes between a pipe and a non-blocking socket: how many, 0 at the end
     * of the source, -EAGAIN when the source is empty or the target full.  SIGPIPE must be ignored:
     * a target that is gone raises it, and there is no flag against it here. */
    int (*splice)(struct os *os, int from, int to, uint32_t length);
    int (*event)(struct os *os);               /* an eventfd, blocking reads by the ring only */
    void (*event_ring)(struct os *os, int fd); /* adds 1; safe from any thread */
};

extern struct os os_linux;

#endif
