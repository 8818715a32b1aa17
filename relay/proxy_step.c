/* The step that hears who the user is, from a proxy in front of us. */
#include <string.h>

#include "core/mem.h"
#include "relay/proxy_guard.h"
#include "relay/proxy_in.h"
#include "relay/session.h"

struct proxy_wait {
    struct session *session;
    struct timer timer;
    uint8_t bytes[PROXY_IN_MAX];
    uint32_t length;
};

/* Ends the waiting; the session is the chain's again. */
static struct session *proxy_wait_end(struct proxy_wait *wait)
{
    struct session *session = wait->session;

    timer_stop(&session->frame->worker->timers, &wait->timer);
    session->stop = NULL;
    mem_free(wait);
    return session;
}

static void proxy_wait_refuse(struct proxy_wait *wait, enum reason reason)
{
    struct session *session = proxy_wait_end(wait);

    counter_add(session->frame->worker->counters, COUNTER_PROXY_REFUSED, 1);
    session_refuse(session, reason);
}

static void proxy_wait_stop(struct session *session, enum reason reason)
{
    session_refuse(proxy_wait_end(session->waiting), reason);
}

static void proxy_wait_timed_out(struct timer *timer)
{
    proxy_wait_refuse(container_of(timer, struct proxy_wait, timer), REASON_PROXY_TIMEOUT);
}

/* A header that names nobody leaves the proxy's own address, which needs no leave to come. */
static void proxy_wait_take(struct proxy_wait *wait, const struct proxy_in *in, uint32_t length)
{
    struct session *session = proxy_wait_end(wait);

    queue_skip(&session->received, length);
    stream_consumed(session->user, length);
    session->admitted = !in->source.length;
    if (in->source.length) {
        session->source = in->source;
        session->destination = in->destination;
    }
    session_next(session);
}

static void proxy_wait_received(struct stream *stream, struct piece *piece)
{
    struct proxy_wait *wait = stream->owner;
    uint32_t room = PROXY_IN_MAX - wait->length;
    uint32_t length = piece->length < room ? piece->length : room;
    struct proxy_in in;
    int rc;

    memcpy(wait->bytes + wait->length, piece_data(piece), length);
    wait->length += length;
    queue_pack(&wait->session->received, piece);
    rc = proxy_in_parse(wait->bytes, wait->length, wait->session->frame->accept_proxy, &in);
    if (rc > 0)
        proxy_wait_take(wait, &in, (uint32_t)rc);
    else if (rc < 0)
        proxy_wait_refuse(wait, REASON_PROXY_HEADER);
}

static void proxy_wait_ended(struct stream *stream)
{
    proxy_wait_refuse(stream->owner, REASON_PROXY_HEADER);
}

static void proxy_wait_drained(struct stream *stream, uint64_t length)
{
}

static void proxy_wait_closed(struct stream *stream, enum reason reason)
{
    struct proxy_wait *wait = stream->owner;

    stream_free(stream);
    wait->session->user = NULL;
    session_refuse(proxy_wait_end(wait), reason);
}

static const struct stream_events proxy_wait_events = {
    .received = proxy_wait_received,
    .ended = proxy_wait_ended,
    .drained = proxy_wait_drained,
    .closed = proxy_wait_closed,
};

static bool proxy_wait_start(struct session *session)
{
    struct worker *worker = session->frame->worker;
    struct proxy_wait *wait = mem_new(sizeof(*wait));

    if (!wait)
        return false;
    wait->session = session;
    timer_init(&wait->timer, proxy_wait_timed_out);
    if (timer_set(&worker->timers, &wait->timer,
                  worker->now_ns + session->frame->selection_timeout_ns)) {
        mem_free(wait);
        return false;
    }
    session->waiting = wait;
    session->stop = proxy_wait_stop;
    session->user->receive_limit = PROXY_IN_MAX;
    session->user->events = &proxy_wait_events;
    session->user->owner = wait;
    stream_start(session->user);
    return true;
}

void session_proxy(struct session *session)
{
    const struct session_frame *frame = session->frame;

    if (gate_trusts(frame->gate, &session->source)) {
        if (!proxy_wait_start(session))
            session_refuse(session, REASON_NO_MEMORY);
        return;
    }
    if (proxy_guard_put(frame->worker, &session->user))
        session_refuse(session, REASON_NO_MEMORY);
    else
        session_next(session);
}
