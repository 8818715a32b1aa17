/* A user's TCP connection at the tunnel client: header in, connect, answer out, then the pump.
 *
 * What an open needs is freed when the pump starts: a quiet connection keeps two ends and a pump.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/mem.h"
#include "core/state.h"
#include "core/tcp_end.h"
#include "quic/quic.h"
#include "relay/proxy_send.h"
#include "relay/pump.h"
#include "relay/service.h"

enum { KEEPALIVE_S = 60, BUFFER_LIMIT = 262144 /* of the service's bytes in one connection */ };
/* A service that answers sooner saves the `seen`: the acknowledgment says as much meanwhile. */
#define SEEN_NS 5000000ull

enum open_state {
    OPEN_READING,    /* the header */
    OPEN_RESOLVING,  /* the service's name */
    OPEN_CONNECTING, /* a tcp_connect is on its way */
    OPEN_REFUSED,    /* the answer was written; the stream has to close */
    OPEN_ABORTING,   /* the stream is gone, the tcp_connect not yet */
    OPEN_STATE_COUNT
};
static const char *const open_state_names[] = {"reading", "resolving", "connecting", "refused",
                                               "aborting"};
static const uint32_t open_state_next[] = {
    [OPEN_READING] =
        STATE_BIT(OPEN_RESOLVING) | STATE_BIT(OPEN_CONNECTING) | STATE_BIT(OPEN_REFUSED),
    [OPEN_RESOLVING] = STATE_BIT(OPEN_CONNECTING) | STATE_BIT(OPEN_REFUSED),
    [OPEN_CONNECTING] =
        STATE_BIT(OPEN_CONNECTING) | STATE_BIT(OPEN_REFUSED) | STATE_BIT(OPEN_ABORTING),
    [OPEN_REFUSED] = 0,
    [OPEN_ABORTING] = 0,
};
static const struct state_table open_states = {"service open", open_state_names, open_state_next,
                                               OPEN_STATE_COUNT};

struct service_connection {
    struct pump pump;
    struct services *services;
};

struct service_open {
    struct services *services;
    struct service *service;
    struct stream *stream; /* the tunnel's; NULL once it is gone */
    struct wire_flow flow;
    struct service_wait wait;
    struct tcp_connect connect;
    struct timer timer; /* to say `seen` */
    uint64_t deadline_ns;
    uint32_t addr_index;
    uint8_t state;
    uint32_t header_length;
    uint8_t header[WIRE_FLOW_MAX + 1]; /* what has come of it */
};

static const struct pump_limits service_limits = {0}; /* the server's listener sets them */

static void service_open_free(struct service_open *open)
{
    struct services *services = open->services;

    timer_stop(&services->worker->timers, &open->timer);
    list_remove(&open->wait.link);
    if (open->service)
        service_put(open->service);
    mem_free(open);
    services_ended(services);
}

/* ---- answers ---- */

static bool service_answer(struct service_open *open, uint8_t answer)
{
    struct piece *piece = piece_copy(open->services->worker->pools, &answer, 1);

    if (!piece)
        return false;
    open->stream->preamble++;
    stream_write(open->stream, piece);
    return true;
}

static void service_seen(struct timer *timer)
{
    struct service_open *open = container_of(timer, struct service_open, timer);

    (void)service_answer(open, WIRE_ANSWER_SEEN); /* without memory the acknowledgment serves */
}

static void service_refuse(struct service_open *open, enum wire_code code)
{
    state_move(&open_states, &open->state, OPEN_REFUSED);
    timer_stop(&open->services->worker->timers, &open->timer);
    LOG(open->services->worker->log, LOG_INFO, "connection refused",
        LOG_TEXT("service", open->flow.service), LOG_ADDR("source", &open->flow.source),
        LOG_TEXT("reason", reason_name(wire_code_reason(code, REASON_REFUSED))),
        LOG_TEXT("text", wire_code_words(code)));
    quic_stream_set_code(open->stream, code);
    stream_start(open->stream); /* what is held goes nowhere: only the end is waited for */
    if (service_answer(open, (uint8_t)code))
        stream_finish(open->stream);
    else
        stream_stop(open->stream, REASON_NO_MEMORY);
}

/* ---- the pump ---- */

static void service_connection_done(struct pump *pump, enum reason reason)
{
    struct service_connection *connection = container_of(pump, struct service_connection, pump);
    struct services *services = connection->services;

    counter_add(services->worker->counters,
                reason == REASON_DONE ? COUNTER_SESSIONS_DONE : COUNTER_SESSIONS_FAILED, 1);
    mem_free(connection);
    services_ended(services);
}

static void discard_received(struct stream *stream, struct piece *piece)
{
    piece_free(piece);
}
static void discard_ended(struct stream *stream)
{
}
static void discard_drained(struct stream *stream, uint64_t length)
{
}
static void discard_closed(struct stream *stream, enum reason reason)
{
    stream_free(stream);
}
static const struct stream_events discard_events = {.received = discard_received,
                                                    .ended = discard_ended,
                                                    .drained = discard_drained,
                                                    .closed = discard_closed};

/* A connection to the service that nobody wants any more. */
static void service_discard(struct stream *stream, enum reason reason)
{
    stream->events = &discard_events;
    stream_stop(stream, reason);
}

static bool service_send_proxy(struct service_open *open, struct stream *stream)
{
    return proxy_send(open->services->worker, stream, open->service->settings.send_proxy,
                      &open->flow.source, &open->flow.destination);
}

/* Both streams and the place among the active pass on to the pump. */
static void service_pump(struct service_open *open, struct service_connection *connection,
                         struct stream *stream)
{
    struct services *services = open->services;
    struct stream *tunnel = open->stream;

    connection->services = services;
    tunnel->receive_limit = stream->receive_limit = BUFFER_LIMIT;
    services->active++;
    service_open_free(open);
    pump_start(&connection->pump, services->worker, tunnel, stream, &service_limits,
               service_connection_done);
}

static void service_established(struct service_open *open, struct stream *stream)
{
    struct service_connection *connection = mem_new(sizeof(*connection));

    if (connection && service_send_proxy(open, stream) &&
        service_answer(open, WIRE_ANSWER_CONNECTED)) {
        service_pump(open, connection, stream);
        return;
    }
    mem_free(connection);
    service_discard(stream, REASON_NO_MEMORY);
    service_refuse(open, WIRE_CODE_NO_MEMORY);
}

/* ---- connecting ---- */

static void service_connect(struct service_open *open);

static void service_not_connected(struct service_open *open, enum reason reason)
{
    bool time_left = open->services->worker->now_ns < open->deadline_ns;

    if (++open->addr_index < open->service->addr_count && time_left)
        service_connect(open);
    else
        service_refuse(open, wire_code_of(reason));
}

static void service_connected(struct tcp_connect *connect, struct stream *stream,
                              enum reason reason)
{
    struct service_open *open = container_of(connect, struct service_open, connect);

    if (open->state == OPEN_ABORTING) {
        if (stream)
            service_discard(stream, REASON_ABANDONED);
        service_open_free(open);
    } else if (stream) {
        service_established(open, stream);
    } else {
        service_not_connected(open, reason);
    }
}

/* An address that is silent leaves time for the others. */
static uint64_t service_connect_ns(const struct service_open *open)
{
    uint64_t left_ns = open->deadline_ns - open->services->worker->now_ns;

    return left_ns / (open->service->addr_count - open->addr_index);
}

static void service_connect(struct service_open *open)
{
    static const struct tcp_options options = {.congestion = "cubic", .keepalive_s = KEEPALIVE_S};
    struct worker *worker = open->services->worker;

    state_move(&open_states, &open->state, OPEN_CONNECTING);
    tcp_connect_start(&open->connect, worker, &open->service->addrs[open->addr_index], &options,
                      service_connect_ns(open), service_connected);
}

static void service_name_answered(struct service_wait *wait)
{
    struct service_open *open = container_of(wait, struct service_open, wait);

    if (!open->service->addr_count)
        service_refuse(open, WIRE_CODE_NAME_UNKNOWN);
    else if (open->services->worker->now_ns >= open->deadline_ns)
        service_refuse(open, WIRE_CODE_CONNECT_TIMEOUT);
    else
        service_connect(open);
}

/* ---- the header ---- */

static void service_begin(struct service_open *open)
{
    struct worker *worker = open->services->worker;
    enum wire_code code = services_admit(open->services, &open->flow, PROTOCOL_TCP, &open->service);

    if (code != WIRE_CODE_NONE) {
        open->service = NULL; /* one that is not offered to this flow */
        service_refuse(open, code);
        return;
    }
    open->service->users++;
    open->deadline_ns = worker->now_ns + open->service->settings.connect_timeout_ns;
    if (timer_set(&worker->timers, &open->timer, worker->now_ns + SEEN_NS) < 0)
        service_seen(&open->timer);
    if (service_ready(open->service, &open->wait))
        service_connect(open);
    else if (open->service->asked)
        state_move(&open_states, &open->state, OPEN_RESOLVING);
    else
        service_refuse(open, WIRE_CODE_NAME_UNKNOWN);
}

/* Held until the pump starts it; `piece` is what came behind the header. */
static void service_header_read(struct service_open *open, struct piece *piece, uint32_t used,
                                uint32_t header_length)
{
    piece->start += used;
    piece->length -= used;
    if (!piece->length) {
        piece_free(piece);
        piece = NULL;
    }
    quic_stream_hold(open->stream, piece, header_length);
    service_begin(open);
}

static void service_break(struct service_open *open, struct piece *piece)
{
    piece_free(piece);
    counter_add(open->services->worker->counters, COUNTER_MESSAGES_INVALID, 1);
    quic_stream_set_code(open->stream, WIRE_CODE_PROTOCOL);
    stream_stop(open->stream, REASON_PROTOCOL);
}

static void service_received(struct stream *stream, struct piece *piece)
{
    struct service_open *open = stream->owner;
    uint32_t before = open->header_length;
    uint32_t room = (uint32_t)sizeof(open->header) - before;
    uint32_t taken = piece->length < room ? piece->length : room;
    int used;

    if (open->state != OPEN_READING) {
        piece_free(piece);
        return;
    }
    memcpy(open->header + before, piece_data(piece), taken);
    open->header_length += taken;
    used = wire_open_decode(open->header, open->header_length, &open->flow);
    if (used < 0)
        service_break(open, piece);
    else if (used == 0)
        piece_free(piece);
    else
        service_header_read(open, piece, (uint32_t)used - before, (uint32_t)used);
}

static void service_ended_early(struct stream *stream)
{
    struct service_open *open = stream->owner;

    if (open->state == OPEN_READING)
        stream_stop(stream, REASON_PROTOCOL);
}

static void service_drained(struct stream *stream, uint64_t length)
{
}

static void service_closed(struct stream *stream, enum reason reason)
{
    struct service_open *open = stream->owner;

    open->stream = NULL;
    stream_free(stream);
    timer_stop(&open->services->worker->timers, &open->timer);
    if (open->state == OPEN_CONNECTING) {
        state_move(&open_states, &open->state, OPEN_ABORTING);
        tcp_connect_stop(&open->connect);
    } else {
        service_open_free(open);
    }
}

static const struct stream_events service_stream_events = {.received = service_received,
                                                           .ended = service_ended_early,
                                                           .drained = service_drained,
                                                           .closed = service_closed};

void service_accept(struct services *services, struct stream *stream)
{
    struct service_open *open = mem_new(sizeof(*open));

    if (!open) {
        quic_stream_set_code(stream, WIRE_CODE_NO_MEMORY);
        service_discard(stream, REASON_NO_MEMORY);
        return;
    }
    open->services = services;
    open->stream = stream;
    timer_init(&open->timer, service_seen);
    list_init(&open->wait.link);
    open->wait.answered = service_name_answered;
    services->active++;
    stream->events = &service_stream_events;
    stream->owner = open;
    stream_start(stream);
}
