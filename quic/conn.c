#include "quic/conn.h"

#include <stdio.h>
#include <string.h>

#include "core/mem.h"
#include "core/state.h"
#include "quic/quic_end.h"

enum { RETRY_NS = 1000000 };

static const char *const state_names[CONNECTION_STATES] = {"handshaking", "ready", "closing",
                                                           "ending"};
static const uint32_t state_next[CONNECTION_STATES] = {
    [CONNECTION_HANDSHAKING] = STATE_BIT(CONNECTION_READY) | STATE_BIT(CONNECTION_CLOSING),
    [CONNECTION_READY] = STATE_BIT(CONNECTION_CLOSING),
    [CONNECTION_CLOSING] = STATE_BIT(CONNECTION_ENDING),
    [CONNECTION_ENDING] = 0};
static const struct state_table states = {"connection", state_names, state_next, CONNECTION_STATES};

void connection_wake(struct quic_connection *connection)
{
    worker_defer(connection->worker, &connection->task);
}

void connection_moved(struct quic_connection *connection, unsigned state)
{
    if (connection->server && connection->state == CONNECTION_HANDSHAKING) {
        connection->endpoint->half_open--;
        list_remove(&connection->link);
        list_append(&connection->endpoint->connections, &connection->link);
    }
    state_move(&states, &connection->state, state);
}

/* ---- why it ends ---- */

/* What ngtcp2's verdicts mean, and whether CONNECTION_CLOSE is owed. */
static const struct verdict {
    int rv;
    enum reason reason;
    bool silent;
} verdicts[] = {
    {NGTCP2_ERR_NOMEM,                    REASON_NO_MEMORY,         false},
    {NGTCP2_ERR_HANDSHAKE_TIMEOUT,        REASON_HANDSHAKE_TIMEOUT, true },
    {NGTCP2_ERR_IDLE_CLOSE,               REASON_IDLE_TIMEOUT,      true },
    {NGTCP2_ERR_DROP_CONN,                REASON_NOT_A_HANDSHAKE,   true },
    {NGTCP2_ERR_RETRY,                    REASON_PROTOCOL,          true },
    {NGTCP2_ERR_DRAINING,                 REASON_PEER_CLOSED,       true },
    {NGTCP2_ERR_CLOSING,                  REASON_PEER_CLOSED,       true },
    {NGTCP2_ERR_RECV_VERSION_NEGOTIATION, REASON_VERSION,           true },
    {0,                                   REASON_PROTOCOL,          false}, /* whatever else */
};

static void closing_set_text(struct quic_closing *closing, const char *text, size_t length)
{
    size_t i = 0;

    for (; i < length && i < sizeof(closing->text) - 1; i++)
        closing->text[i] = text[i] < ' ' || text[i] > '~' ? '.' : text[i];
    closing->text[i] = 0;
}

static void closing_of_peer(struct quic_connection *connection)
{
    const ngtcp2_ccerr *theirs = ngtcp2_conn_get_ccerr2(connection->native);
    struct quic_closing *closing = &connection->closing;

    closing->by_peer = true;
    closing->code = theirs->error_code;
    closing->application = theirs->type == NGTCP2_CCERR_TYPE_APPLICATION;
    closing_set_text(closing, (const char *)theirs->reason, theirs->reasonlen);
    if (connection->reset_by_peer)
        closing->reason = REASON_STATELESS_RESET;
    else if (!closing->application)
        closing->reason = handshake_reason_of_code(closing->code);
}

static bool silence_of_peer(const struct quic_connection *connection)
{
    ngtcp2_conn_info info;

    ngtcp2_conn_get_conn_info2(connection->native, &info);
    return info.bytes_in_flight > 0;
}

/* In words where the library only has a name for it; empty: the reason says all. */
static const char *silence_text(const struct quic_connection *connection, int rv)
{
    if (rv == NGTCP2_ERR_IDLE_CLOSE)
        return "";
    if (rv != NGTCP2_ERR_HANDSHAKE_TIMEOUT)
        return ngtcp2_strerror(rv);
    if (connection->server)
        return "the client did not finish the handshake";
    return connection->packets_heard ? "the server did not finish the handshake"
                                     : "the server does not answer";
}

static void closing_of_ours(struct quic_connection *connection, int rv)
{
    const char *text = silence_text(connection, rv);

    if (rv == NGTCP2_ERR_IDLE_CLOSE && silence_of_peer(connection))
        connection->closing.reason = REASON_PEER_TIMEOUT;
    handshake_ccerr(&connection->handshake, rv, &connection->close_with);
    if (connection->handshake.failed)
        connection->closing.reason = handshake_reason(&connection->handshake, &text);
    connection->closing.code = connection->close_with.error_code;
    closing_set_text(&connection->closing, text, strlen(text));
}

void connection_fail(struct quic_connection *connection, int rv)
{
    const struct verdict *verdict = verdicts;

    if (!connection_alive(connection))
        return;
    while (verdict->rv && verdict->rv != rv)
        verdict++;
    connection->closing = (struct quic_closing){.reason = verdict->reason};
    connection->close_silently = verdict->silent;
    if (rv == NGTCP2_ERR_DRAINING)
        closing_of_peer(connection);
    else
        closing_of_ours(connection, rv);
    connection_moved(connection, CONNECTION_CLOSING);
    connection_wake(connection);
}

void quic_close(struct quic_connection *connection, enum reason reason, uint64_t code,
                const char *text)
{
    struct quic_closing *closing = &connection->closing;

    if (!connection_alive(connection))
        return;
    *closing = (struct quic_closing){.reason = reason, .code = code, .application = true};
    closing_set_text(closing, text, strlen(text));
    ngtcp2_ccerr_set_application_error(&connection->close_with, code,
                                       (const uint8_t *)closing->text, strlen(closing->text));
    connection->disowned = true;
    connection_moved(connection, CONNECTION_CLOSING);
    connection_wake(connection);
}

/* ---- the turn ---- */

static void connection_announce(struct quic_connection *connection)
{
    connection->announced = true;
    if (connection->server)
        handshake_shrink(&connection->handshake);
    counter_add(connection->worker->counters, COUNTER_CONNECTIONS_MADE, 1);
    connection->events->ready(connection);
}

static void connection_tell(struct quic_connection *connection)
{
    struct list news, *link;

    if (connection->state == CONNECTION_READY && !connection->announced)
        connection_announce(connection);
    list_init(&news);
    list_take_all(&news, &connection->news);
    while (!connection->disowned && (link = list_pop(&news)))
        quic_end_tell(container_of(link, struct quic_end, news_link));
    list_take_all(&connection->news, &news);
}

static void connection_set_timer(struct quic_connection *connection)
{
    uint64_t at_ns = ngtcp2_conn_get_expiry2(connection->native);
    uint64_t soon_ns = connection->worker->now_ns + RETRY_NS;

    if ((connection->starved || connection->ping) && at_ns > soon_ns)
        at_ns = soon_ns;
    if (connection->timer.at_ns == at_ns && timer_is_set(&connection->timer))
        return;
    if (timer_set(&connection->worker->timers, &connection->timer, at_ns) < 0)
        connection_fail(connection, NGTCP2_ERR_NOMEM); /* it would sleep for ever */
}

/* ngtcp2 drops what it cannot decrypt without a word; its counts tell. */
static void connection_take_stock(struct quic_connection *connection)
{
    ngtcp2_conn_info info;

    connection->was_read = false;
    ngtcp2_conn_get_conn_info2(connection->native, &info);
    if (info.pkt_recv != connection->packets_heard)
        connection->heard_ns = connection->worker->now_ns;
    counter_add(connection->worker->counters, COUNTER_PACKETS_INVALID,
                info.pkt_discarded - connection->packets_discarded);
    connection->packets_heard = info.pkt_recv;
    connection->packets_discarded = info.pkt_discarded;
    ahead_turn(&connection->ahead, &info, connection->config.connection_window_max,
               connection->worker->now_ns);
}

/* Nothing of the kernel's is left. */
static void connection_gone(struct quic_connection *connection)
{
    struct worker *worker = connection->worker;

    counter_add(worker->counters,
                connection->announced ? COUNTER_CONNECTIONS_LOST : COUNTER_CONNECTIONS_FAILED,
                connection->closing.reason != REASON_DONE && !connection->closing.application);
    if (connection->events)
        connection->events->closed(connection, &connection->closing);
    connection_free(connection);
}

static void connection_endpoint_idle(void *context)
{
    struct quic_connection *connection = context;

    connection->endpoint = NULL;
    connection_gone(connection);
}

static void connection_end(struct quic_connection *connection)
{
    quic_ends_lose(connection);
    connection_release_native(connection);
    connection_moved(connection, CONNECTION_ENDING);
    timer_stop(&connection->worker->timers, &connection->timer);
    if (connection->server) {
        if (!connection->batches)
            connection_gone(connection);
        return;
    }
    list_remove(&connection->link);
    quic_endpoint_stop(connection->endpoint, connection_endpoint_idle, connection);
}

void connection_turn(struct task *task)
{
    struct quic_connection *connection = container_of(task, struct quic_connection, task);

    if (connection->state == CONNECTION_ENDING) {
        if (connection->server && !connection->batches)
            connection_gone(connection);
        return;
    }
    if (connection->was_read)
        connection_take_stock(connection);
    connection_tell(connection);
    if (connection_alive(connection))
        connection_write(connection);
    if (connection_alive(connection)) {
        connection_set_timer(connection);
        return;
    }
    connection_write_close(connection);
    connection_end(connection);
}

void connection_expired(struct timer *timer)
{
    struct quic_connection *connection = container_of(timer, struct quic_connection, timer);
    int rv = ngtcp2_conn_handle_expiry(connection->native, connection->worker->now_ns);

    if (rv)
        connection_fail(connection, rv);
    connection_wake(connection);
}

/* ---- the face ---- */

void quic_own(struct quic_connection *connection, const struct quic_events *events, void *owner)
{
    connection->events = events;
    connection->owner = owner;
}

void *quic_owner(const struct quic_connection *connection)
{
    return connection->owner;
}

struct worker *quic_worker(const struct quic_connection *connection)
{
    return connection->worker;
}

void quic_peer_addr(const struct quic_connection *connection, struct addr *addr)
{
    *addr = connection->peer;
}

const struct identity *quic_peer_identity(const struct quic_connection *connection)
{
    return handshake_identity(&connection->handshake);
}

void quic_ping(struct quic_connection *connection)
{
    if (!connection_alive(connection))
        return;
    connection->ping = true;
    connection_wake(connection);
}

void quic_stats(const struct quic_connection *connection, struct quic_stats *stats)
{
    ngtcp2_conn_info info;

    *stats = (struct quic_stats){.last_heard_ns = connection->heard_ns,
                                 .streams = connection->stream_count};
    if (!connection->native)
        return;
    ngtcp2_conn_get_conn_info2(connection->native, &info);
    stats->smoothed_rtt_ns = info.smoothed_rtt;
    stats->pto_ns = ngtcp2_conn_get_pto2(connection->native);
    stats->congestion_window = info.cwnd;
    stats->bytes_in_flight = info.bytes_in_flight;
    stats->packets_lost = info.pkt_lost;
    stats->bytes_in = info.bytes_recv;
    stats->bytes_out = info.bytes_sent;
    stats->payload_size = path_payload(&connection->path, connection->native);
}
