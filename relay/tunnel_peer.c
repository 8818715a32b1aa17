/* The server's end of one connection: who it is, its registration, its heartbeats. */
#include "relay/tunnel_peer.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/identity.h"
#include "core/mem.h"
#include "core/state.h"

enum {
    REFUSED_LINGER_MS = 1000, /* how long a refused client may take to read why */
    PROBE_MS = 1000,          /* how often a client asks for a sign of life, */
    PROBE_CLIENTS = 2000      /* stretched by one such time for each so many clients */
};
#define MS 1000000ull

enum peer_state {
    PEER_HANDSHAKE,
    PEER_GREETING, /* allowed; REGISTER is to come */
    PEER_JOINING,  /* the registrar is asked */
    PEER_REGISTERED,
    PEER_REFUSED, /* it may read why, then it is closed */
    PEER_CLOSING, /* closed() is to come */
    PEER_STATE_COUNT
};
static const char *const peer_state_names[] = {"handshake",  "greeting", "joining",
                                               "registered", "refused",  "closing"};
static const uint32_t peer_state_next[] = {
    [PEER_HANDSHAKE] = STATE_BIT(PEER_GREETING) | STATE_BIT(PEER_CLOSING),
    [PEER_GREETING] = STATE_BIT(PEER_JOINING) | STATE_BIT(PEER_REFUSED) | STATE_BIT(PEER_CLOSING),
    [PEER_JOINING] = STATE_BIT(PEER_REGISTERED) | STATE_BIT(PEER_REFUSED) | STATE_BIT(PEER_CLOSING),
    [PEER_REGISTERED] = STATE_BIT(PEER_CLOSING),
    [PEER_REFUSED] = STATE_BIT(PEER_CLOSING),
    [PEER_CLOSING] = 0,
};
static const struct state_table peer_states = {"tunnel peer", peer_state_names, peer_state_next,
                                               PEER_STATE_COUNT};

static void peer_move(struct tunnel_peer *peer, enum peer_state state)
{
    state_move(&peer_states, &peer->state, state);
}

static struct tunnel_peer *peer_of(struct quic_connection *quic)
{
    return quic_owner(quic);
}

void tunnel_peer_log(struct tunnel_peer *peer, enum log_level level, const char *event,
                     enum reason reason, const char *words)
{
    struct addr addr;

    quic_peer_addr(peer->quic, &addr);
    LOG(peer->server->worker->log, level, event, LOG_TEXT("tunnel", peer->server->settings->name),
        LOG_TEXT("client", peer->name[0] ? peer->name : "-"), LOG_ADDR("address", &addr),
        LOG_TEXT("reason", reason_name(reason)), LOG_TEXT("text", words));
}

void tunnel_peer_close(struct tunnel_peer *peer, enum wire_code code, const char *words)
{
    if (peer->state == PEER_CLOSING)
        return;
    peer_move(peer, PEER_CLOSING);
    timer_stop(&peer->server->worker->timers, &peer->timer);
    tunnel_watch_stop(&peer->watch);
    quic_close(peer->quic, wire_code_reason(code, REASON_PROTOCOL), code, words);
}

static void peer_send(struct tunnel_peer *peer, const struct wire_message *message)
{
    if (tunnel_control_send(&peer->control, message) < 0)
        tunnel_peer_close(peer, WIRE_CODE_LIMIT, "the control stream is not read");
}

static void peer_wake_in(struct tunnel_peer *peer, uint64_t delay)
{
    struct worker *worker = peer->server->worker;

    if (timer_set(&worker->timers, &peer->timer, worker->now_ns + delay) < 0)
        tunnel_peer_close(peer, WIRE_CODE_NO_MEMORY, wire_code_words(WIRE_CODE_NO_MEMORY));
}

/* ---- registration ---- */

static void peer_refuse(struct tunnel_peer *peer, enum wire_code code, const char *words)
{
    struct wire_message message = {.type = WIRE_REFUSED, .refused = {.code = code}};

    counter_add(peer->server->worker->counters, COUNTER_REGISTER_REFUSED, 1);
    tunnel_peer_log(peer, LOG_WARN, "tunnel client refused",
                    wire_code_reason(code, REASON_PROTOCOL), words);
    snprintf(message.refused.text, sizeof(message.refused.text), "%s", words);
    peer_move(peer, PEER_REFUSED);
    peer_send(peer, &message);
    if (peer->state == PEER_REFUSED)
        peer_wake_in(peer, REFUSED_LINGER_MS * MS);
}

static void peer_refuse_version(struct tunnel_peer *peer, const struct wire_register *reg)
{
    char words[WIRE_TEXT_MAX + 1];

    snprintf(words, sizeof(words),
             "this server speaks versions %d to %d of qmux/2, the client %u to %u",
             WIRE_VERSION_MIN, WIRE_VERSION_MAX, reg->version_min, reg->version_max);
    peer_refuse(peer, WIRE_CODE_VERSION, words);
}

static void peer_answer(struct tunnel_peer *peer)
{
    struct tunnel_server *server = peer->server;
    uint32_t clients = backend_pool_count(server->share->pool);
    struct wire_message message = {
        .type = WIRE_REGISTERED,
        .registered = {.version = peer->version,
                       .features = peer->features,
                       .worker_count = (uint16_t)server->share->workers,
                       .worker = (uint16_t)server->worker->index,
                       .heartbeat_ms = (uint32_t)(server->settings->heartbeat_ns / MS),
                       .health_timeout_ms = (uint32_t)(server->settings->health_timeout_ns / MS),
                       .probe_ms = PROBE_MS * (1 + clients / PROBE_CLIENTS)}
    };

    memcpy(message.registered.instance, server->share->instance, WIRE_INSTANCE_SIZE);
    peer_send(peer, &message);
}

static int peer_take_offer(struct tunnel_peer *peer, const struct wire_register *reg)
{
    size_t size = reg->service_count * sizeof(struct wire_service);

    struct wire_service *services = mem_raw(size ? size : 1);

    if (!services)
        return -ENOMEM;
    memcpy(services, reg->services, size);
    mem_free(peer->services);
    peer->services = services;
    peer->service_count = reg->service_count;
    return 0;
}

static void peer_take_register(struct tunnel_peer *peer, const struct wire_register *reg)
{
    peer->version = wire_version_choose(reg->version_min, reg->version_max);
    if (!peer->version) {
        peer_refuse_version(peer, reg);
    } else if (!tunnel_server_takes_clients(peer->server)) {
        peer_refuse(peer, WIRE_CODE_DRAINING, "the server is shutting down");
    } else if (reg->slot >= SETTINGS_CONNECTIONS_MAX) {
        peer_refuse(peer, WIRE_CODE_LIMIT, "a client has eight connections at most");
    } else if (peer_take_offer(peer, reg)) {
        peer_refuse(peer, WIRE_CODE_NO_MEMORY, wire_code_words(WIRE_CODE_NO_MEMORY));
    } else {
        peer->features = reg->features & WIRE_FEATURES;
        peer_move(peer, PEER_JOINING);
        tunnel_registrar_join(peer, reg);
    }
}

/* The last that happens to a peer whose connection is gone. */
static void peer_free(struct tunnel_peer *peer)
{
    struct tunnel_server *server = peer->server;

    list_remove(&peer->link);
    mem_free(peer->services);
    mem_free(peer);
    server->peer_count--;
    tunnel_server_settle(server);
}

static void peer_refused_by_registrar(struct tunnel_peer *peer)
{
    enum wire_code code = peer->ticket.code;

    if (code == WIRE_CODE_MAX_CLIENTS)
        counter_add(peer->server->worker->counters, COUNTER_LIMIT_MAX_CLIENTS, 1);
    peer_refuse(peer, code, wire_code_words(code));
}

static void peer_registered(struct tunnel_peer *peer)
{
    peer_move(peer, PEER_REGISTERED);
    peer->used_ns = peer->server->worker->now_ns;
    tunnel_member_attach(peer->ticket.member, peer);
    counter_add(peer->server->worker->counters, COUNTER_REGISTERED, 1);
    tunnel_peer_tell_registered(peer);
    peer_answer(peer);
    if (peer->state == PEER_REGISTERED)
        peer_wake_in(peer, peer->server->settings->heartbeat_ns);
}

/* The connection may have ended meanwhile, or be about to. */
void tunnel_peer_joined(struct tunnel_peer *peer)
{
    if (peer->closed && peer->ticket.member)
        tunnel_registrar_leave(peer);
    else if (peer->closed)
        peer_free(peer);
    else if (peer->state != PEER_JOINING)
        return;
    else if (peer->ticket.member)
        peer_registered(peer);
    else
        peer_refused_by_registrar(peer);
}

void tunnel_peer_left(struct tunnel_peer *peer)
{
    peer_free(peer);
}

void tunnel_peer_replaced(struct tunnel_peer *peer)
{
    if (!peer->closed)
        tunnel_peer_close(peer, WIRE_CODE_REPLACED, wire_code_words(WIRE_CODE_REPLACED));
}

/* ---- messages ---- */

static void peer_take_other(struct tunnel_peer *peer, const struct wire_message *message)
{
    switch (message->type) {
    case WIRE_HEARTBEAT:
        break; /* that it came is what counts */
    case WIRE_DRAIN:
        tunnel_peer_log(peer, LOG_INFO, "tunnel client is leaving", REASON_SHUTDOWN, "drain");
        tunnel_registrar_retire(peer);
        break;
    case WIRE_OFFER:
        if (peer_take_offer(peer, &message->reg))
            tunnel_peer_close(peer, WIRE_CODE_NO_MEMORY, wire_code_words(WIRE_CODE_NO_MEMORY));
        break;
    case WIRE_UDP_OPENED:
        tunnel_sessions_opened(&peer->sessions, message->session.id);
        break;
    case WIRE_UDP_CLOSE:
        tunnel_sessions_closed(&peer->sessions, message->session.id, message->session.code);
        break;
    default:
        counter_add(peer->server->worker->counters, COUNTER_MESSAGES_INVALID, 1);
        tunnel_peer_close(peer, WIRE_CODE_PROTOCOL, wire_type_name(message->type));
    }
}

static void peer_message(struct tunnel_control *control, const struct wire_message *message)
{
    struct tunnel_peer *peer = container_of(control, struct tunnel_peer, control);

    if (peer->state == PEER_GREETING && message->type == WIRE_REGISTER)
        peer_take_register(peer, &message->reg);
    else if (peer->state == PEER_REGISTERED ||
             (peer->state == PEER_JOINING && message->type == WIRE_OFFER))
        peer_take_other(peer, message);
    else if (peer->state == PEER_GREETING)
        tunnel_peer_close(peer, WIRE_CODE_PROTOCOL, "a message before REGISTER");
}

static void peer_control_failed(struct tunnel_control *control, enum reason reason,
                                const char *words)
{
    struct tunnel_peer *peer = container_of(control, struct tunnel_peer, control);

    if (reason == REASON_TUNNEL_LOST)
        return; /* closed() is next */
    if (peer->state == PEER_REFUSED)
        tunnel_peer_close(peer, WIRE_CODE_NONE, "refused");
    else
        tunnel_peer_close(
            peer, reason == REASON_PEER_CLOSED ? WIRE_CODE_NONE : wire_code_of(reason), words);
}

static const struct tunnel_control_events peer_control_events = {.message = peer_message,
                                                                 .failed = peer_control_failed};

/* ---- liveness ---- */

static void peer_suspected(struct tunnel_watch *watch)
{
    struct tunnel_peer *peer = container_of(watch, struct tunnel_peer, watch);

    if (!peer->member)
        return;
    tunnel_peer_log(peer, LOG_INFO, "tunnel client is suspect", REASON_PEER_TIMEOUT,
                    "does not answer");
    tunnel_member_suspected(peer->member, true);
}

static void peer_recovered(struct tunnel_watch *watch)
{
    struct tunnel_peer *peer = container_of(watch, struct tunnel_peer, watch);

    if (peer->member)
        tunnel_member_suspected(peer->member, false);
}

static void peer_died(struct tunnel_watch *watch)
{
    struct tunnel_peer *peer = container_of(watch, struct tunnel_peer, watch);

    tunnel_peer_close(peer, WIRE_CODE_SILENT, wire_code_words(WIRE_CODE_SILENT));
}

static const struct tunnel_watch_events peer_watch_events = {
    .suspected = peer_suspected, .recovered = peer_recovered, .died = peer_died};

static void peer_beat(struct tunnel_peer *peer)
{
    const struct tunnel_settings *settings = peer->server->settings;
    struct wire_message message = {.type = WIRE_HEARTBEAT};
    uint64_t parting;

    if (peer->server->worker->now_ns - peer->control.heard_ns > settings->health_timeout_ns) {
        tunnel_peer_close(peer, WIRE_CODE_HEARTBEAT, wire_code_words(WIRE_CODE_HEARTBEAT));
        return;
    }
    peer_send(peer, &message);
    if (peer->state != PEER_REGISTERED)
        return;
    tunnel_watch_expect(&peer->watch);
    parting = tunnel_peer_part(peer);
    peer_wake_in(peer, parting ? parting : settings->heartbeat_ns);
}

static void peer_parted(struct tunnel_peer *peer)
{
    if (tunnel_peer_parted(peer))
        tunnel_peer_close(peer, WIRE_CODE_IDLE_TIMEOUT, "a further connection that nobody used");
    else
        peer_wake_in(peer, peer->server->settings->heartbeat_ns);
}

static void peer_fired(struct timer *timer)
{
    struct tunnel_peer *peer = container_of(timer, struct tunnel_peer, timer);

    if (peer->state == PEER_REGISTERED && peer->parting)
        peer_parted(peer);
    else if (peer->state == PEER_REGISTERED)
        peer_beat(peer);
    else if (peer->state == PEER_REFUSED)
        tunnel_peer_close(peer, WIRE_CODE_NONE, "refused");
    else
        tunnel_peer_close(peer, WIRE_CODE_REGISTER_TIMEOUT, "did not register in time");
}

void tunnel_peer_want(struct tunnel_peer *peer, uint16_t worker)
{
    struct wire_message message = {.type = WIRE_WANT, .want = {.worker = worker}};

    if (peer->state == PEER_REGISTERED && peer->features & WIRE_FEATURE_WANT)
        peer_send(peer, &message);
}

void tunnel_peer_drain(struct tunnel_peer *peer)
{
    struct wire_message message = {.type = WIRE_DRAIN};

    if (peer->state == PEER_REGISTERED)
        peer_send(peer, &message);
}

/* ---- the connection ---- */

static void peer_forbid(struct tunnel_peer *peer)
{
    snprintf(peer->name, sizeof(peer->name), "%s", identity_name(quic_peer_identity(peer->quic)));
    counter_add(peer->server->worker->counters, COUNTER_REGISTER_REFUSED, 1);
    tunnel_peer_close(peer, WIRE_CODE_NOT_ALLOWED, wire_code_words(WIRE_CODE_NOT_ALLOWED));
}

static void peer_ready(struct quic_connection *quic)
{
    struct tunnel_peer *peer = peer_of(quic);
    const struct tunnel_settings *settings = peer->server->settings;
    const char *name = tunnel_peer_allowed_name(peer);

    if (peer->state != PEER_HANDSHAKE)
        return;
    if (!name) {
        peer_forbid(peer);
        return;
    }
    snprintf(peer->name, sizeof(peer->name), "%s", name);
    peer_move(peer, PEER_GREETING);
    tunnel_watch_start(&peer->watch, peer->server->worker, quic, settings->open_timeout_ns,
                       &peer_watch_events);
    peer_wake_in(peer, settings->handshake_timeout_ns);
}

static void reject_received(struct stream *stream, struct piece *piece)
{
    piece_free(piece);
}
static void reject_ended(struct stream *stream)
{
}
static void reject_drained(struct stream *stream, uint64_t length)
{
}
static void reject_closed(struct stream *stream, enum reason reason)
{
    stream_free(stream);
}
static const struct stream_events reject_events = {.received = reject_received,
                                                   .ended = reject_ended,
                                                   .drained = reject_drained,
                                                   .closed = reject_closed};

/* A client opens one stream only. */
static void peer_opened(struct quic_connection *quic, struct stream *stream)
{
    struct tunnel_peer *peer = peer_of(quic);

    if (peer->state == PEER_GREETING && !peer->control.stream) {
        tunnel_control_start(&peer->control, peer->server->worker, stream, &peer_control_events);
        return;
    }
    stream->events = &reject_events;
    quic_stream_set_code(stream, WIRE_CODE_PROTOCOL);
    stream_stop(stream, REASON_PROTOCOL);
    tunnel_peer_close(peer, WIRE_CODE_PROTOCOL, "a second stream opened by the client");
}

static void peer_datagram(struct quic_connection *quic, const uint8_t *data, uint32_t length)
{
    tunnel_sessions_received(&peer_of(quic)->sessions, data, length);
}

static void peer_closed(struct quic_connection *quic, const struct quic_closing *closing)
{
    struct tunnel_peer *peer = peer_of(quic);

    timer_stop(&peer->server->worker->timers, &peer->timer);
    tunnel_watch_stop(&peer->watch);
    tunnel_peer_tell_end(peer, closing);
    tunnel_sessions_lost(&peer->sessions);
    if (peer->member)
        tunnel_member_detach(peer);
    tunnel_sessions_release(&peer->sessions);
    tunnel_control_release(&peer->control);
    peer->closed = true;
    if (peer->state != PEER_CLOSING)
        peer_move(peer, PEER_CLOSING);
    if (peer->ticket.state == TICKET_HELD)
        tunnel_registrar_leave(peer);
    else if (peer->ticket.state == TICKET_NONE)
        peer_free(peer);
}

static const struct quic_events peer_events = {
    .ready = peer_ready, .opened = peer_opened, .datagram = peer_datagram, .closed = peer_closed};

bool tunnel_peer_accept(struct tunnel_server *server, struct quic_connection *quic)
{
    struct tunnel_peer *peer = mem_new(sizeof(*peer));

    if (!peer)
        return false;
    peer->server = server;
    peer->quic = quic;
    tunnel_control_init(&peer->control);
    tunnel_sessions_init(&peer->sessions, server->worker, quic, &peer->control, peer->name);
    timer_init(&peer->timer, peer_fired);
    list_init(&peer->member_link);
    list_append(&server->peers, &peer->link);
    server->peer_count++;
    quic_own(quic, &peer_events, peer);
    return true;
}
