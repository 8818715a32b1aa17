/* One link of a client to one server: resolve, dial, register, keep alive, and again. */
#include "relay/tunnel_link.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/mem.h"
#include "core/state.h"

#define MS          1000000ull
#define GREETING_NS 5000000000ull

enum link_state {
    LINK_NEW,
    LINK_RESTING, /* a further link that is not wanted now */
    LINK_RESOLVING,
    LINK_DIALING,
    LINK_GREETING, /* REGISTER was sent */
    LINK_REGISTERED,
    LINK_CLOSING, /* closed() is to come */
    LINK_WAITING, /* for the next try */
    LINK_STOPPED,
    LINK_STATE_COUNT
};
static const char *const link_state_names[] = {"new",     "resting",  "resolving",
                                               "dialing", "greeting", "registered",
                                               "closing", "waiting",  "stopped"};
/* How any try may end. */
#define LINK_OVER (STATE_BIT(LINK_WAITING) | STATE_BIT(LINK_RESTING) | STATE_BIT(LINK_STOPPED))
static const uint32_t link_state_next[] = {
    [LINK_NEW] = LINK_OVER,
    [LINK_RESTING] = STATE_BIT(LINK_WAITING) | STATE_BIT(LINK_STOPPED),
    [LINK_RESOLVING] = STATE_BIT(LINK_DIALING) | LINK_OVER,
    [LINK_DIALING] = STATE_BIT(LINK_GREETING) | STATE_BIT(LINK_CLOSING) | LINK_OVER,
    [LINK_GREETING] = STATE_BIT(LINK_REGISTERED) | STATE_BIT(LINK_CLOSING) | LINK_OVER,
    [LINK_REGISTERED] = STATE_BIT(LINK_CLOSING) | LINK_OVER,
    [LINK_CLOSING] = LINK_OVER,
    [LINK_WAITING] = STATE_BIT(LINK_RESOLVING) | STATE_BIT(LINK_DIALING) | STATE_BIT(LINK_WAITING) |
                     STATE_BIT(LINK_STOPPED),
    [LINK_STOPPED] = 0,
};
static const struct state_table link_states = {"tunnel link", link_state_names, link_state_next,
                                               LINK_STATE_COUNT};

static void link_move(struct tunnel_link *link, enum link_state state)
{
    state_move(&link_states, &link->state, state);
}

/* ---- from try to try ---- */

static void link_wait(struct tunnel_link *link, uint64_t pause)
{
    struct worker *worker = tunnel_link_worker(link);

    if (!tunnel_client_reconnects(link->client)) {
        link_move(link, LINK_STOPPED);
        tunnel_client_settle(link->client);
        return;
    }
    link_move(link, LINK_WAITING);
    if (timer_set(&worker->timers, &link->timer, worker->now_ns + pause) == 0)
        return;
    tunnel_link_log(link, LOG_ERROR, "tunnel given up", REASON_NO_MEMORY, "no memory for a timer");
    link_move(link, LINK_STOPPED);
    tunnel_client_settle(link->client);
}

/* A further link waits until the first one, which may be lost as well, wakes it again. */
static void link_rest(struct tunnel_link *link)
{
    if (tunnel_client_reconnects(link->client))
        link_move(link, LINK_RESTING);
    else
        link_wait(link, 0);
}

static void link_again(struct tunnel_link *link)
{
    uint64_t pause;

    if (link->slot) {
        link_rest(link);
        return;
    }
    pause = tunnel_retry_pause(link);
    link->tries++;
    counter_add(tunnel_link_worker(link)->counters, COUNTER_RECONNECTS, 1);
    link_wait(link, pause);
}

static void link_close(struct tunnel_link *link, enum wire_code code, const char *words)
{
    if (link->state == LINK_CLOSING)
        return;
    link_move(link, LINK_CLOSING);
    timer_stop(&tunnel_link_worker(link)->timers, &link->timer);
    tunnel_watch_stop(&link->watch);
    quic_close(link->quic, wire_code_reason(code, REASON_PROTOCOL), code, words);
}

static void link_wake_at(struct tunnel_link *link, uint64_t at_ns)
{
    if (timer_set(&tunnel_link_worker(link)->timers, &link->timer, at_ns) < 0)
        link_close(link, WIRE_CODE_NO_MEMORY, wire_code_words(WIRE_CODE_NO_MEMORY));
}

static void link_send(struct tunnel_link *link, const struct wire_message *message)
{
    if (tunnel_control_send(&link->control, message) < 0)
        link_close(link, WIRE_CODE_LIMIT, "the control stream is not read");
}

/* ---- messages ---- */

static uint64_t link_time(uint32_t told_ms, uint32_t otherwise_ms)
{
    return (told_ms ? told_ms : otherwise_ms) * MS;
}

static void link_take_registered(struct tunnel_link *link, const struct wire_registered *told)
{
    struct worker *worker = tunnel_link_worker(link);
    struct quic_stats stats;

    if (told->version < WIRE_VERSION_MIN || told->version > WIRE_VERSION_MAX) {
        link_close(link, WIRE_CODE_VERSION, "the server chose a version that was not offered");
        return;
    }
    if (!tunnel_fan_keeps_place(link, told)) {
        link_close(link, WIRE_CODE_NONE, "another worker answered");
        return;
    }
    quic_stats(link->quic, &stats);
    link->rtt_ns = stats.smoothed_rtt_ns;
    link_move(link, LINK_REGISTERED);
    link->heartbeat_ns = link_time(told->heartbeat_ms, 10000);
    link->health_timeout_ns = link_time(told->health_timeout_ms, 30000);
    link->probe_ns = link_time(told->probe_ms, 1000);
    if (link->probe_ns > link->heartbeat_ns)
        link->probe_ns = link->heartbeat_ns;
    link->tries = link->delays = 0;
    link->asked = told->features & WIRE_FEATURE_WANT;
    link->registered = true;
    link->beat_ns = worker->now_ns + link->heartbeat_ns;
    tunnel_link_tell_registered(link);
    link_wake_at(link, worker->now_ns + link->probe_ns);
    if (link->slot)
        return;
    tunnel_fan_out(link);
    if (link->client->options.registered)
        link->client->options.registered(link->client->options.context);
}

static void link_take_refused(struct tunnel_link *link, const struct wire_refused *told)
{
    const char *words = told->text[0] ? told->text : wire_code_words(told->code);

    link->refused = true;
    tunnel_link_tell_failure(link, wire_code_reason(told->code, REASON_PEER_CLOSED), words);
    link_close(link, WIRE_CODE_NONE, "refused");
}

static void link_take_other(struct tunnel_link *link, const struct wire_message *message)
{
    const struct wire_session *session = &message->session;

    switch (message->type) {
    case WIRE_HEARTBEAT:
        break; /* that it came is what counts */
    case WIRE_DRAIN:
        tunnel_link_log(link, LOG_INFO, "server is leaving", REASON_SHUTDOWN, "drain");
        break;
    case WIRE_UDP_OPEN:
        service_session_open(&link->client->services, &link->sessions, session->id, &session->flow);
        break;
    case WIRE_WANT:
        tunnel_fan_want(link, message->want.worker);
        break;
    case WIRE_UDP_CLOSE:
        service_session_close(&link->sessions, session->id, session->code);
        break;
    default:
        counter_add(tunnel_link_worker(link)->counters, COUNTER_MESSAGES_INVALID, 1);
        link_close(link, WIRE_CODE_PROTOCOL, wire_type_name(message->type));
    }
}

static void link_message(struct tunnel_control *control, const struct wire_message *message)
{
    struct tunnel_link *link = container_of(control, struct tunnel_link, control);

    if (link->state == LINK_GREETING && message->type == WIRE_REGISTERED)
        link_take_registered(link, &message->registered);
    else if (link->state == LINK_GREETING && message->type == WIRE_REFUSED)
        link_take_refused(link, &message->refused);
    else if (link->state == LINK_REGISTERED)
        link_take_other(link, message);
    else if (link->state == LINK_GREETING)
        link_close(link, WIRE_CODE_PROTOCOL, "a message before REGISTERED");
}

static void link_control_failed(struct tunnel_control *control, enum reason reason,
                                const char *words)
{
    struct tunnel_link *link = container_of(control, struct tunnel_link, control);

    if (reason != REASON_TUNNEL_LOST) /* closed() is next */
        link_close(link, wire_code_of(reason), words);
}

static const struct tunnel_control_events link_control_events = {.message = link_message,
                                                                 .failed = link_control_failed};

/* ---- liveness ---- */

static void link_suspected(struct tunnel_watch *watch)
{
    struct tunnel_link *link = container_of(watch, struct tunnel_link, watch);

    tunnel_link_log(link, LOG_DEBUG, "server is suspect", REASON_PEER_TIMEOUT, "does not answer");
    /* A connected socket keeps the address it began with, also when the machine has lost it. */
    if (quic_rebind(link->quic) < 0)
        tunnel_link_log(link, LOG_DEBUG, "no new socket for a suspect", REASON_SYSTEM,
                        "not rebound");
}

static void link_recovered(struct tunnel_watch *watch)
{
}

static void link_died(struct tunnel_watch *watch)
{
    struct tunnel_link *link = container_of(watch, struct tunnel_link, watch);

    link_close(link, WIRE_CODE_SILENT, wire_code_words(WIRE_CODE_SILENT));
}

static const struct tunnel_watch_events link_watch_events = {
    .suspected = link_suspected, .recovered = link_recovered, .died = link_died};

static void link_beat(struct tunnel_link *link)
{
    struct wire_message message = {.type = WIRE_HEARTBEAT};
    uint64_t now = tunnel_link_worker(link)->now_ns;

    link->beat_ns = now + link->heartbeat_ns;
    if (now - link->control.heard_ns > link->health_timeout_ns)
        link_close(link, WIRE_CODE_HEARTBEAT, wire_code_words(WIRE_CODE_HEARTBEAT));
    else
        link_send(link, &message);
}

/* An idle client learns that its server was restarted only by asking, so it asks often. */
static void link_probe(struct tunnel_link *link)
{
    uint64_t now = tunnel_link_worker(link)->now_ns;

    service_sessions_expire(&link->sessions);
    if (!link->slot && now >= link->fan_ns)
        tunnel_fan_out(link);
    if (now >= link->beat_ns)
        link_beat(link);
    else
        quic_ping(link->quic);
    if (link->state != LINK_REGISTERED)
        return;
    tunnel_watch_expect(&link->watch);
    link_wake_at(link, now + link->probe_ns);
}

/* ---- the connection ---- */

static void link_send_register(struct tunnel_link *link)
{
    struct wire_message message;

    tunnel_dial_register(link, &message);
    link_send(link, &message);
}

static void link_ready(struct quic_connection *quic)
{
    struct tunnel_link *link = quic_owner(quic);
    struct worker *worker = tunnel_link_worker(link);
    enum reason reason;
    struct stream *stream;

    if (link->state != LINK_DIALING)
        return;
    stream = quic_stream_open(quic, &reason);
    if (!stream) {
        link_close(link, wire_code_of(reason), "no control stream");
        return;
    }
    link_move(link, LINK_GREETING);
    tunnel_watch_start(&link->watch, worker, quic, 0, &link_watch_events);
    tunnel_control_start(&link->control, worker, stream, &link_control_events);
    link_send_register(link);
    if (link->state != LINK_GREETING)
        return;
    tunnel_watch_expect(&link->watch);
    link_wake_at(link, worker->now_ns + GREETING_NS);
}

static void link_opened(struct quic_connection *quic, struct stream *stream)
{
    struct tunnel_link *link = quic_owner(quic);

    service_accept(&link->client->services, stream);
}

static void link_datagram(struct quic_connection *quic, const uint8_t *data, uint32_t length)
{
    struct tunnel_link *link = quic_owner(quic);

    if (link->state == LINK_REGISTERED)
        service_datagram(&link->client->services, &link->sessions, data, length);
}

static void link_closed(struct quic_connection *quic, const struct quic_closing *closing)
{
    struct tunnel_link *link = quic_owner(quic);

    timer_stop(&tunnel_link_worker(link)->timers, &link->timer);
    tunnel_watch_stop(&link->watch);
    if (tunnel_client_reconnects(link->client))
        tunnel_link_tell_end(link, closing);
    service_sessions_lost(&link->sessions);
    tunnel_sessions_release(&link->sessions);
    tunnel_control_release(&link->control);
    link->quic = NULL;
    link_again(link);
}

static const struct quic_events link_events = {
    .ready = link_ready, .opened = link_opened, .datagram = link_datagram, .closed = link_closed};

/* ---- dialing ---- */

static void link_dial(struct tunnel_link *link, const struct addr *peer)
{
    struct quic_dial dial = {
        .peer = *peer,
        .server_name = link->server->server_name,
        .tls = link->client->tls,
        .worker = link->server_worker,
        .workers = link->server_workers,
    };
    int error;

    tunnel_dial_config(link, &dial.config);
    link_move(link, LINK_DIALING);
    link->refused = false;
    tunnel_control_init(&link->control);
    link->quic = quic_connect(tunnel_link_worker(link), &dial, &link_events, link, &error);
    if (!link->quic) {
        tunnel_link_tell_failure(link, reason_of_errno(error), strerror(-error));
        link_again(link);
        return;
    }
    tunnel_sessions_init(&link->sessions, tunnel_link_worker(link), link->quic, &link->control,
                         link->server->server_name);
}

/* Each try takes the name's next address. */
static void link_resolved(struct resolve_request *resolve)
{
    struct tunnel_link *link = container_of(resolve, struct tunnel_link, resolve);

    if (!tunnel_client_reconnects(link->client)) {
        link_wait(link, 0);
    } else if (resolve->error || !resolve->count) {
        tunnel_link_tell_failure(link, REASON_NAME_UNKNOWN, reason_text(REASON_NAME_UNKNOWN));
        link_again(link);
    } else {
        link_dial(link, &resolve->addrs[link->tries % resolve->count]);
    }
}

static void link_ask(struct tunnel_link *link)
{
    const struct host *host = &link->server->host;
    struct worker *worker = tunnel_link_worker(link);

    if (!worker->resolver) {
        tunnel_link_tell_failure(link, REASON_NAME_UNKNOWN, "no resolver");
        link_again(link);
        return;
    }
    link_move(link, LINK_RESOLVING);
    link->resolve =
        (struct resolve_request){.port = host->port, .worker = worker, .done = link_resolved};
    snprintf(link->resolve.host, sizeof(link->resolve.host), "%s", host->name);
    resolve_ask(worker->resolver, &link->resolve);
}

static void link_try(struct tunnel_link *link)
{
    const struct host *host = &link->server->host;

    if (host->addr.length)
        link_dial(link, &host->addr);
    else
        link_ask(link);
}

static void link_fired(struct timer *timer)
{
    struct tunnel_link *link = container_of(timer, struct tunnel_link, timer);

    if (link->state == LINK_WAITING)
        link_try(link);
    else if (link->state == LINK_REGISTERED)
        link_probe(link);
    else if (link->state == LINK_GREETING)
        link_close(link, WIRE_CODE_REGISTER_TIMEOUT, "the server did not answer REGISTER in time");
}

/* ---- life ---- */

struct tunnel_link *tunnel_link_new(struct tunnel_client *client, uint32_t server, uint8_t slot)
{
    struct tunnel_link *link = mem_new(sizeof(*link));

    if (!link)
        return NULL;
    link->client = client;
    link->server = &client->settings->servers[server];
    link->index = server;
    link->slot = slot;
    timer_init(&link->timer, link_fired);
    list_append(&client->links, &link->link);
    return link;
}

void tunnel_link_free(struct tunnel_link *link)
{
    must(link->state == LINK_NEW || link->state == LINK_STOPPED);
    list_remove(&link->link);
    mem_free(link);
}

void tunnel_link_start(struct tunnel_link *link)
{
    if (link->slot)
        link_move(link, LINK_RESTING);
    else
        link_wait(link, 0);
}

void tunnel_link_wake(struct tunnel_link *link, uint32_t worker, uint32_t workers)
{
    link->server_worker = worker;
    link->server_workers = workers;
    if (link->state == LINK_RESTING)
        link_wait(link, 0);
}

/* A link without a tunnel has nothing to finish. */
void tunnel_link_drain(struct tunnel_link *link)
{
    struct wire_message message = {.type = WIRE_DRAIN};

    if (link->state == LINK_REGISTERED)
        link_send(link, &message);
    else
        tunnel_link_stop(link);
}

void tunnel_link_stop(struct tunnel_link *link)
{
    if (link->quic) {
        link_close(link, WIRE_CODE_SHUTDOWN, "the client is shutting down");
    } else if (link->state == LINK_WAITING || link->state == LINK_NEW ||
               link->state == LINK_RESTING) {
        timer_stop(&tunnel_link_worker(link)->timers, &link->timer);
        link_move(link, LINK_STOPPED);
        tunnel_client_settle(link->client);
    }
}

bool tunnel_link_is_stopped(const struct tunnel_link *link)
{
    return link->state == LINK_STOPPED;
}

bool tunnel_link_rests(const struct tunnel_link *link)
{
    return link->slot && link->state != LINK_REGISTERED;
}
