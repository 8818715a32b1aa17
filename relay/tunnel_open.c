/* One open on a tunnel client: header and early bytes out, answer bytes in.
 *
 * The session is told once, and the stream is let go once; whichever comes last frees.  So a
 * session whose client is silent goes on to the next member without waiting for the stream. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/mem.h"
#include "core/state.h"
#include "relay/tunnel_peer.h"

/* A client that acknowledged an open and never answers it: longer than any connect_timeout. */
#define ANSWER_NS 75000000000ull

enum open_state {
    OPEN_NEW,     /* the session is not told yet that there is a stream */
    OPEN_WAITING, /* nothing heard of the client */
    OPEN_HEARD,   /* it answered `seen`, or acknowledged bytes of the stream */
    OPEN_FAILING, /* the session is told by the next task */
    OPEN_OVER,    /* the session knows; the stream may still have to close */
    OPEN_STATE_COUNT
};
static const char *const open_state_names[] = {"new", "waiting", "heard", "failing", "over"};
static const uint32_t open_state_next[] = {
    [OPEN_NEW] = STATE_BIT(OPEN_WAITING) | STATE_BIT(OPEN_FAILING) | STATE_BIT(OPEN_OVER),
    [OPEN_WAITING] = STATE_BIT(OPEN_HEARD) | STATE_BIT(OPEN_FAILING) | STATE_BIT(OPEN_OVER),
    [OPEN_HEARD] = STATE_BIT(OPEN_FAILING) | STATE_BIT(OPEN_OVER),
    [OPEN_FAILING] = STATE_BIT(OPEN_OVER),
    [OPEN_OVER] = 0,
};
static const struct state_table open_states = {"tunnel open", open_state_names, open_state_next,
                                               OPEN_STATE_COUNT};

struct tunnel_open {
    struct open_request *request; /* NULL once the session was told the end */
    struct tunnel_peer *peer;     /* valid while there is a stream */
    struct worker *worker;
    struct stream *stream; /* NULL without one, and once it is gone */
    struct timer timer;
    struct task task;
    struct wire_answer answer;
    enum reason reason;
    uint8_t state;
    bool may_replay;
};

static void tunnel_open_settle(struct tunnel_open *open)
{
    if (!open->request && !open->stream)
        mem_free(open);
}

/* The session hears the end.  It may ask for another open from inside. */
static void tunnel_open_fail(struct tunnel_open *open, enum reason reason, bool may_replay)
{
    struct open_request *request = open->request;

    if (!request)
        return;
    open->request = NULL;
    state_move(&open_states, &open->state, OPEN_OVER);
    timer_stop(&open->worker->timers, &open->timer);
    task_cancel(&open->task);
    request->member_state = NULL;
    request->events->failed(request, reason, may_replay);
}

static void tunnel_open_fail_later(struct tunnel_open *open, enum reason reason, bool may_replay)
{
    open->reason = reason;
    open->may_replay = may_replay;
    state_move(&open_states, &open->state, OPEN_FAILING);
    worker_defer(open->worker, &open->task);
}

static void tunnel_open_abandon_stream(struct tunnel_open *open, enum wire_code code)
{
    if (!open->stream)
        return;
    quic_stream_set_code(open->stream, code);
    stream_stop(open->stream, wire_code_reason(code, REASON_ABANDONED));
}

/* Nothing of the stream reached the client, as far as anybody can know. */
static bool tunnel_open_is_unheard(const struct tunnel_open *open)
{
    return !open->answer.seen && open->state != OPEN_HEARD &&
           !quic_stream_acknowledged(open->stream);
}

static bool tunnel_open_replays_silence(const struct tunnel_open *open)
{
    return open->peer->server->settings->replay == REPLAY_UNSEEN && tunnel_open_is_unheard(open);
}

/* ---- time ---- */

static void tunnel_open_wait(struct tunnel_open *open, uint64_t delay)
{
    if (timer_set(&open->worker->timers, &open->timer, open->worker->now_ns + delay) == 0)
        return;
    tunnel_open_abandon_stream(open, WIRE_CODE_ABANDONED);
    tunnel_open_fail(open, REASON_NO_MEMORY, false);
}

static void tunnel_open_heard(struct tunnel_open *open)
{
    if (open->state != OPEN_WAITING)
        return;
    state_move(&open_states, &open->state, OPEN_HEARD);
    tunnel_open_wait(open, ANSWER_NS);
}

static void tunnel_open_fired(struct timer *timer)
{
    struct tunnel_open *open = container_of(timer, struct tunnel_open, timer);
    bool replay = tunnel_open_replays_silence(open);

    if (open->state == OPEN_WAITING && !tunnel_open_is_unheard(open)) {
        tunnel_open_heard(open);
        return;
    }
    if (open->state == OPEN_WAITING)
        tunnel_watch_suspect(&open->peer->watch);
    tunnel_open_abandon_stream(open, WIRE_CODE_ABANDONED);
    tunnel_open_fail(open, REASON_OPEN_TIMEOUT, replay);
}

/* ---- the answer ---- */

static void tunnel_open_refused(struct tunnel_open *open)
{
    tunnel_open_abandon_stream(open, WIRE_CODE_NONE);
    tunnel_open_fail(open, wire_code_reason(open->answer.refused, REASON_REFUSED), true);
}

/* The stream is the session's from here on; what came behind the answer comes first. */
static void tunnel_open_connected(struct tunnel_open *open, struct piece *rest)
{
    struct open_request *request = open->request;
    struct stream *stream = open->stream;

    quic_stream_hold(stream, rest, open->answer.count);
    timer_stop(&open->worker->timers, &open->timer);
    task_cancel(&open->task);
    request->member_state = NULL;
    mem_free(open);
    request->events->confirmed(request);
}

static void tunnel_open_broken(struct tunnel_open *open)
{
    counter_add(open->worker->counters, COUNTER_MESSAGES_INVALID, 1);
    tunnel_open_abandon_stream(open, WIRE_CODE_PROTOCOL);
    tunnel_open_fail(open, REASON_PROTOCOL, false);
}

/* Behind `used` bytes of the answer; NULL when nothing is left. */
static struct piece *tunnel_open_rest(struct piece *piece, int used)
{
    piece->start += (uint32_t)used;
    piece->length -= (uint32_t)used;
    if (piece->length)
        return piece;
    piece_free(piece);
    return NULL;
}

static void tunnel_open_received(struct stream *stream, struct piece *piece)
{
    struct tunnel_open *open = stream->owner;
    int used = -EPROTO;

    if (open->request)
        used = wire_answer_decode(piece_data(piece), piece->length, &open->answer);
    if (used >= 0 && open->answer.connected && open->state != OPEN_NEW) {
        tunnel_open_connected(open, tunnel_open_rest(piece, used));
        return;
    }
    piece_free(piece);
    if (!open->request)
        return;
    if (used < 0 || open->answer.connected)
        tunnel_open_broken(open);
    else if (open->answer.refused)
        tunnel_open_refused(open);
    else
        tunnel_open_heard(open);
}

static void tunnel_open_ended(struct stream *stream)
{
    struct tunnel_open *open = stream->owner;

    if (open->request)
        tunnel_open_broken(open);
}

static void tunnel_open_drained(struct stream *stream, uint64_t length)
{
    struct tunnel_open *open = stream->owner;

    if (open->request && open->state != OPEN_FAILING)
        open->request->events->drained(open->request, length);
}

/* A client may also refuse by resetting with a code of refusal. */
static void tunnel_open_closed(struct stream *stream, enum reason reason)
{
    struct tunnel_open *open = stream->owner;
    uint64_t code = reason == REASON_RESET ? quic_stream_peer_code(stream) : 0;
    bool refused = code >= WIRE_CODE_REFUSED && code < WIRE_CODE_RESET;
    bool replay = open->request && (refused || tunnel_open_replays_silence(open));

    open->stream = NULL;
    stream_free(stream);
    tunnel_open_fail(open, code ? wire_code_reason(code, reason) : reason, replay);
    tunnel_open_settle(open);
}

static const struct stream_events tunnel_open_stream_events = {
    .received = tunnel_open_received,
    .ended = tunnel_open_ended,
    .drained = tunnel_open_drained,
    .closed = tunnel_open_closed,
};

/* ---- the beginning ---- */

static void tunnel_open_run(struct task *task)
{
    struct tunnel_open *open = container_of(task, struct tunnel_open, task);

    if (open->state == OPEN_FAILING) {
        tunnel_open_fail(open, open->reason, open->may_replay);
        tunnel_open_settle(open);
        return;
    }
    state_move(&open_states, &open->state, OPEN_WAITING);
    open->request->events->opened(open->request, open->stream);
}

static struct piece *tunnel_open_header(struct tunnel_open *open)
{
    struct wire_flow flow = {.source = open->request->source,
                             .destination = open->request->destination};
    uint8_t data[WIRE_FLOW_MAX + 1];
    size_t length;

    snprintf(flow.service, sizeof(flow.service), "%s", open->request->service);
    length = wire_open_encode(&flow, data, sizeof(data));
    must(length);
    return piece_copy(open->worker->pools, data, (uint32_t)length);
}

/* The task was asked for before the write: what the session writes in opened() goes into the same
 * packet as the header. */
static void tunnel_open_begin(struct tunnel_open *open, struct stream *stream, struct piece *header)
{
    open->stream = stream;
    stream->events = &tunnel_open_stream_events;
    stream->owner = open;
    stream->preamble = header->length;
    worker_defer(open->worker, &open->task);
    stream_write(stream, header);
    stream_start(stream);
}

static bool tunnel_open_within_limit(const struct tunnel_peer *peer)
{
    struct quic_stats stats;

    quic_stats(peer->quic, &stats);
    if (stats.streams <=
        peer->server->settings->max_streams) /* one of them is the control stream */
        return true;
    counter_add(peer->server->worker->counters, COUNTER_LIMIT_MAX_STREAMS, 1);
    return false;
}

/* REASON_DONE where the stream is on its way. */
static enum reason tunnel_open_try(struct tunnel_open *open, struct tunnel_member *member)
{
    struct tunnel_peer *peer = tunnel_member_peer(member, open->worker);
    enum reason reason;
    struct piece *header;
    struct stream *stream;
    uint64_t delay;

    if (!peer)
        return REASON_TUNNEL_LOST;
    if (!tunnel_peer_offers(peer, open->request->service, PROTOCOL_TCP))
        return REASON_NO_SERVICE;
    if (!tunnel_open_within_limit(peer))
        return REASON_LIMIT;
    delay = tunnel_watch_patience(&peer->watch);
    if (timer_set(&open->worker->timers, &open->timer, open->worker->now_ns + delay) < 0)
        return REASON_NO_MEMORY;
    header = tunnel_open_header(open);
    if (!header)
        return REASON_NO_MEMORY;
    stream = quic_stream_open(peer->quic, &reason);
    if (!stream) {
        piece_free(header);
        return reason;
    }
    open->peer = peer;
    tunnel_open_begin(open, stream, header);
    return REASON_DONE;
}

int tunnel_open_start(struct tunnel_member *member, struct worker *worker,
                      struct open_request *request)
{
    struct tunnel_open *open = mem_new(sizeof(*open));
    enum reason reason;

    if (!open)
        return -ENOMEM;
    open->request = request;
    open->worker = worker;
    timer_init(&open->timer, tunnel_open_fired);
    task_init(&open->task, tunnel_open_run);
    request->member_state = open;
    reason = tunnel_open_try(open, member);
    if (reason != REASON_DONE) {
        timer_stop(&open->worker->timers, &open->timer);
        tunnel_open_fail_later(open, reason, true);
    }
    return 0;
}

void tunnel_open_cancel(struct open_request *request)
{
    struct tunnel_open *open = request->member_state;

    if (open->state == OPEN_FAILING)
        return;
    timer_stop(&open->worker->timers, &open->timer);
    tunnel_open_abandon_stream(open, WIRE_CODE_ABANDONED);
    tunnel_open_fail_later(open, REASON_ABANDONED, false);
}
