/* core/reason.h - why a connection, stream, session or open ended: one row each, with its text for
 * logs, its name for scripts, and how loudly it is logged.  Add rows; never renumber in meaning. */
#ifndef CORE_REASON_H
#define CORE_REASON_H

#include <stdbool.h>

#include "core/log.h"

/* clang-format off */
/*     name                 severity   text */
#define REASONS(ROW)                                                                               \
    ROW(DONE,               LOG_DEBUG, "both sides finished")                                      \
    ROW(RESET,              LOG_DEBUG, "reset by the peer")                                        \
    ROW(REFUSED,            LOG_INFO,  "refused by the service")                                   \
    ROW(UNREACHABLE,        LOG_INFO,  "no route to the service")                                  \
    ROW(CONNECT_TIMEOUT,    LOG_INFO,  "the service did not answer in time")                       \
    ROW(OPEN_TIMEOUT,       LOG_INFO,  "the tunnel client did not answer in time")                 \
    ROW(NO_SERVICE,         LOG_WARN,  "the tunnel client has no such service")                    \
    ROW(NO_MEMBER,          LOG_INFO,  "no member of the backend can take it")                     \
    ROW(IDLE_TIMEOUT,       LOG_DEBUG, "idle for too long")                                        \
    ROW(HALF_CLOSE_TIMEOUT, LOG_DEBUG, "half closed for too long")                                 \
    ROW(PEER_TIMEOUT,       LOG_INFO,  "nothing heard from the peer")                              \
    ROW(HANDSHAKE_TIMEOUT,  LOG_INFO,  "the handshake took too long")                              \
    ROW(NOT_A_HANDSHAKE,    LOG_DEBUG, "what came first is no handshake")                          \
    ROW(HEARTBEAT_TIMEOUT,  LOG_WARN,  "no heartbeat answered in time")                            \
    ROW(TLS_FAILED,         LOG_WARN,  "the TLS handshake failed")                                 \
    ROW(CERTIFICATE,        LOG_WARN,  "the certificate was not accepted")                         \
    ROW(SERVER_NAME,        LOG_WARN,  "the certificate is not for the expected server name")      \
    ROW(NOT_ALLOWED,        LOG_WARN,  "the identity is not allowed to serve this tunnel")         \
    ROW(NO_ALPN,            LOG_WARN,  "the peer does not speak qmux/2")                           \
    ROW(VERSION,            LOG_WARN,  "no protocol version in common")                            \
    ROW(PROTOCOL,           LOG_WARN,  "the peer broke the protocol")                              \
    ROW(STATELESS_RESET,    LOG_INFO,  "the peer does not know this connection any more")          \
    ROW(PEER_CLOSED,        LOG_INFO,  "closed by the peer")                                       \
    ROW(REPLACED,           LOG_INFO,  "replaced by a newer connection of the same client")        \
    ROW(TUNNEL_LOST,        LOG_INFO,  "the tunnel under it was lost")                             \
    ROW(SOURCE_DENIED,      LOG_INFO,  "the source address is not allowed")                        \
    ROW(RATE_LIMIT,         LOG_INFO,  "the source address comes too often")                       \
    ROW(MAX_CONNECTIONS,    LOG_INFO,  "as many connections as the listener may have")             \
    ROW(PROXY_HEADER,       LOG_INFO,  "no PROXY header, or a wrong one")                          \
    ROW(PROXY_TIMEOUT,      LOG_INFO,  "the PROXY header did not come in time")                    \
    ROW(PROXY_SPOOFED,      LOG_WARN,  "a PROXY header from an address that may not send one")     \
    ROW(LIMIT,              LOG_WARN,  "a limit was reached")                                      \
    ROW(NO_MEMORY,          LOG_ERROR, "out of memory")                                            \
    ROW(NO_DESCRIPTORS,     LOG_ERROR, "out of descriptors")                                       \
    ROW(SYSTEM,             LOG_ERROR, "the system refused")                                       \
    ROW(NAME_UNKNOWN,       LOG_WARN,  "the host name could not be resolved")                      \
    ROW(NAME_PENDING,       LOG_INFO,  "the host name is still being resolved")                    \
    ROW(DRAINED,            LOG_INFO,  "still open when the drain time ended")                     \
    ROW(SHUTDOWN,           LOG_INFO,  "shutting down")                                            \
    ROW(ABANDONED,          LOG_DEBUG, "given up for another member")                              \
    ROW(HEALTH_ANSWER,      LOG_INFO,  "its answer to the health check was not a good one")        \
    ROW(HEALTH_SILENCE,     LOG_INFO,  "it did not answer the health check in time")
/* clang-format on */

enum reason {
#define REASON_ENUM(name, severity, text) REASON_##name,
    REASONS(REASON_ENUM)
#undef REASON_ENUM
        REASON_COUNT
};

const char *reason_text(enum reason reason); /* "refused by the service" */
const char *reason_name(enum reason reason); /* "refused" */
enum log_level reason_severity(enum reason reason);
bool reason_is_ours(enum reason reason); /* no fault of whoever was asked */
enum reason reason_of_errno(int error);  /* takes -errno or errno */

#endif
