/* cli/certs.h - a folder of certificates that fit the files `qmux-uring config` prints.
 * Thread: the main one, after tls_global_init. */
#ifndef CLI_CERTS_H
#define CLI_CERTS_H

#include <stdbool.h>
#include <stdint.h>

#include "core/must.h"

struct certs_request {
    const char *folder;
    const char *const *server_names, *const *clients; /* no clients: one called client */
    uint32_t server_name_count, client_count;
    uint32_t days;
    bool force, quiet;
};
/* 0 or -errno; what went wrong was printed. */
int certs_make(const struct certs_request *request) MUST_CHECK;

#endif
