/* cli/activation.h - sockets that systemd opened for us (LISTEN_FDS), found by their address.
 *
 * The kernel as workers see it (struct os), but that binding to an address for which a socket was
 * handed over takes that socket instead.  Nobody above knows the difference.
 * Owner: cli/process.  Life: activation_open -> bind, from any thread -> activation_close, which
 * closes those that nobody wanted. */
#ifndef CLI_ACTIVATION_H
#define CLI_ACTIVATION_H

#include <pthread.h>

#include "core/os.h"

enum { ACTIVATION_MAX = 64 };

struct activation_socket {
    int fd; /* -1: taken */
    int type;
    struct addr addr;
};

struct activation {
    struct os os; /* what workers are given */
    pthread_mutex_t lock;
    struct activation_socket sockets[ACTIVATION_MAX];
    uint32_t count;
};

void activation_open(struct activation *activation);
void activation_close(struct activation *activation);
uint32_t activation_left(struct activation *activation); /* nobody has wanted them so far */

#endif
