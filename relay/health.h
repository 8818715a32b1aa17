/* relay/health.h - one question to a server: does it serve?  Being connected is enough (tcp); or it
 * must begin a TLS handshake (tls), or answer a GET with a status of 200 to 399 (http); on UDP
 * nobody must say that there is no such port.
 *
 * Owner: the question's own until `told`, which is called once, last, never from inside ask or
 * give_up; then it has freed itself.  Thread: the worker's. */
#ifndef RELAY_HEALTH_H
#define RELAY_HEALTH_H

#include "core/worker.h"
#include "relay/settings.h"

enum { HEALTH_HOST_SIZE = 272 }; /* a name, or an address in brackets, and a port */

struct health_check;
/* REASON_DONE: it serves; REASON_ABANDONED: given up. */
typedef void health_told_fn(void *context, enum reason reason);

struct health_question {
    enum health_kind kind;
    struct addr addr;
    const char *host; /* of the GET and the handshake; copied, as the path is */
    const char *path;
    enum send_proxy send_proxy; /* what the server expects in front */
    uint64_t timeout_ns;
    health_told_fn *told;
    void *context;
};

struct health_check *health_ask(struct worker *worker,
                                const struct health_question *question) MUST_CHECK;
void health_give_up(struct health_check *check);

#endif
