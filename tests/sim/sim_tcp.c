/* TCP: connections as two bounded pipes whose bytes, FIN and RST arrive after a delay, in order. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/kernel.h"

#define RETRANSMIT_NS (200 * SIM_MS)

enum { SYN_ATTEMPTS = 6, PIPE_MIN_BITS = 11, PIPE_BITS = 7 };

static struct sim_link *link_of(struct sim_socket *from)
{
    return sim_link(from->host, from->mate->host);
}

/* ---- segments ---- */
/* When what is sent now arrives: never before what was sent earlier; a lost one comes late. */
static uint64_t arrival_ns(struct sim_socket *from)
{
    struct sim *sim = from->host->sim;
    struct sim_link *link = link_of(from);
    uint64_t at = sim->now_ns + sim_delay(sim, link);

    if (sim_chance(sim, link->weather.loss))
        at += RETRANSMIT_NS;
    if (at < from->out.last_ns)
        at = from->out.last_ns;
    return from->out.last_ns = at;
}

static void reset_arrived(struct sim *sim, void *subject, uint64_t detail)
{
    struct sim_socket *socket = subject;

    if (sim_link(socket->mate->host, socket->host)->cut) {
        sim_schedule(sim, sim->now_ns + RETRANSMIT_NS, reset_arrived, socket, 0);
        return;
    }
    if (socket->state == SIM_DEAD)
        return;
    sim_trace(sim, "RST arrives", socket->host->index, (uint64_t)socket->fd, 0);
    socket->error = socket->mate->out.fin_arrived ? EPIPE : ECONNRESET;
    if (socket->state == SIM_CONNECTING)
        socket->error = ECONNREFUSED;
    socket->state = SIM_DEAD;
    socket->out.cut = true;
    sim_socket_wake(socket);
}

static void reset_send(struct sim_socket *from)
{
    struct sim *sim = from->host->sim;

    sim_schedule(sim, sim->now_ns + sim_delay(sim, link_of(from)), reset_arrived, from->mate, 0);
}

/* Bytes that come to a socket whose owner has closed it are answered with RST. */
static bool segment_refused(struct sim_socket *to)
{
    if (!to->released)
        return false;
    if (to->state != SIM_DEAD)
        reset_send(to);
    to->state = SIM_DEAD;
    return true;
}

static void segment_arrived(struct sim *sim, void *subject, uint64_t end)
{
    struct sim_socket *from = subject, *to = from->mate;

    if (from->out.cut || to->state == SIM_DEAD)
        return;
    if (link_of(from)->cut) {
        sim_schedule(sim, sim->now_ns + RETRANSMIT_NS, segment_arrived, from, end);
        return;
    }
    if (segment_refused(to))
        return;
    if (end > from->out.arrived)
        from->out.arrived = end;
    sim_socket_wake(to);
}

static void fin_arrived(struct sim *sim, void *subject, uint64_t end)
{
    struct sim_socket *from = subject, *to = from->mate;

    if (from->out.cut || to->state == SIM_DEAD)
        return;
    if (link_of(from)->cut || from->out.arrived < end) {
        sim_schedule(sim, sim->now_ns + RETRANSMIT_NS, fin_arrived, from, end);
        return;
    }
    sim_trace(sim, "FIN arrives", to->host->index, end, 0);
    from->out.fin_arrived = true;
    sim_socket_wake(to);
}

static void fin_send(struct sim_socket *socket)
{
    if (socket->out.fin_sent)
        return;
    socket->out.fin_sent = true;
    sim_schedule(socket->host->sim, arrival_ns(socket), fin_arrived, socket, socket->out.written);
}

void sim_tcp_abort(struct sim_socket *socket)
{
    if (socket->state != SIM_CONNECTED)
        return;
    sim_trace(socket->host->sim, "RST sent", socket->host->index, (uint64_t)socket->fd, 0);
    if (sim_chance(socket->host->sim, 700)) { /* what is under way is lost, or arrives before it */
        socket->out.cut = true;
        reset_send(socket);
    } else {
        sim_schedule(socket->host->sim, arrival_ns(socket), reset_arrived, socket->mate, 0);
    }
    socket->state = SIM_DEAD;
    sim_socket_wake(socket);
}

/* ---- bytes ---- */
static size_t parts_length(const struct iovec *parts, size_t count)
{
    size_t length = 0;

    for (size_t i = 0; i < count; i++)
        length += parts[i].iov_len;
    return length;
}

static void pipe_copy_in(struct sim_pipe *pipe, const uint8_t *from, size_t length)
{
    while (length) {
        size_t at = pipe->written & (pipe->capacity - 1), take = pipe->capacity - at;

        take = take < length ? take : length;
        memcpy(pipe->bytes + at, from, take);
        pipe->written += take;
        from += take;
        length -= take;
    }
}

static void pipe_copy_out(struct sim_pipe *pipe, uint8_t *to, size_t length)
{
    while (length) {
        size_t at = pipe->taken & (pipe->capacity - 1), take = pipe->capacity - at;

        take = take < length ? take : length;
        memcpy(to, pipe->bytes + at, take);
        pipe->taken += take;
        to += take;
        length -= take;
    }
}

static int send_error(struct sim_socket *socket)
{
    int error = socket->error ? socket->error : EPIPE;

    socket->error = 0;
    return -error;
}

static size_t some_of(struct sim *sim, size_t length)
{
    return length > 1 && sim_chance(sim, 100) ? 1 + sim_random(sim, length) : length;
}

int sim_tcp_send(struct sim_socket *socket, const struct iovec *parts, size_t count, size_t skip)
{
    struct sim *sim = socket->host->sim;
    struct sim_pipe *pipe = &socket->out;
    size_t length = parts_length(parts, count) - skip, left;

    if (socket->state == SIM_CONNECTING)
        return -EAGAIN;
    if (socket->state != SIM_CONNECTED || pipe->fin_sent || socket->error)
        return send_error(socket);
    if (pipe->written - pipe->taken == pipe->capacity) {
        socket->blocked = true;
        return -EAGAIN;
    }
    if (!pipe->bytes)
        pipe->bytes = sim_alloc(pipe->capacity);
    if (length > pipe->capacity - (pipe->written - pipe->taken))
        length = pipe->capacity - (pipe->written - pipe->taken);
    length = left = some_of(sim, length);
    for (size_t i = 0; i < count && left; i++) {
        size_t take = parts[i].iov_len - (skip < parts[i].iov_len ? skip : parts[i].iov_len);
        size_t from = parts[i].iov_len - take;

        skip -= from;
        take = take < left ? take : left;
        pipe_copy_in(pipe, (const uint8_t *)parts[i].iov_base + from, take);
        left -= take;
    }
    if (length)
        sim_schedule(sim, arrival_ns(socket), segment_arrived, socket, pipe->written);
    return (int)length;
}

static void window_opened(struct sim *sim, void *subject, uint64_t detail)
{
    sim_socket_wake(subject);
}

static void window_open(struct sim_socket *reader)
{
    struct sim_socket *writer = reader->mate;
    struct sim *sim = reader->host->sim;

    if (!writer->blocked || writer->out.written - writer->out.taken > writer->out.capacity / 2)
        return;
    writer->blocked = false;
    sim_schedule(sim, sim->now_ns + sim_delay(sim, link_of(reader)), window_opened, writer, 0);
}

uint64_t sim_tcp_waiting(const struct sim_socket *socket)
{
    return socket->mate ? socket->mate->out.arrived - socket->mate->out.taken : 0;
}

int sim_tcp_recv(struct sim_socket *socket, const struct iovec *parts, size_t count)
{
    size_t length = parts_length(parts, count), waiting = sim_tcp_waiting(socket), left;

    if (!waiting) {
        if (socket->error)
            return send_error(socket);
        if (socket->read_closed || socket->state == SIM_DEAD)
            return 0;
        if (socket->state != SIM_CONNECTED)
            return -ENOTCONN;
        return socket->mate->out.fin_arrived ? 0 : -EAGAIN;
    }
    length = left = some_of(socket->host->sim, length < waiting ? length : waiting);
    for (size_t i = 0; i < count && left; i++) {
        size_t take = parts[i].iov_len < left ? parts[i].iov_len : left;

        pipe_copy_out(&socket->mate->out, parts[i].iov_base, take);
        left -= take;
    }
    window_open(socket);
    return (int)length;
}

/* As the kernel has it: as many bytes as are asked for, or half of what there is room for. */
static bool is_readable(const struct sim_socket *socket)
{
    uint64_t waiting = sim_tcp_waiting(socket), most = socket->mate->out.capacity / 2;

    return waiting && waiting >= (socket->least < most ? socket->least : most);
}

uint32_t sim_tcp_poll(const struct sim_socket *socket)
{
    uint32_t mask = socket->error ? POLLERR : 0;

    switch (socket->state) {
    case SIM_IDLE:
        return mask | POLLHUP | POLLOUT;
    case SIM_LISTENING:
        return list_empty(&socket->pending) ? mask : mask | POLLIN;
    case SIM_CONNECTING:
        return mask;
    case SIM_DEAD:
        return mask | POLLIN | POLLOUT | POLLHUP | POLLRDHUP;
    case SIM_CONNECTED:
        break;
    }
    if (socket->mate->out.fin_arrived || socket->read_closed)
        mask |= POLLIN | POLLRDHUP;
    if (socket->mate->out.fin_arrived && socket->out.fin_sent)
        mask |= POLLHUP;
    if (is_readable(socket))
        mask |= POLLIN;
    if (socket->out.fin_sent || socket->out.written - socket->out.taken < socket->out.capacity)
        mask |= POLLOUT;
    return mask;
}

int sim_tcp_shutdown(struct sim_socket *socket, int how)
{
    if (socket->state != SIM_CONNECTED)
        return -ENOTCONN;
    if (how != SHUT_RD)
        fin_send(socket);
    if (how != SHUT_WR)
        socket->read_closed = true;
    sim_socket_wake(socket);
    return 0;
}

/* ---- making and ending connections ---- */
static void connect_failed(struct sim *sim, void *subject, uint64_t error)
{
    struct sim_socket *socket = subject;

    if (socket->state != SIM_CONNECTING)
        return;
    socket->state = SIM_DEAD;
    socket->error = (int)error;
    sim_socket_wake(socket);
}

static void connected(struct sim *sim, void *subject, uint64_t detail)
{
    struct sim_socket *client = subject;

    if (client->state != SIM_CONNECTING) {
        if (client->released)
            reset_send(client);
        return;
    }
    client->state = SIM_CONNECTED;
    sim_socket_wake(client);
}

static void pipe_init(struct sim *sim, struct sim_pipe *pipe)
{
    pipe->capacity = 1u << (PIPE_MIN_BITS + (sim->options.calm ? 5 : sim_random(sim, PIPE_BITS)));
}

static void accept_queue(struct sim_socket *listener, struct sim_socket *client)
{
    struct sim *sim = listener->host->sim;
    struct sim_socket *server = sim_socket_new(listener->host, SIM_TCP, listener->family);

    server->mate = client;
    client->mate = server;
    server->state = SIM_CONNECTED;
    server->local = client->peer;
    server->peer = client->local;
    pipe_init(sim, &server->out);
    pipe_init(sim, &client->out);
    list_append(&listener->pending, &server->accept_link);
    listener->pending_count++;
    sim_schedule(sim, arrival_ns(server), connected, client, 0);
    sim_socket_wake(listener);
}

static void syn_arrived(struct sim *sim, void *subject, uint64_t detail)
{
    struct sim_socket *client = subject, *listener;
    struct sim_host *host = sim_route(client->host, &client->peer);
    struct sim_link *link = sim_link(client->host, host);

    if (client->state != SIM_CONNECTING)
        return;
    listener = sim_bound(host, SIM_TCP, &client->peer, &client->local);
    if (host->syns < SIM_SYNS)
        host->syn_ns[host->syns] = sim->now_ns;
    host->syns++;
    sim_trace(sim, "SYN arrives", host->index, addr_port(&client->peer), listener != NULL);
    if (!listener && !link->cut) {
        sim_schedule(sim, sim->now_ns + sim_delay(sim, link), connect_failed, client, ECONNREFUSED);
    } else if (link->cut || sim_chance(sim, link->weather.loss) || listener->black_hole ||
               listener->pending_count >= listener->backlog) {
        if (++client->attempts == SYN_ATTEMPTS)
            connect_failed(sim, client, ETIMEDOUT);
        else
            sim_schedule(sim, sim->now_ns + (SIM_SECOND << (client->attempts - 1)), syn_arrived,
                         client, 0);
    } else {
        accept_queue(listener, client);
    }
}

int sim_tcp_connect(struct sim_socket *socket, const struct addr *peer)
{
    struct sim *sim = socket->host->sim;
    struct sim_host *to = sim_route(socket->host, peer);

    if (socket->state != SIM_IDLE)
        return -EISCONN;
    if (!socket->local.length) {
        sim_source(socket->host, peer, &socket->local);
        if (!socket->local.length)
            return -ENETUNREACH;
        addr_set_port(&socket->local, sim_ephemeral(socket->host));
    }
    socket->peer = *peer;
    socket->state = SIM_CONNECTING;
    if (to)
        sim_schedule(sim, sim->now_ns + sim_delay(sim, sim_link(socket->host, to)), syn_arrived,
                     socket, 0);
    else
        sim_schedule(sim, sim->now_ns + 3 * SIM_SECOND, connect_failed, socket, EHOSTUNREACH);
    return 0;
}

int sim_tcp_listen(struct sim_socket *socket, int backlog)
{
    if (socket->state != SIM_IDLE || !socket->local.length)
        return -EINVAL;
    socket->state = SIM_LISTENING;
    socket->backlog = backlog > 0 ? (uint32_t)backlog : 1;
    list_append(&socket->host->bound, &socket->bound_link);
    return 0;
}

struct sim_socket *sim_tcp_accept(struct sim_socket *listener)
{
    struct list *node = list_pop(&listener->pending);

    if (!node)
        return NULL;
    listener->pending_count--;
    return container_of(node, struct sim_socket, accept_link);
}

void sim_tcp_release(struct sim_socket *socket)
{
    struct sim_socket *waiting;

    while ((waiting = sim_tcp_accept(socket))) {
        sim_tcp_abort(waiting);
        waiting->released = true;
    }
    if (socket->state != SIM_CONNECTED) {
        socket->state = SIM_DEAD;
    } else if (socket->linger_zero || sim_tcp_waiting(socket)) {
        sim_tcp_abort(socket);
    } else {
        fin_send(socket);
    }
    if (socket->mate && socket->mate->released) {
        free(socket->mate->out.bytes);
        free(socket->out.bytes);
        socket->mate->out.bytes = socket->out.bytes = NULL;
    }
}
