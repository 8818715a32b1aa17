/* relay/tunnel_wire.h - the bytes of qmux/2 (quic/PROTOCOL.md): pure functions between bytes and
 * structs, and every limit of the protocol.
 *
 * Decoders take any prefix of what was received: they answer how many bytes they used, 0 when more
 * are needed, or -EPROTO.  They never read past `length`, and skip what they do not know.
 * Encoders answer how many bytes they wrote, or 0 when it does not fit.
 * Thread: any; nothing here has state. */
#ifndef RELAY_TUNNEL_WIRE_H
#define RELAY_TUNNEL_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/addr.h"
#include "core/must.h"
#include "core/reason.h"

#define WIRE_ALPN "qmux/2"

enum {
    WIRE_VERSION_MIN = 1, /* the minor versions that we speak */
    WIRE_VERSION_MAX = 1,
    WIRE_INSTANCE_SIZE = 16,
    WIRE_NAME_MAX = 64,      /* a label, a service */
    WIRE_TEXT_MAX = 120,     /* words for people */
    WIRE_SERVICES_MAX = 64,  /* offered by one client */
    WIRE_HEAD_SIZE = 4,      /* type and length of a message */
    WIRE_MESSAGE_MAX = 8192, /* of a message, without its head */
    WIRE_FLOW_MAX = 512,     /* of a flow, with its length */
    WIRE_HOPS_MAX = 4,
    WIRE_ANSWERS_MAX = 16,    /* bytes a client may spend on an answer */
    WIRE_DATAGRAM_HEAD = 5,   /* kind and session */
    WIRE_CONTROL_MAX = 262144 /* bytes of messages that a peer may leave unread */
};

/* Features: bits that both ends must know before either uses them. */
enum { WIRE_FEATURE_UDP = 1 << 0, WIRE_FEATURE_WANT = 1 << 1 };
enum { WIRE_FEATURES = WIRE_FEATURE_UDP | WIRE_FEATURE_WANT }; /* those that we know */

/* ---- codes: how a connection, stream, session or registration was refused or ended ---- */
/*     name             value  reason           words */
#define WIRE_CODES(ROW)                                                                            \
    ROW(NONE, 0x00, DONE, "in order")                                                              \
    ROW(REFUSED, 0x10, REFUSED, "the service refused")                                             \
    ROW(UNREACHABLE, 0x11, UNREACHABLE, "no route to the service")                                 \
    ROW(CONNECT_TIMEOUT, 0x12, CONNECT_TIMEOUT, "the service did not answer in time")              \
    ROW(NO_SERVICE, 0x13, NO_SERVICE, "no such service here")                                      \
    ROW(NAME_UNKNOWN, 0x14, NAME_UNKNOWN, "the service's host name could not be resolved")         \
    ROW(LIMIT, 0x15, LIMIT, "a limit was reached")                                                 \
    ROW(SYSTEM, 0x16, SYSTEM, "the system refused")                                                \
    ROW(HOPS, 0x17, LIMIT, "too many tunnels in a row")                                            \
    ROW(DRAINING, 0x18, SHUTDOWN, "takes nothing new")                                             \
    ROW(NO_DESCRIPTORS, 0x19, NO_DESCRIPTORS, "out of descriptors")                                \
    ROW(RESET, 0x20, RESET, "reset")                                                               \
    ROW(ABANDONED, 0x21, ABANDONED, "given up for another client")                                 \
    ROW(IDLE_TIMEOUT, 0x22, IDLE_TIMEOUT, "idle for too long")                                     \
    ROW(HALF_CLOSE, 0x23, HALF_CLOSE_TIMEOUT, "half closed for too long")                          \
    ROW(SESSION_UNKNOWN, 0x24, DONE, "no such UDP session")                                        \
    ROW(PROTOCOL, 0x30, PROTOCOL, "broke the protocol")                                            \
    ROW(VERSION, 0x31, VERSION, "no version in common")                                            \
    ROW(NOT_ALLOWED, 0x32, NOT_ALLOWED, "not allowed to serve this tunnel")                        \
    ROW(MAX_CLIENTS, 0x33, LIMIT, "the tunnel has all the clients it takes")                       \
    ROW(REPLACED, 0x34, REPLACED, "replaced by a newer connection of this client")                 \
    ROW(HEARTBEAT, 0x35, HEARTBEAT_TIMEOUT, "no heartbeat in time")                                \
    ROW(SILENT, 0x36, PEER_TIMEOUT, "silent")                                                      \
    ROW(SHUTDOWN, 0x37, SHUTDOWN, "shutting down")                                                 \
    ROW(DRAINED, 0x38, DRAINED, "still open when the drain time ended")                            \
    ROW(REGISTER_TIMEOUT, 0x39, HANDSHAKE_TIMEOUT, "did not register in time")                     \
    ROW(NO_MEMORY, 0x3a, NO_MEMORY, "out of memory")

enum wire_code {
#define WIRE_CODE_ENUM(name, value, reason, words) WIRE_CODE_##name = (value),
    WIRE_CODES(WIRE_CODE_ENUM)
#undef WIRE_CODE_ENUM
};
const char *wire_code_words(uint64_t code); /* "no such service here" */
enum reason wire_code_reason(uint64_t code, enum reason unknown);
enum wire_code wire_code_of(enum reason reason); /* WIRE_CODE_RESET where there is none */

/* What a stream that has served is reset with: a code that refuses would have it replayed. */
uint64_t wire_code_of_reset(enum reason reason);

/* ---- flows: whose bytes these are and where they want to go ---- */
struct wire_flow {
    uint8_t hops; /* tunnels passed before this one */
    char service[WIRE_NAME_MAX + 1];
    struct addr source, destination; /* length 0: not told (unix sockets) */
};
int wire_flow_decode(const uint8_t *data, size_t length, struct wire_flow *flow) MUST_CHECK;
size_t wire_flow_encode(const struct wire_flow *flow, uint8_t *to, size_t size) MUST_CHECK;

/* What a server writes first on a stream it opens. */
int wire_open_decode(const uint8_t *data, size_t length, struct wire_flow *flow) MUST_CHECK;
size_t wire_open_encode(const struct wire_flow *flow, uint8_t *to, size_t size) MUST_CHECK;

/* What a client writes first on such a stream: bytes below 0x10 tell and more may come, the others
 * refuse with that code. */
enum { WIRE_ANSWER_SEEN = 0x01, WIRE_ANSWER_CONNECTED = 0x02, WIRE_ANSWER_REFUSED = 0x10 };
struct wire_answer {
    uint8_t count; /* bytes of it so far */
    bool seen, connected;
    uint8_t refused; /* a wire_code, or 0 */
};
/* Goes on with what came before; stops behind the last byte of the answer.  Bytes used or -EPROTO.
 */
int wire_answer_decode(const uint8_t *data, size_t length, struct wire_answer *answer) MUST_CHECK;
static inline bool wire_answer_final(const struct wire_answer *answer)
{
    return answer->connected || answer->refused;
}

/* ---- messages of the control stream ---- */
enum wire_type {
    WIRE_REGISTER = 1,
    WIRE_REGISTERED,
    WIRE_REFUSED,
    WIRE_HEARTBEAT,
    WIRE_DRAIN,
    WIRE_UDP_OPEN,
    WIRE_UDP_OPENED,
    WIRE_UDP_CLOSE,
    WIRE_WANT,
    WIRE_TYPE_COUNT /* and above: unknown, to be skipped */
};

struct wire_service {
    uint8_t protocols; /* bits: 1 TCP, 2 UDP */
    char name[WIRE_NAME_MAX + 1];
};
struct wire_register {
    uint8_t instance[WIRE_INSTANCE_SIZE];
    char label[WIRE_NAME_MAX + 1];
    uint16_t version_min, version_max;
    uint64_t features;
    uint8_t slot; /* which of the instance's connections: a new one replaces the old one */
    uint32_t service_count;
    struct wire_service services[WIRE_SERVICES_MAX];
};
struct wire_registered {
    uint16_t version;
    uint64_t features;
    uint8_t instance[WIRE_INSTANCE_SIZE]; /* the server's */
    uint16_t worker_count, worker;
    uint32_t heartbeat_ms, health_timeout_ms;
    uint32_t probe_ms; /* how often the client asks for a sign of life */
};
struct wire_refused {
    uint16_t code;
    char text[WIRE_TEXT_MAX + 1];
};
struct wire_session {
    uint32_t id;
    uint16_t code;         /* UDP_CLOSE */
    struct wire_flow flow; /* UDP_OPEN */
};
struct wire_want {
    uint16_t worker; /* of the server's, where a connection is wanted */
};

struct wire_message {
    uint16_t type;
    union {
        struct wire_register reg;
        struct wire_registered registered;
        struct wire_refused refused;
        struct wire_session session;
        struct wire_want want;
    };
};
/* A message of an unknown kind has WIRE_TYPE_COUNT for its type, and nothing else. */
int wire_decode(const uint8_t *data, size_t length, struct wire_message *message) MUST_CHECK;
size_t wire_encode(const struct wire_message *message, uint8_t *to, size_t size) MUST_CHECK;
const char *wire_type_name(uint16_t type);

/* The highest version in both ranges, or 0 when there is none. */
uint16_t wire_version_choose(uint16_t least, uint16_t most);

/* ---- datagrams ---- */
enum { WIRE_DATAGRAM_DATA, WIRE_DATAGRAM_OPEN, WIRE_DATAGRAM_FRAGMENT }; /* the last: not yet */
struct wire_datagram {
    uint8_t kind;
    uint32_t session;
    struct wire_flow flow; /* WIRE_DATAGRAM_OPEN */
    const uint8_t *data;   /* within what was decoded */
    uint32_t length;
};
/* 0, -EPROTO, or -ENOTSUP for kinds we do not know. */
int wire_datagram_decode(const uint8_t *data, size_t length, struct wire_datagram *in) MUST_CHECK;
void wire_datagram_head(uint8_t to[WIRE_DATAGRAM_HEAD], uint8_t kind, uint32_t session);

#endif
