/* relay/tunnel_datagram.h - UDP sessions inside one tunnel: a table by id, and the server's end of
 * a session as a datagram end.
 *
 * The server chooses ids.  Until the client has answered, each datagram carries the session's flow,
 * or, where both do not fit together, the flow goes by the control stream.
 * Owner: the tunnel's connection embeds the table.  Thread: the worker's.
 * Life: init -> lost (the connection is gone: every session ends) -> release.  A session belongs to
 * whoever made it; it leaves the table before its memory goes. */
#ifndef RELAY_TUNNEL_DATAGRAM_H
#define RELAY_TUNNEL_DATAGRAM_H

#include <stdbool.h>
#include <stdint.h>

#include "core/datagram.h"
#include "core/list.h"
#include "quic/quic.h"
#include "relay/tunnel_control.h"
#include "relay/tunnel_wire.h"

struct tunnel_session {
    uint32_t id;
    struct tunnel_session *next; /* in its slot of the table */
    struct list recent;          /* in the table's, the longest quiet first */
    uint64_t active_ns;
};

struct tunnel_sessions {
    /* Set by init; borrowed until lost. */
    struct quic_connection *quic;
    struct tunnel_control *control;
    const char *name; /* of the peer, for the log */
    struct worker *worker;
    /* Changes while running. */
    struct tunnel_session **slots; /* a power of two of them; NULL until the first session */
    uint32_t slot_count, count, next_id;
    struct list recent;
    bool too_large_told;
};

void tunnel_sessions_init(struct tunnel_sessions *sessions, struct worker *worker,
                          struct quic_connection *quic, struct tunnel_control *control,
                          const char *name);
void tunnel_sessions_release(struct tunnel_sessions *sessions); /* empty by now */

struct tunnel_session *tunnel_sessions_find(const struct tunnel_sessions *sessions, uint32_t id);
/* 0, -EEXIST, -ENOMEM. */
int tunnel_sessions_add(struct tunnel_sessions *sessions, struct tunnel_session *session,
                        uint32_t id) MUST_CHECK;
void tunnel_sessions_remove(struct tunnel_sessions *sessions, struct tunnel_session *session);
void tunnel_sessions_touch(struct tunnel_sessions *sessions, struct tunnel_session *session);
/* The one that has been quiet for longest; NULL when there is none. */
struct tunnel_session *tunnel_sessions_oldest(const struct tunnel_sessions *sessions);

/* One datagram out; drops are counted, and one too large for the path is logged once a tunnel. */
void tunnel_sessions_send(struct tunnel_sessions *sessions, const uint8_t *head,
                          uint32_t head_length, const uint8_t *data, uint32_t length);
void tunnel_sessions_tell(struct tunnel_sessions *sessions, uint16_t type, uint32_t id,
                          uint16_t code);

/* ---- the server's side ---- */
/* The far end of a new session; closed() follows when the client ends it or the tunnel is lost.
 * NULL: *reason says why. */
struct datagram_end *tunnel_sessions_open(struct tunnel_sessions *sessions,
                                          const struct wire_flow *flow,
                                          enum reason *reason) MUST_CHECK;
/* What the client sent: a datagram, UDP_OPENED, UDP_CLOSE. */
void tunnel_sessions_received(struct tunnel_sessions *sessions, const uint8_t *data,
                              uint32_t length);
void tunnel_sessions_opened(struct tunnel_sessions *sessions, uint32_t id);
void tunnel_sessions_closed(struct tunnel_sessions *sessions, uint32_t id, uint16_t code);
void tunnel_sessions_lost(struct tunnel_sessions *sessions); /* from the worker's loop only */

#endif
