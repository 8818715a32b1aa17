/* The server's end of a UDP session inside a tunnel. */
#include <errno.h>
#include <string.h>

#include "core/mem.h"
#include "relay/tunnel_datagram.h"

struct server_session {
    struct datagram_end end;
    struct tunnel_session session;
    struct tunnel_sessions *sessions; /* NULL once it left the table */
    struct wire_flow *flow;           /* until the client has answered */
    struct worker *worker;
    struct task closing;
    enum reason reason;
    bool flow_sent; /* by the control stream */
};

static struct server_session *server_session_of(struct tunnel_session *session)
{
    return container_of(session, struct server_session, session);
}

static void server_session_leave(struct server_session *session)
{
    if (session->sessions)
        tunnel_sessions_remove(session->sessions, &session->session);
    session->sessions = NULL;
}

static void server_session_confirm(struct server_session *session)
{
    mem_free(session->flow);
    session->flow = NULL;
}

static bool server_session_send_flow(struct server_session *session)
{
    struct wire_message message = {.type = WIRE_UDP_OPEN};

    if (session->flow_sent)
        return true;
    message.session.id = session->session.id;
    message.session.flow = *session->flow;
    session->flow_sent = tunnel_control_send(session->sessions->control, &message) == 0;
    return session->flow_sent;
}

static void server_session_send_plain(struct server_session *session, const uint8_t *data,
                                      uint32_t length)
{
    uint8_t head[WIRE_DATAGRAM_HEAD];

    wire_datagram_head(head, WIRE_DATAGRAM_DATA, session->session.id);
    tunnel_sessions_send(session->sessions, head, sizeof(head), data, length);
}

/* The first datagrams name their flow, so that any one that arrives opens the session. */
static void server_session_send_first(struct server_session *session, const uint8_t *data,
                                      uint32_t length)
{
    struct tunnel_sessions *sessions = session->sessions;
    uint32_t room = quic_datagram_room(sessions->quic);
    uint8_t head[WIRE_DATAGRAM_HEAD + WIRE_FLOW_MAX];
    size_t flow = wire_flow_encode(session->flow, head + WIRE_DATAGRAM_HEAD, WIRE_FLOW_MAX);
    size_t size = WIRE_DATAGRAM_HEAD + flow;

    wire_datagram_head(head, WIRE_DATAGRAM_OPEN, session->session.id);
    if (size + length <= room)
        tunnel_sessions_send(sessions, head, (uint32_t)size, data, length);
    else if (server_session_send_flow(session))
        server_session_send_plain(session, data, length);
}

static void server_session_send(struct datagram_end *end, const uint8_t *data, uint32_t length)
{
    struct server_session *session = container_of(end, struct server_session, end);

    if (!session->sessions)
        return;
    tunnel_sessions_touch(session->sessions, &session->session);
    if (session->flow)
        server_session_send_first(session, data, length);
    else
        server_session_send_plain(session, data, length);
}

static void server_session_ended(struct task *task)
{
    struct server_session *session = container_of(task, struct server_session, closing);

    session->end.events->closed(&session->end, session->reason);
}

static void server_session_stop(struct datagram_end *end, enum reason reason)
{
    struct server_session *session = container_of(end, struct server_session, end);

    if (!session->sessions)
        return;
    tunnel_sessions_tell(session->sessions, WIRE_UDP_CLOSE, session->session.id,
                         (uint16_t)wire_code_of(reason));
    server_session_leave(session);
    session->reason = reason;
    worker_defer(session->worker, &session->closing);
}

static void server_session_free(struct datagram_end *end)
{
    struct server_session *session = container_of(end, struct server_session, end);

    must(!session->sessions);
    mem_free(session->flow);
    mem_free(session);
}

static const struct datagram_ops server_session_ops = {
    .send = server_session_send,
    .stop = server_session_stop,
    .free = server_session_free,
};

static struct server_session *server_session_new(struct tunnel_sessions *sessions,
                                                 const struct wire_flow *flow)
{
    struct server_session *session = mem_new(sizeof(*session));

    if (!session)
        return NULL;
    session->flow = mem_raw(sizeof(*flow));
    if (!session->flow) {
        mem_free(session);
        return NULL;
    }
    *session->flow = *flow;
    session->end.ops = &server_session_ops;
    session->worker = sessions->worker;
    task_init(&session->closing, server_session_ended);
    list_init(&session->session.recent);
    return session;
}

struct datagram_end *tunnel_sessions_open(struct tunnel_sessions *sessions,
                                          const struct wire_flow *flow, enum reason *reason)
{
    struct server_session *session = server_session_new(sessions, flow);
    int error = -ENOMEM;

    /* After 2^32 sessions ids come round: those still in use are passed over. */
    if (session)
        do
            error = tunnel_sessions_add(sessions, &session->session, sessions->next_id++);
        while (error == -EEXIST);
    if (!error) {
        session->sessions = sessions;
        return &session->end;
    }
    if (session)
        server_session_free(&session->end);
    *reason = REASON_NO_MEMORY;
    return NULL;
}

void tunnel_sessions_received(struct tunnel_sessions *sessions, const uint8_t *data,
                              uint32_t length)
{
    struct tunnel_session *found = NULL;
    struct server_session *session;
    struct wire_datagram in;

    if (wire_datagram_decode(data, length, &in) == 0 && in.kind == WIRE_DATAGRAM_DATA)
        found = tunnel_sessions_find(sessions, in.session);
    if (!found) {
        counter_add(sessions->worker->counters, COUNTER_DATAGRAM_UNKNOWN, 1);
        return;
    }
    session = server_session_of(found);
    server_session_confirm(session);
    tunnel_sessions_touch(sessions, found);
    session->end.events->received(&session->end, in.data, in.length);
}

void tunnel_sessions_opened(struct tunnel_sessions *sessions, uint32_t id)
{
    struct tunnel_session *session = tunnel_sessions_find(sessions, id);

    if (session)
        server_session_confirm(server_session_of(session));
}

static void server_session_close(struct server_session *session, enum reason reason)
{
    server_session_leave(session);
    session->end.events->closed(&session->end, reason);
}

void tunnel_sessions_closed(struct tunnel_sessions *sessions, uint32_t id, uint16_t code)
{
    struct tunnel_session *session = tunnel_sessions_find(sessions, id);

    /* A plain datagram may have overtaken its UDP_OPEN: the client knows better soon. */
    if (!session || (code == WIRE_CODE_SESSION_UNKNOWN && server_session_of(session)->flow))
        return;
    server_session_close(server_session_of(session), wire_code_reason(code, REASON_RESET));
}

void tunnel_sessions_lost(struct tunnel_sessions *sessions)
{
    struct tunnel_session *session;

    while ((session = tunnel_sessions_oldest(sessions)))
        server_session_close(server_session_of(session), REASON_TUNNEL_LOST);
}
