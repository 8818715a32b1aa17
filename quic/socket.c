#include "quic/socket.h"

#include <errno.h>
#include <netinet/udp.h>
#include <string.h>

#include "core/mem.h"
#include "core/sock.h"

enum { RECEIVE_RETRY_NS = 10000000, RECEIVE_CONTROL = 128, BATCHES_SPARE = 64 };

struct quic_socket {
    /* Set by socket_open. */
    struct worker *worker;
    int fd;
    bool borrowed; /* fd is somebody else's to close */
    struct addr local;
    socket_received_fn *received;
    void *owner;
    /* Changes while open. */
    struct op receive_op;
    struct msghdr receive_message;
    struct timer receive_retry;
    struct list spare;
    uint32_t spare_count, sending;
    bool segments; /* the device takes UDP_SEGMENT */
    /* The end. */
    bool stopping;
    socket_idle_fn *idle;
    void *idle_owner;
    struct task end_task;
};

static void socket_arm(struct quic_socket *socket)
{
    socket->receive_message = (struct msghdr){.msg_namelen = sizeof(struct sockaddr_storage),
                                              .msg_controllen = RECEIVE_CONTROL};
    ring_recvmsg_multi(socket->worker->ring, &socket->receive_op, socket->fd,
                       &socket->worker->udp_group, &socket->receive_message);
}

static void socket_check_end(struct quic_socket *socket)
{
    if (socket->stopping && !socket->receive_op.busy && !socket->sending)
        worker_defer(socket->worker, &socket->end_task);
}

/* An error of the path (ICMP) is told once and gone; any other may stay, and must not spin. */
static void socket_receive_failed(struct quic_socket *socket, int error)
{
    uint64_t at_ns = socket->worker->now_ns + RECEIVE_RETRY_NS;

    if (error == -ENOBUFS)
        worker_wait_for_chunks(socket->worker, &socket->receive_op);
    else if (error == -EAGAIN || error == -ECONNREFUSED || error == -EHOSTUNREACH ||
             error == -ENETUNREACH ||
             timer_set(&socket->worker->timers, &socket->receive_retry, at_ns) < 0)
        socket_arm(socket);
}

static void socket_datagrams_received(struct op *op, struct op_result result)
{
    struct quic_socket *socket = container_of(op, struct quic_socket, receive_op);
    struct datagram_in in;

    if (result.res >= 0 && result.chunk && !socket->stopping) {
        if (ring_datagram(op, result, &in))
            socket->received(socket->owner, socket, &in);
        else
            counter_add(socket->worker->counters, COUNTER_PACKETS_INVALID, 1);
    }
    if (result.chunk)
        chunk_drop(result.chunk);
    if (!result.final)
        return;
    if (socket->stopping)
        socket_check_end(socket);
    else if (result.res >= 0)
        socket_arm(socket);
    else
        socket_receive_failed(socket, result.res);
}

static void socket_receive_retried(struct timer *timer)
{
    socket_arm(container_of(timer, struct quic_socket, receive_retry));
}

static void socket_close_descriptor(struct quic_socket *socket)
{
    if (!socket->borrowed)
        socket->worker->os->close(socket->worker->os, socket->fd);
}

static void socket_ended(struct task *task)
{
    struct quic_socket *socket = container_of(task, struct quic_socket, end_task);
    socket_idle_fn *idle = socket->idle;
    void *owner = socket->idle_owner;
    struct list *link;

    while ((link = list_pop(&socket->spare)))
        mem_free(container_of(link, struct batch, link));
    socket_close_descriptor(socket);
    mem_free(socket);
    idle(owner);
}

static int socket_descriptor(const struct quic_socket_options *options)
{
    if (options->bound)
        return options->fd;
    if (options->bind)
        return sock_udp_bind(options->worker->os, options->bind, options->packet_info, false);
    return sock_udp_connect(options->worker->os, options->peer);
}

struct quic_socket *socket_open(const struct quic_socket_options *options, int *error)
{
    struct os *os = options->worker->os;
    struct quic_socket *socket = mem_new(sizeof(*socket));

    *error = -ENOMEM;
    if (!socket)
        return NULL;
    *socket = (struct quic_socket){.worker = options->worker,
                                   .borrowed = options->bound,
                                   .received = options->received,
                                   .owner = options->owner,
                                   .segments = true};
    socket->fd = *error = socket_descriptor(options);
    if (socket->fd < 0)
        goto free_socket;
    *error = os->local_addr(os, socket->fd, &socket->local);
    if (*error < 0)
        goto close_descriptor;
    list_init(&socket->spare);
    op_init(&socket->receive_op, socket_datagrams_received);
    timer_init(&socket->receive_retry, socket_receive_retried);
    task_init(&socket->end_task, socket_ended);
    socket_arm(socket);
    *error = 0;
    return socket;

close_descriptor:
    socket_close_descriptor(socket);
free_socket:
    mem_free(socket);
    return NULL;
}

void socket_stop(struct quic_socket *socket, socket_idle_fn *idle, void *owner)
{
    must(!socket->stopping);
    socket->stopping = true;
    socket->idle = idle;
    socket->idle_owner = owner;
    timer_stop(&socket->worker->timers, &socket->receive_retry);
    ring_cancel(socket->worker->ring, &socket->receive_op);
    socket_check_end(socket);
}

const struct addr *socket_local(const struct quic_socket *socket)
{
    return &socket->local;
}

/* ---- sending ---- */

static void batch_sent(struct op *op, struct op_result result);

/* What a peak needed goes back to the system. */
static void batch_spare(struct batch *batch)
{
    struct quic_socket *socket = batch->socket;

    if (socket->spare_count == BATCHES_SPARE) {
        mem_free(batch);
        return;
    }
    list_append(&socket->spare, &batch->link);
    socket->spare_count++;
}

static struct batch *batch_new(struct quic_socket *socket)
{
    struct list *link = list_pop(&socket->spare);
    struct batch *batch = link ? container_of(link, struct batch, link) : mem_raw(sizeof(*batch));

    if (!batch)
        return NULL;
    if (link)
        socket->spare_count--;
    memset(batch, 0, offsetof(struct batch, op));
    batch->socket = socket;
    list_init(&batch->link);
    op_init(&batch->op, batch_sent);
    return batch;
}

struct batch *batch_take(struct quic_socket *socket, enum pool_size size)
{
    struct batch *batch = batch_new(socket);

    if (!batch)
        return NULL;
    batch->chunk = chunk_take(socket->worker->pools, size);
    if (batch->chunk)
        return batch;
    counter_add(socket->worker->counters, COUNTER_POOL_EMPTY, 1);
    batch_spare(batch);
    return NULL;
}

void batch_cancel(struct batch *batch)
{
    chunk_drop(batch->chunk);
    batch_spare(batch);
}

static void *batch_control(struct batch *batch, int level, int type, size_t size)
{
    struct cmsghdr *header =
        (struct cmsghdr *)(void *)(batch->control + batch->message.msg_controllen);

    must(batch->message.msg_controllen + CMSG_SPACE(size) <= BATCH_CONTROL);
    memset(header, 0, CMSG_SPACE(size));
    header->cmsg_level = level;
    header->cmsg_type = type;
    header->cmsg_len = CMSG_LEN(size);
    batch->message.msg_control = batch->control;
    batch->message.msg_controllen += CMSG_SPACE(size);
    return CMSG_DATA(header);
}

static void batch_control_source(struct batch *batch)
{
    if (addr_family(&batch->local) == AF_INET) {
        struct in_pktinfo info = {.ipi_spec_dst = batch->local.in4.sin_addr};

        memcpy(batch_control(batch, IPPROTO_IP, IP_PKTINFO, sizeof(info)), &info, sizeof(info));
    } else if (addr_family(&batch->local) == AF_INET6) {
        struct in6_pktinfo info = {.ipi6_addr = batch->local.in6.sin6_addr};

        memcpy(batch_control(batch, IPPROTO_IPV6, IPV6_PKTINFO, sizeof(info)), &info, sizeof(info));
    }
}

static void batch_control_ecn(struct batch *batch)
{
    bool six = addr_family(&batch->socket->local) == AF_INET6;
    int value = batch->ecn;

    if (value)
        memcpy(batch_control(batch, six ? IPPROTO_IPV6 : IPPROTO_IP, six ? IPV6_TCLASS : IP_TOS,
                             sizeof(value)),
               &value, sizeof(value));
}

static void batch_submit(struct batch *batch)
{
    struct quic_socket *socket = batch->socket;
    uint16_t segment = (uint16_t)batch->segment;

    batch->part = (struct iovec){batch->chunk->data + batch->start, batch->length};
    batch->message = (struct msghdr){.msg_iov = &batch->part, .msg_iovlen = 1};
    if (batch->peer.length) {
        batch->message.msg_name = &batch->peer.sa;
        batch->message.msg_namelen = batch->peer.length;
    }
    if (batch->segment < batch->length)
        memcpy(batch_control(batch, SOL_UDP, UDP_SEGMENT, sizeof(segment)), &segment,
               sizeof(segment));
    batch_control_source(batch);
    batch_control_ecn(batch);
    socket->sending++;
    ring_sendmsg(socket->worker->ring, &batch->op, socket->fd, &batch->message, 0);
}

static void batch_submit_part(const struct batch *whole, uint32_t start)
{
    struct batch *part = batch_new(whole->socket);
    uint32_t left = whole->length - start;

    if (!part) {
        counter_add(whole->socket->worker->counters, COUNTER_UDP_SEND_FAILED, 1);
        return;
    }
    part->chunk = chunk_share(whole->chunk);
    part->start = whole->start + start;
    part->length = part->segment = left < whole->segment ? left : whole->segment;
    part->peer = whole->peer;
    part->local = whole->local;
    part->ecn = whole->ecn;
    batch_submit(part);
}

static void batch_finish(struct batch *batch)
{
    struct quic_socket *socket = batch->socket;

    chunk_drop(batch->chunk);
    if (batch->done)
        batch->done(batch);
    batch_spare(batch);
    socket_check_end(socket);
}

/* Without segmentation in the kernel every datagram is a send of its own; the ring takes them
 * together. */
static void batch_send_apart(struct batch *batch)
{
    for (uint32_t start = 0; start < batch->length; start += batch->segment)
        batch_submit_part(batch, start);
}

/* EIO and EINVAL are what devices without checksum offload answer to UDP_SEGMENT: remembered, and
 * this batch goes again.  Whatever else was refused is loss, which QUIC repairs. */
static void batch_sent(struct op *op, struct op_result result)
{
    struct batch *batch = container_of(op, struct batch, op);
    struct quic_socket *socket = batch->socket;

    socket->sending--;
    if ((result.res == -EIO || result.res == -EINVAL) && batch->segment < batch->length &&
        !socket->stopping) {
        socket->segments = false;
        batch_send_apart(batch);
    } else if (result.res < 0 && result.res != -ECANCELED) {
        counter_add(socket->worker->counters, COUNTER_UDP_SEND_FAILED, 1);
    }
    batch_finish(batch);
}

void batch_send(struct batch *batch)
{
    struct quic_socket *socket = batch->socket;
    uint32_t segments = (batch->length + batch->segment - 1) / batch->segment;

    counter_add(socket->worker->counters, COUNTER_PACKETS_OUT, segments);
    counter_add(socket->worker->counters, COUNTER_BATCHES_OUT, 1);
    if (segments == 1 || socket->segments) {
        batch_submit(batch);
        return;
    }
    /* The whole keeps its last datagram, so that done() comes once the batch is through. */
    for (; batch->length > batch->segment; batch->length -= batch->segment) {
        batch_submit_part(batch, 0);
        batch->start += batch->segment;
    }
    batch_submit(batch);
}
