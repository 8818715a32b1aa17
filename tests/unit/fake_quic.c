#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/mem.h"
#include "tests/unit/fake_quic_parts.h"

struct fake_datagram {
    struct list link;
    uint32_t length;
    uint8_t data[];
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

void fake_wake(struct quic_connection *connection)
{
    if (connection)
        worker_defer(connection->worker, &connection->task);
}

bool fake_reaches(const struct quic_connection *connection)
{
    return connection->other && !connection->cut && !connection->closed;
}

void fake_heard(struct quic_connection *connection)
{
    connection->heard_ns = connection->worker->now_ns + 1;
}

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

    while ((first = connection->streams.next) != &connection->streams)
        fake_lose(container_of(first, struct fake_stream, link));
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
