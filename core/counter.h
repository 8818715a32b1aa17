/* core/counter.h - what a worker counts.  One writer a cell (the worker), read by anyone without
 * locks; sums are made by the reader.  Owner: a thread of cli, by its worker or its own.  Limits
 * that were reached are rows too. */
#ifndef CORE_COUNTER_H
#define CORE_COUNTER_H

#include <stdatomic.h>
#include <stdint.h>

/* clang-format off */
/*     name                        text for the log and metrics */
#define COUNTERS(ROW)                                                                              \
    ROW(ACCEPTED,                  "connections accepted")                                         \
    ROW(ACCEPT_PAUSED,             "times accepting paused for want of descriptors or memory")     \
    ROW(LIMIT_MAX_CONNECTIONS,     "connections over max_connections closed")                      \
    ROW(SOURCES_DENIED,            "connections and datagrams refused by allow and deny")          \
    ROW(LIMIT_RATE,                "connections and datagrams refused by rate_limit")              \
    ROW(PROXY_REFUSED,             "connections refused: PROXY header wrong, late or spoofed")     \
    ROW(SESSIONS_DONE,             "connections ended in order")                                   \
    ROW(SESSIONS_FAILED,           "connections ended by an error")                                \
    ROW(OPENS_RETRIED,             "opens tried on another member")                                \
    ROW(OPENS_FAILED,              "opens that no member took")                                    \
    ROW(LIMIT_MAX_CONN,            "picks that passed over a server: its max_conn reached")        \
    ROW(EJECTIONS,                 "servers ejected, or for longer, for failing in a row")         \
    ROW(EJECTIONS_ENDED,           "ejected servers that came back")                               \
    ROW(HEALTH_PASSED,             "health checks of servers that were answered well")             \
    ROW(HEALTH_FAILED,             "health checks of servers that failed")                         \
    ROW(SERVERS_DOWN,              "servers taken out by their health checks")                     \
    ROW(SERVERS_BACK,              "servers brought back by them")                                 \
    ROW(NAMES_FAILED,              "names of servers that could not be resolved, each time")       \
    ROW(BYTES_IN,                  "bytes from users")                                             \
    ROW(BYTES_OUT,                 "bytes to users")                                               \
    ROW(SPLICES_ENTERED,           "directions of connections that moved to splice")               \
    ROW(SPLICES_LEFT,              "directions that came back from it")                            \
    ROW(SPLICE_BYTES,              "bytes moved by splice, of those above")                        \
    ROW(SPLICE_NO_PIPE,            "times a bulky direction found no pipe and was copied")         \
    ROW(POOL_EMPTY,                "times a buffer pool was at its limit")                         \
    ROW(RECEIVE_DRY,               "receives that met an empty buffer group")                      \
    ROW(UDP_IN,                    "UDP datagrams from users")                                     \
    ROW(UDP_OUT,                   "UDP datagrams to users")                                       \
    ROW(UDP_SESSIONS,              "UDP sessions begun")                                           \
    ROW(LIMIT_UDP_SESSIONS,        "UDP datagrams dropped: udp_sessions reached")                  \
    ROW(LIMIT_SESSIONS_PER_SOURCE, "UDP datagrams dropped: udp_sessions_per_source reached")       \
    ROW(PROXY_TOO_LARGE,           "datagrams dropped: no room for the PROXY header")              \
    ROW(LIMIT_DATAGRAM_QUEUE,      "datagrams dropped: datagram_queue full")                       \
    ROW(DATAGRAM_TOO_LARGE,        "datagrams dropped: larger than the path takes")                \
    ROW(DATAGRAM_UNKNOWN,          "datagrams dropped: no such session")                           \
    ROW(UDP_SEND_FAILED,           "UDP sends that the kernel refused")                            \
    ROW(PACKETS_IN,                "QUIC packets received")                                        \
    ROW(PACKETS_OUT,               "QUIC packets sent")                                            \
    ROW(BATCHES_IN,                "QUIC receive batches")                                         \
    ROW(BATCHES_OUT,               "QUIC send batches")                                            \
    ROW(PACKETS_INVALID,           "packets dropped: not QUIC, or of no connection")               \
    ROW(VERSION_NEGOTIATIONS,      "version negotiations sent")                                    \
    ROW(RETRIES_SENT,              "Retry packets sent")                                           \
    ROW(STATELESS_RESETS,          "stateless resets sent")                                        \
    ROW(LIMIT_STATELESS_RESETS,    "stateless resets not sent: rate limit")                        \
    ROW(LIMIT_HANDSHAKES,          "handshakes refused: rate or half-open limit")                  \
    ROW(LIMIT_MAX_CLIENTS,         "tunnel clients refused: max_clients")                          \
    ROW(LIMIT_MAX_STREAMS,         "opens refused: max_streams")                                   \
    ROW(CONNECTIONS_MADE,          "QUIC connections established")                                 \
    ROW(CONNECTIONS_FAILED,        "QUIC handshakes that failed")                                  \
    ROW(CONNECTIONS_LOST,          "QUIC connections lost")                                        \
    ROW(PATHS_CHANGED,             "QUIC connections that moved to a new address")                 \
    ROW(REGISTERED,                "tunnel clients registered")                                    \
    ROW(REGISTER_REFUSED,          "tunnel clients refused")                                       \
    ROW(MESSAGES_UNKNOWN,          "tunnel messages of an unknown kind skipped")                   \
    ROW(MESSAGES_INVALID,          "tunnel messages that broke the protocol")                      \
    ROW(RECONNECTS,                "tunnel connections tried again")                               \
    ROW(HANDED_DATAGRAMS,          "QUIC datagrams handed to the worker that they were for")            \
    ROW(LIMIT_HANDED,              "datagrams dropped: the other worker has too many of ours")       \
    ROW(CARRIED_DATAGRAMS,         "UDP datagrams carried to and from the worker that has their tunnel") \
    ROW(HANDED_CONNECTIONS,        "connections handed to the worker that has their tunnel")         \
    ROW(ADMIN_REQUESTS,            "admin requests answered")                                      \
    ROW(ADMIN_INVALID,             "admin requests that were not understood")                      \
    ROW(RELOADS,                   "reloads done")                                                 \
    ROW(RELOADS_REFUSED,           "reloads refused: the old settings stayed")                     \
    ROW(LIMIT_ADMIN_CLIENTS,       "admin connections closed: too many at once")                   \
    ROW(LIMIT_ADMIN_SIZE,          "admin connections closed: a request or answer too long")       \
    ROW(LIMIT_ADMIN_TIME,          "admin connections closed: too slow")                           \
    ROW(LOG_DROPPED,               "log lines dropped: their file took them too late, or not at all")
/* clang-format on */

enum counter {
#define COUNTER_ENUM(name, text) COUNTER_##name,
    COUNTERS(COUNTER_ENUM)
#undef COUNTER_ENUM
        COUNTER_COUNT
};

struct counters {
    _Atomic uint64_t cells[COUNTER_COUNT];
};

/* The owning worker's thread only. */
static inline void counter_add(struct counters *counters, enum counter counter, uint64_t amount)
{
    uint64_t now = atomic_load_explicit(&counters->cells[counter], memory_order_relaxed);

    atomic_store_explicit(&counters->cells[counter], now + amount, memory_order_relaxed);
}
/* Any thread. */
static inline uint64_t counter_read(const struct counters *counters, enum counter counter)
{
    return atomic_load_explicit(&((struct counters *)(uintptr_t)counters)->cells[counter],
                                memory_order_relaxed);
}
const char *counter_name(enum counter counter); /* "limit_max_streams" */
const char *counter_text(enum counter counter);

#endif
