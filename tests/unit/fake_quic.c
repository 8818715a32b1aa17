#include "tests/unit/fake_quic.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/mem.h"

struct fake_stream {
    struct stream stream;
    struct fake_stream *other; /* NULL until the far end knows it, and once that is gone */
    struct quic_connection *connection;
    struct list link;
    struct queue out, in;
    uint64_t drained, code, peer_code;
    enum reason reason;
    bool announced, started, acknowledged, finish, finish_sent, in_finished, in_told, over, closed;
};

struct fake_datagram {
    struct list link;
    uint32_t length;
    uint8_t data[];
};

struct quic_connection {
    struct worker *worker;
    struct quic_connection *other; /* NULL: nobody, or gone */
    const struct quic_events *events;
    void *owner;
    struct list link, streams, datagrams;
    struct task task;
    struct timer timer; /* handshake */
    struct quic_closing closing;
    const struct identity *identity; /* the peer's */
    struct addr addr;
    uint64_t heard_ns;
    uint32_t stream_count;
    bool ready_due, closed, cut;
};

struct quic_endpoint {
    struct worker *worker;
    struct addr addr;
    struct quic_acceptor acceptor;
    struct task task;
    quic_idle_fn *idle;
    void *context;
    bool refusing;
};

const struct identity *fake_identity;
uint32_t fake_datagram_room = 1200;
static struct quic_endpoint *fake_endpoint;
static struct list fake_connections = {&fake_connections, &fake_connections};
static struct quic_connection *newest_client, *newest_server;
static uint32_t dials;
static const struct stream_ops fake_stream_ops;

static void fake_wake(struct quic_connection *connection)
{
    if (connection)
        worker_defer(connection->worker, &connection->task);
}

static bool fake_reaches(const struct quic_connection *connection)
{
    return connection->other && !connection->cut && !connection->closed;
}

static void fake_heard(struct quic_connection *connection)
{
    connection->heard_ns = connection->worker->now_ns + 1;
}

/* ---- streams ---- */

static struct fake_stream *fake_of(struct stream *stream)
{
    return container_of(stream, struct fake_stream, stream);
}

static struct fake_stream *fake_stream_new(struct quic_connection *connection)
{
    struct fake_stream *fake = mem_new(sizeof(*fake));

    if (!fake)
        return NULL;
    fake->stream.ops = &fake_stream_ops;
    fake->connection = connection;
    connection->stream_count++;
    list_append(&connection->streams, &fake->link);
    return fake;
}

struct stream *quic_stream_open(struct quic_connection *connection, enum reason *reason)
{
    struct fake_stream *fake;

    *reason = REASON_TUNNEL_LOST;
    if (connection->closed)
        return NULL;
    *reason = REASON_NO_MEMORY;
    fake = fake_stream_new(connection);
    if (!fake)
        return NULL;
    fake->announced = true;
    return &fake->stream;
}

static void fake_over(struct fake_stream *fake, enum reason reason)
{
    if (fake->over)
        return;
    fake->over = true;
    fake->reason = reason;
    fake_wake(fake->connection);
}

static void fake_start(struct stream *stream)
{
    fake_of(stream)->started = true;
    fake_wake(fake_of(stream)->connection);
}

static void fake_write(struct stream *stream, struct piece *piece)
{
    struct fake_stream *fake = fake_of(stream);

    if (fake->over || fake->finish || !fake->connection) {
        piece_free(piece);
        return;
    }
    queue_push(&fake->out, piece);
    fake_wake(fake->connection);
}

static void fake_consumed(struct stream *stream, uint64_t length)
{
}

static void fake_finish(struct stream *stream)
{
    fake_of(stream)->finish = true;
    fake_wake(fake_of(stream)->connection);
}

static void fake_stop(struct stream *stream, enum reason reason)
{
    struct fake_stream *fake = fake_of(stream), *other = fake->other;

    if (fake->over || !fake->connection)
        return;
    if (other && fake_reaches(fake->connection)) {
        other->peer_code = fake->code;
        fake_over(other, REASON_RESET);
    }
    fake_over(fake, reason);
}

static void fake_free(struct stream *stream)
{
    struct fake_stream *fake = fake_of(stream);

    must(fake->closed);
    queue_clear(&fake->out);
    queue_clear(&fake->in);
    mem_free(fake);
}

static const struct stream_ops fake_stream_ops = {.start = fake_start,
                                                  .write = fake_write,
                                                  .consumed = fake_consumed,
                                                  .finish = fake_finish,
                                                  .stop = fake_stop,
                                                  .free = fake_free};

bool quic_stream_acknowledged(const struct stream *stream)
{
    return container_of(stream, const struct fake_stream, stream)->acknowledged;
}

void quic_stream_set_code(struct stream *stream, uint64_t code)
{
    fake_of(stream)->code = code;
}

uint64_t quic_stream_peer_code(const struct stream *stream)
{
    return container_of(stream, const struct fake_stream, stream)->peer_code;
}

void quic_stream_hold(struct stream *stream, struct piece *rest, uint64_t preface)
{
    struct fake_stream *fake = fake_of(stream);
    struct queue later = fake->in;

    fake->started = false;
    queue_init(&fake->in);
    if (rest)
        queue_push(&fake->in, rest);
    queue_take_all(&fake->in, &later);
}

/* What a stream has written reaches the far end, which hears of the stream then. */
static void fake_deliver(struct fake_stream *fake)
{
    struct quic_connection *far = fake->connection->other;

    if (fake->over || !fake_reaches(fake->connection) ||
        (queue_empty(&fake->out) && (!fake->finish || fake->finish_sent)))
        return;
    if (!fake->other && !fake->acknowledged) {
        fake->other = fake_stream_new(far);
        if (!fake->other) { /* as if the packet were lost: the next turn tries again */
            fake_wake(fake->connection);
            return;
        }
        fake->other->other = fake;
    }
    fake->acknowledged = true;
    fake->drained += fake->out.length;
    if (fake->other)
        queue_take_all(&fake->other->in, &fake->out);
    queue_clear(&fake->out);
    fake->finish_sent = fake->finish;
    if (fake->other)
        fake->other->in_finished |= fake->finish;
    fake_heard(far);
    fake_heard(fake->connection);
    fake_wake(far);
}

static bool fake_tells(const struct fake_stream *fake)
{
    return fake->started && !fake->over;
}

static void fake_close_stream(struct fake_stream *fake)
{
    fake->closed = true;
    list_remove(&fake->link);
    fake->connection->stream_count--;
    if (fake->other)
        fake->other->other = NULL;
    fake->connection = NULL;
    fake->stream.events->closed(&fake->stream, fake->reason);
}

static void fake_tell(struct fake_stream *fake)
{
    uint64_t drained = fake->drained;

    if (!fake->announced) {
        fake->announced = true;
        fake->connection->events->opened(fake->connection, &fake->stream);
    }
    fake->drained = 0;
    if (drained && !fake->over)
        stream_drained(&fake->stream, drained);
    while (fake_tells(fake) && !queue_empty(&fake->in))
        fake->stream.events->received(&fake->stream, queue_pop(&fake->in));
    if (fake_tells(fake) && fake->in_finished && !fake->in_told) {
        fake->in_told = true;
        fake->stream.events->ended(&fake->stream);
    }
    if (fake_tells(fake) && fake->in_told && fake->finish_sent)
        fake_over(fake, REASON_DONE);
    if (fake->over)
        fake_close_stream(fake);
}

/* ---- connections ---- */

static struct quic_connection *fake_new(struct worker *worker, task_fn *run, timer_fn *fired)
{
    struct quic_connection *connection = mem_new(sizeof(*connection));

    must(connection);
    connection->worker = worker;
    must(addr_parse(&connection->addr, "192.0.2.1:8443") == 0);
    list_init(&connection->streams);
    list_init(&connection->datagrams);
    task_init(&connection->task, run);
    timer_init(&connection->timer, fired);
    list_append(&fake_connections, &connection->link);
    fake_heard(connection);
    return connection;
}

static void fake_end(struct quic_connection *connection)
{
    struct list *first;

    while ((first = connection->streams.next) != &connection->streams) {
        struct fake_stream *fake = container_of(first, struct fake_stream, link);

        fake->reason = REASON_TUNNEL_LOST;
        fake->over = true;
        if (fake->announced) {
            fake_close_stream(fake);
        } else {
            fake->closed = true;
            list_remove(&fake->link);
            if (fake->other)
                fake->other->other = NULL;
            fake_free(&fake->stream);
        }
    }
    connection->events->closed(connection, &connection->closing);
    while ((first = list_pop(&connection->datagrams)))
        mem_free(container_of(first, struct fake_datagram, link));
    if (connection->other)
        connection->other->other = NULL;
    if (newest_client == connection)
        newest_client = NULL;
    if (newest_server == connection)
        newest_server = NULL;
    timer_stop(&connection->worker->timers, &connection->timer);
    task_cancel(&connection->task);
    list_remove(&connection->link);
    mem_free(connection);
}

static void fake_run(struct task *task)
{
    struct quic_connection *connection = container_of(task, struct quic_connection, task);
    struct list *at, *next;

    if (connection->closed) {
        fake_end(connection);
        return;
    }
    if (connection->ready_due) {
        connection->ready_due = false;
        timer_stop(&connection->worker->timers, &connection->timer);
        connection->events->ready(connection);
    }
    for (at = connection->streams.next; at != &connection->streams; at = next) {
        next = at->next;
        fake_deliver(container_of(at, struct fake_stream, link));
        fake_tell(container_of(at, struct fake_stream, link));
    }
    while (!connection->closed && (at = list_pop(&connection->datagrams))) {
        struct fake_datagram *datagram = container_of(at, struct fake_datagram, link);

        connection->events->datagram(connection, datagram->data, datagram->length);
        mem_free(datagram);
    }
}

static void fake_close(struct quic_connection *connection, const struct quic_closing *closing)
{
    if (connection->closed)
        return;
    connection->closed = true;
    connection->closing = *closing;
    fake_wake(connection);
}

void quic_close(struct quic_connection *connection, enum reason reason, uint64_t code,
                const char *text)
{
    struct quic_closing closing = {.reason = reason, .code = code, .application = true};

    if (connection->closed)
        return;
    snprintf(closing.text, sizeof(closing.text), "%s", text);
    if (fake_reaches(connection)) {
        struct quic_closing heard = closing;

        heard.reason = REASON_PEER_CLOSED;
        heard.by_peer = true;
        fake_close(connection->other, &heard);
    }
    fake_close(connection, &closing);
}

static void fake_timed_out(struct timer *timer)
{
    struct quic_connection *connection = container_of(timer, struct quic_connection, timer);

    fake_close(connection, &(struct quic_closing){.reason = REASON_HANDSHAKE_TIMEOUT});
}

static bool fake_meet(struct quic_connection *client)
{
    struct quic_endpoint *endpoint = fake_endpoint;
    struct quic_connection *server;

    if (!endpoint || endpoint->refusing)
        return false;
    server = fake_new(client->worker, fake_run, fake_timed_out);
    server->identity = fake_identity;
    if (!endpoint->acceptor.accept(endpoint->acceptor.context, server)) {
        list_remove(&server->link);
        mem_free(server);
        return false;
    }
    server->other = client;
    client->other = server;
    client->ready_due = server->ready_due = true;
    newest_server = server;
    fake_wake(server);
    fake_wake(client);
    return true;
}

struct quic_connection *quic_connect(struct worker *worker, const struct quic_dial *dial,
                                     const struct quic_events *events, void *owner, int *error)
{
    struct quic_connection *client = fake_new(worker, fake_run, fake_timed_out);

    dials++;
    client->addr = dial->peer;
    client->events = events;
    client->owner = owner;
    newest_client = client;
    if (!fake_meet(client))
        must(timer_set(&worker->timers, &client->timer,
                       worker->now_ns + dial->config.handshake_timeout_ns) == 0);
    return client;
}

int quic_rebind(struct quic_connection *connection)
{
    return 0;
}

void quic_own(struct quic_connection *connection, const struct quic_events *events, void *owner)
{
    connection->events = events;
    connection->owner = owner;
}

void *quic_owner(const struct quic_connection *connection)
{
    return connection->owner;
}

void quic_peer_addr(const struct quic_connection *connection, struct addr *addr)
{
    *addr = connection->addr;
}

const struct identity *quic_peer_identity(const struct quic_connection *connection)
{
    return connection->identity;
}

void quic_ping(struct quic_connection *connection)
{
    if (!fake_reaches(connection))
        return;
    fake_heard(connection);
    fake_heard(connection->other);
}

void quic_stats(const struct quic_connection *connection, struct quic_stats *stats)
{
    *stats = (struct quic_stats){.smoothed_rtt_ns = 1000000,
                                 .pto_ns = 10000000,
                                 .last_heard_ns = connection->heard_ns,
                                 .streams = connection->stream_count};
}

/* ---- datagrams ---- */

uint32_t quic_datagram_room(const struct quic_connection *connection)
{
    return fake_datagram_room;
}

int quic_datagram_send(struct quic_connection *connection, const uint8_t *head,
                       uint32_t head_length, const uint8_t *data, uint32_t length)
{
    struct fake_datagram *datagram;

    if (head_length + length > fake_datagram_room)
        return -EMSGSIZE;
    if (!fake_reaches(connection))
        return 0;
    datagram = mem_new(sizeof(*datagram) + head_length + length);
    must(datagram);
    memcpy(datagram->data, head, head_length);
    if (length)
        memcpy(datagram->data + head_length, data, length);
    datagram->length = head_length + length;
    list_append(&connection->other->datagrams, &datagram->link);
    fake_heard(connection->other);
    fake_wake(connection->other);
    return 0;
}

/* ---- endpoints ---- */

static void fake_endpoint_idle(struct task *task)
{
    struct quic_endpoint *endpoint = container_of(task, struct quic_endpoint, task);
    quic_idle_fn *idle = endpoint->idle;
    void *context = endpoint->context;

    mem_free(endpoint);
    idle(context);
}

struct quic_port {
    struct addr addr;
};

struct quic_port *quic_port_bind(struct os *os, const struct addr *addr, uint32_t workers,
                                 int *error)
{
    struct quic_port *port = mem_new(sizeof(*port));

    must(port);
    port->addr = *addr;
    *error = 0;
    return port;
}

void quic_port_addr(const struct quic_port *port, struct addr *addr)
{
    *addr = port->addr;
}

void quic_port_free(struct quic_port **port)
{
    mem_free(*port);
    *port = NULL;
}

struct quic_endpoint *quic_listen(struct worker *worker, const struct addr *addr,
                                  const struct quic_acceptor *acceptor, int *error)
{
    struct quic_endpoint *endpoint = mem_new(sizeof(*endpoint));

    must(endpoint && !fake_endpoint);
    endpoint->worker = worker;
    endpoint->addr = *addr;
    endpoint->acceptor = *acceptor;
    task_init(&endpoint->task, fake_endpoint_idle);
    fake_endpoint = endpoint;
    return endpoint;
}

void quic_endpoint_addr(const struct quic_endpoint *endpoint, struct addr *addr)
{
    *addr = endpoint->addr;
}

void quic_endpoint_change(struct quic_endpoint *endpoint, const struct quic_config *config,
                          struct tls_context *tls)
{
}

void quic_endpoint_refuse_new(struct quic_endpoint *endpoint)
{
    endpoint->refusing = true;
}

void quic_endpoint_stop(struct quic_endpoint *endpoint, quic_idle_fn *idle, void *context)
{
    fake_endpoint = NULL;
    endpoint->idle = idle;
    endpoint->context = context;
    worker_defer(endpoint->worker, &endpoint->task);
}

/* ---- the test's side ---- */

void fake_quic_cut(struct quic_connection *connection, bool cut)
{
    connection->cut = cut;
    if (connection->other)
        connection->other->cut = cut;
    fake_wake(connection);
    fake_wake(connection->other);
}

struct quic_connection *fake_quic_client(void)
{
    return newest_client;
}

struct quic_connection *fake_quic_server(void)
{
    return newest_server;
}

uint32_t fake_quic_connections(void)
{
    uint32_t count = 0;

    for (struct list *at = fake_connections.next; at != &fake_connections; at = at->next)
        count++;
    return count;
}

uint32_t fake_quic_dials(void)
{
    return dials;
}
