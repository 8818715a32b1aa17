#include "relay/session.h"

#include "core/mem.h"
#include "core/tcp_end.h"

static void session_finish(struct session *session, enum reason reason)
{
    const struct session_frame *frame = session->frame;
    struct counters *counters = frame->worker->counters;
    const struct pump *pump = &session->pump;
    bool in_order = reason == REASON_DONE;

    counter_add(counters, in_order ? COUNTER_SESSIONS_DONE : COUNTER_SESSIONS_FAILED, 1);
    LOG(frame->worker->log, reason_severity(reason), "connection ended",
        LOG_TEXT("listener", frame->listener), LOG_NUMBER("connection", session->id),
        LOG_ADDR("source", &session->source), LOG_TEXT("backend", backend_pool_name(frame->pool)),
        LOG_TEXT("member", session->member ? session->member->name : "-"),
        LOG_NUMBER("bytes_in", pump->client_bytes), LOG_NUMBER("bytes_out", pump->backend_bytes),
        LOG_NUMBER("duration_ms", (frame->worker->now_ns - session->began_ns) / 1000000),
        LOG_TEXT("reason", reason_text(reason)));
    if (session->member)
        member_drop(session->member, frame->worker);
    frame->ended(frame->context, session);
    mem_free(session);
}

static void session_pumped(struct pump *pump, enum reason reason)
{
    struct session *session = container_of(pump, struct session, pump);
    struct counters *counters = session->frame->worker->counters;

    counter_add(counters, COUNTER_BYTES_IN, pump->client_bytes);
    counter_add(counters, COUNTER_BYTES_OUT, pump->backend_bytes);
    session_finish(session, reason);
}

/* One end alone is left: it is reset, and its closed() ends the session. */
static void session_leftover_closed(struct stream *stream, enum reason reason)
{
    struct session *session = stream->owner;

    stream_free(stream);
    session_finish(session, session->reason);
}
static void session_leftover_received(struct stream *stream, struct piece *piece)
{
    piece_free(piece);
}
static void session_leftover_ended(struct stream *stream)
{
}
static void session_leftover_drained(struct stream *stream, uint64_t length)
{
}
static const struct stream_events session_leftover_events = {
    .received = session_leftover_received,
    .ended = session_leftover_ended,
    .drained = session_leftover_drained,
    .closed = session_leftover_closed,
};

static void session_abort(struct session *session, struct stream *leftover, enum reason reason)
{
    session->reason = reason;
    if (!leftover) {
        session_finish(session, reason);
        return;
    }
    leftover->events = &session_leftover_events;
    leftover->owner = session;
    stream_stop(leftover, reason);
}

static void session_opened(void *context, const struct opened *opened)
{
    struct session *session = context;
    const struct session_frame *frame = session->frame;

    session->opening = NULL;
    session->member = opened->member;
    if (!opened->user || !opened->backend) {
        session_abort(session, opened->user ? opened->user : opened->backend, opened->reason);
        return;
    }
    opened->backend->receive_limit = frame->buffer_limit;
    pump_start(&session->pump, frame->worker, opened->user, opened->backend, &frame->limits,
               session_pumped);
    session->pump.client_bytes = opened->user_bytes;
    session->pump.client_ended = opened->user_ended;
}

struct session *session_start(const struct session_frame *frame, int fd, uint64_t id)
{
    struct opening_options options = {.worker = frame->worker,
                                      .pool = frame->pool,
                                      .service = frame->service,
                                      .connect_timeout_ns = frame->connect_timeout_ns,
                                      .retries = frame->retries,
                                      .done = session_opened};
    struct os *os = frame->worker->os;
    struct session *session = mem_new(sizeof(*session));
    struct stream *user;

    if (!session) {
        sock_reset_on_close(os, fd); /* a FIN would look like an orderly end */
        os->close(os, fd);
        return NULL;
    }
    list_init(&session->link);
    session->frame = frame;
    session->id = id;
    session->began_ns = frame->worker->now_ns;
    /* A user who is gone already has no address; the stream will say so. */
    if (os->peer_addr(os, fd, &options.source) || os->local_addr(os, fd, &options.destination))
        options.source.length = 0;
    session->source = options.source;
    user = tcp_end_new(frame->worker, fd);
    if (!user)
        goto free_session;
    user->receive_limit = frame->buffer_limit;
    options.context = session;
    session->opening = opening_start(&options, user);
    if (!session->opening)
        goto stop_user;
    return session;

stop_user:
    session_abort(session, user, REASON_NO_MEMORY);
    return session;
free_session:
    mem_free(session);
    return NULL;
}

void session_stop(struct session *session, enum reason reason)
{
    if (session->opening)
        opening_stop(session->opening, reason);
    else if (session->pump.worker)
        pump_stop(&session->pump, reason);
}
