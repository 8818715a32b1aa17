/* A session that follows its member to another worker, before a byte of it was answered: the user's
 * end is left here, what it said goes along, and the opening goes on there. */
#include <string.h>

#include "core/mem.h"
#include "core/tcp_end.h"
#include "relay/session.h"

struct leaving {
    struct session *session;
    struct pick pick;
};

static struct session_luggage *luggage_pack(const struct leaving *leaving)
{
    const struct session *session = leaving->session;
    uint32_t length = (uint32_t)session->received.length, at = 0;
    struct session_luggage *luggage = mem_raw(sizeof(*luggage) + length);

    if (!luggage)
        return NULL;
    *luggage = (struct session_luggage){.source = session->source,
                                        .destination = session->destination,
                                        .id = session->id,
                                        .began_ns = session->began_ns,
                                        .port = session->port,
                                        .fd = -1,
                                        .pick = leaving->pick,
                                        .picked = session->picked,
                                        .length = length};
    for (struct piece *piece = session->received.first; piece; piece = piece->next) {
        memcpy(luggage->bytes + at, piece_data(piece), piece->length);
        at += piece->length;
    }
    return luggage;
}

void session_luggage_drop(struct os *os, struct session_luggage *luggage)
{
    if (luggage->fd >= 0)
        sock_abort(os, luggage->fd);

    mem_free(luggage);
}

/* ---- going ---- */

static void leaving_received(struct stream *stream, struct piece *piece)
{
    struct leaving *leaving = stream->owner;

    queue_push(&leaving->session->received, piece);
}
static void leaving_ended(struct stream *stream)
{
}
static void leaving_drained(struct stream *stream, uint64_t length)
{
}

/* Stopped meanwhile, failed, or without memory for its luggage: it ends here. */
static void leaving_give_up(struct session *session, int fd, enum reason reason)
{
    if (fd >= 0)
        sock_abort(session->frame->worker->os, fd);

    session_refuse(session, reason);
}

static void leaving_closed(struct stream *stream, enum reason reason)
{
    struct leaving *leaving = stream->owner;
    struct session *session = leaving->session;
    const struct session_frame *frame = session->frame;
    struct session_luggage *luggage = NULL;
    int fd = tcp_end_take(stream);

    stream_free(stream);
    if (fd >= 0 && session->reason == REASON_DONE)
        luggage = luggage_pack(leaving);
    mem_free(leaving);
    if (!luggage) {
        if (session->reason != REASON_DONE)
            reason = session->reason;
        leaving_give_up(session, fd, reason == REASON_DONE ? REASON_NO_MEMORY : reason);
        return;
    }
    luggage->fd = fd;
    queue_clear(&session->received);
    frame->left(frame->context, session, luggage);
    mem_free(session);
}

static const struct stream_events leaving_events = {
    .received = leaving_received,
    .ended = leaving_ended,
    .drained = leaving_drained,
    .closed = leaving_closed,
};

static void leaving_stop(struct session *session, enum reason reason)
{
    session->stop = NULL;
    session->reason = reason;
}

void session_leave(struct session *session, struct stream *user, const struct pick *pick)
{
    struct leaving *leaving = mem_new(sizeof(*leaving));

    if (!leaving) {
        session->user = user;
        session_refuse(session, REASON_NO_MEMORY);
        return;
    }
    *leaving = (struct leaving){.session = session, .pick = *pick};
    session->stop = leaving_stop;
    session->reason = REASON_DONE;
    user->events = &leaving_events;
    user->owner = leaving;
    tcp_end_leave(user);
}

/* ---- coming ---- */

static int session_unpack(struct session *session, const struct session_luggage *luggage)
{
    struct pools *pools = session->frame->worker->pools;

    tcp_end_inherit(session->user, luggage->length);
    if (!luggage->length)
        return 0;
    return queue_append(&session->received, pools, POOL_MEDIUM, luggage->bytes, luggage->length);
}

struct session *session_resume(struct session_frame *frame, struct session_luggage *luggage)
{
    struct session *session = mem_new(sizeof(*session));

    if (!session)
        return NULL;
    session->user = tcp_end_new(frame->worker, luggage->fd);
    luggage->fd = -1;
    if (!session->user) {
        mem_free(session);
        return NULL;
    }
    list_init(&session->link);
    session->frame = frame;
    session->source = luggage->source;
    session->destination = luggage->destination;
    session->id = luggage->id;
    session->began_ns = luggage->began_ns;
    session->port = luggage->port;
    session->picked = luggage->picked;
    member_hold(luggage->picked, frame->worker);
    if (session_unpack(session, luggage)) {
        session_refuse(session, REASON_NO_MEMORY);
        return session;
    }
    session->waiting = &luggage->pick;
    session_open(session);
    session->waiting = NULL;
    return session;
}
