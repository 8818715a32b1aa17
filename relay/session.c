#include "relay/session.h"

#include "core/mem.h"
#include "core/tcp_end.h"
#include "core/tcp_loan.h"
#include "relay/access.h"

static void session_log(const struct session *session, enum reason reason)
{
    const struct session_frame *frame = session->frame;
    const struct access_line line = {
        .listener = frame->listener,
        .protocol = "tcp",
        .connection = session->id,
        .source = &session->source,
        .destination = &session->destination,
        .backend = backend_pool_name(frame->pool),
        .member = session->member ? session->member->name : NULL,
        .bytes_in = session->splice.pump.client_bytes,
        .bytes_out = session->splice.pump.backend_bytes,
        .began_ns = session->began_ns,
        .connected_ns = session->connected_ns,
        .reason = reason,
    };

    LOG(frame->worker->log, reason_severity(reason), "connection ended",
        LOG_TEXT("listener", line.listener), LOG_NUMBER("connection", line.connection),
        LOG_ADDR("source", line.source), LOG_TEXT("backend", line.backend),
        LOG_TEXT("member", line.member), LOG_NUMBER("bytes_in", line.bytes_in),
        LOG_NUMBER("bytes_out", line.bytes_out),
        LOG_NUMBER("duration_ms", (frame->worker->now_ns - line.began_ns) / 1000000),
        LOG_TEXT("reason", reason_text(reason)));
    access_write(frame->worker, &line);
}

static void session_finish(struct session *session, enum reason reason)
{
    const struct session_frame *frame = session->frame;
    bool in_order = reason == REASON_DONE;

    counter_add(frame->worker->counters, in_order ? COUNTER_SESSIONS_DONE : COUNTER_SESSIONS_FAILED,
                1);
    session_log(session, reason);
    if (session->member)
        member_drop(session->member, frame->worker);
    if (session->picked)
        member_drop(session->picked, frame->worker);
    queue_clear(&session->received);
    frame->ended(frame->context, session);
    mem_free(session);
}

static void session_pumped(struct pump *pump, enum reason reason)
{
    struct session *session = container_of(pump, struct session, splice.pump);

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
    if (opened->elsewhere) {
        session->picked = opened->elsewhere;
        session_leave(session, opened->user, &opened->pick);
        return;
    }
    session->member = opened->member;
    session->splice.pump.client_bytes = opened->user_bytes;
    if (!opened->user || !opened->backend) {
        session_abort(session, opened->user ? opened->user : opened->backend, opened->reason);
        return;
    }
    session->connected_ns = frame->worker->now_ns;
    opened->backend->receive_limit = frame->buffer_limit;
    pump_start(&session->splice.pump, frame->worker, opened->user, opened->backend, &frame->limits,
               session_pumped);
    session->splice.pump.listener_traffic = frame->traffic;
    session->splice.pump.member_traffic = member_traffic(opened->member, frame->worker);
    pump_moved(&session->splice.pump, opened->user, opened->user_bytes);
    if (opened->user_ended)
        pump_ended(opened->user);
    splice_start(&session->splice, frame->zero_copy);
}

/* ---- the chain ---- */

void session_next(struct session *session)
{
    session_step_fn *step = session->frame->steps[session->step++];

    session->stop = NULL;
    session->waiting = NULL;
    step(session);
}

void session_refuse(struct session *session, enum reason reason)
{
    struct stream *user = session->user;

    session->stop = NULL;
    session->user = NULL;
    (*session->frame->refused)++;
    session_abort(session, user, reason);
}

void session_gate(struct session *session)
{
    enum reason reason = REASON_DONE;

    if (!session->admitted)
        reason = gate_admit(session->frame->gate, &session->source);
    if (reason == REASON_DONE)
        session_next(session);
    else
        session_refuse(session, reason);
}

void session_open(struct session *session)
{
    const struct session_frame *frame = session->frame;
    struct opening_options options = {.worker = frame->worker,
                                      .pool = frame->pool,
                                      .service = frame->service,
                                      .source = session->source,
                                      .destination = session->destination,
                                      .port = session->port,
                                      .connect_timeout_ns = frame->connect_timeout_ns,
                                      .retries = frame->retries,
                                      .picked = session->picked,
                                      .received = &session->received,
                                      .user_ended = session->user_ended,
                                      .may_move = frame->left && is_tcp_end(session->user),
                                      .tried = session->waiting,
                                      .done = session_opened,
                                      .context = session};

    session->user->receive_limit = frame->buffer_limit;
    session->opening = opening_start(&options, session->user);
    if (!session->opening) {
        session_refuse(session, REASON_NO_MEMORY);
        return;
    }
    session->user = NULL;
    session->picked = NULL;
}

/* A user who is gone already has no address; the stream will say so. */
static void session_read_addrs(struct session *session, int fd, const struct addr *local)
{
    struct os *os = session->frame->worker->os;

    if (local)
        session->destination = *local;
    if (os->peer_addr(os, fd, &session->source) ||
        (!local && os->local_addr(os, fd, &session->destination)))
        session->source.length = 0;
    session->port = addr_port(&session->destination);
}

struct session *session_start(struct session_frame *frame, int fd, const struct addr *local,
                              uint64_t id, struct member *picked)
{
    struct os *os = frame->worker->os;
    struct session *session = mem_new(sizeof(*session));

    if (!session) {
        sock_abort(os, fd); /* a FIN would look like an orderly end */
        goto drop_picked;
    }
    list_init(&session->link);
    session->frame = frame;
    session->id = id;
    session->began_ns = frame->worker->now_ns;
    session_read_addrs(session, fd, local);
    session->user = tcp_end_new(frame->worker, fd);
    if (!session->user) {
        mem_free(session);
        goto drop_picked;
    }
    session->picked = picked;
    session_next(session);
    return session;

drop_picked:
    if (picked)
        member_drop(picked, frame->worker);
    return NULL;
}

bool session_was_admitted(const struct session *session)
{
    return session->opening || session->splice.pump.worker;
}

void session_stop(struct session *session, enum reason reason)
{
    if (session->stop)
        session->stop(session, reason);
    else if (session->opening)
        opening_stop(session->opening, reason);
    else if (session->splice.pump.worker)
        pump_stop(&session->splice.pump, reason);
}
