#include "core/udp_end.h"

#include <errno.h>

#include "core/mem.h"
#include "core/sock.h"

enum { CONTROL_SIZE = CMSG_SPACE(sizeof(int)) * 2 }; /* segment size and ECN */

struct udp_end {
    struct datagram_end end;
    struct worker *worker;
    struct udp_sender *sender; /* NULL once it is idle */
    int fd;
    bool stopped, closed;
    enum reason reason;
    struct msghdr message;
    struct op op;
    struct task task;
};

static void udp_end_stop_for(struct udp_end *end, enum reason reason);

/* What a connected socket says about datagrams sent earlier. */
static bool error_is_icmp(int error)
{
    static const int errors[] = {ECONNREFUSED, EHOSTUNREACH, EHOSTDOWN, ENETUNREACH, ENETDOWN,
                                 EMSGSIZE,     EPROTO,       EACCES,    ENOPROTOOPT, ENONET};

    for (size_t i = 0; i < ARRAY_COUNT(errors); i++)
        if (errors[i] == -error)
            return true;
    return false;
}

static void udp_end_receive(struct udp_end *end)
{
    ring_recvmsg_multi(end->worker->ring, &end->op, end->fd, &end->worker->udp_group,
                       &end->message);
}

/* The listener may stop the end at any datagram; the rest is then dropped. */
static void udp_end_deliver(struct udp_end *end, const struct datagram_in *in)
{
    uint32_t segment = in->segment ? in->segment : in->length;
    uint32_t offset = 0;

    do {
        uint32_t left = in->length - offset;
        uint32_t length = left < segment ? left : segment;

        end->end.events->received(&end->end, in->data + offset, length);
        offset += length;
    } while (offset < in->length && !end->stopped);
}

static void udp_end_failed(struct udp_end *end, int error)
{
    if (error_is_icmp(error))
        counter_add(end->worker->counters, COUNTER_UDP_SEND_FAILED, 1);
    else if (error != -EAGAIN && error != -EINTR)
        udp_end_stop_for(end, reason_of_errno(error));
}

static void udp_end_received(struct op *op, struct op_result result)
{
    struct udp_end *end = container_of(op, struct udp_end, op);
    struct datagram_in in;

    if (result.chunk) {
        if (ring_datagram(op, result, &in) && !end->stopped)
            udp_end_deliver(end, &in);
        chunk_drop(result.chunk);
    } else if (result.res < 0 && result.res != -ENOBUFS && !end->stopped) {
        udp_end_failed(end, result.res);
    }
    if (!result.final)
        return;
    if (end->stopped)
        worker_defer(end->worker, &end->task);
    else if (result.res == -ENOBUFS)
        worker_wait_for_chunks(end->worker, op);
    else
        udp_end_receive(end);
}

/* ---- life ---- */

/* Frees the end, if its listener does so in closed(). */
static void udp_end_settle(struct task *task)
{
    struct udp_end *end = container_of(task, struct udp_end, task);

    if (end->op.busy || end->sender || end->closed)
        return;
    end->closed = true;
    end->worker->os->close(end->worker->os, end->fd);
    end->end.events->closed(&end->end, end->reason);
}

static void udp_end_sender_idle(void *owner)
{
    struct udp_end *end = owner;

    udp_sender_free(&end->sender);
    worker_defer(end->worker, &end->task);
}

static void udp_end_stop_for(struct udp_end *end, enum reason reason)
{
    if (end->stopped)
        return;
    end->stopped = true;
    end->reason = reason;
    ring_cancel(end->worker->ring, &end->op);
    udp_sender_stop(end->sender, udp_end_sender_idle, end);
}

static struct udp_end *udp_end_of(struct datagram_end *end)
{
    return container_of(end, struct udp_end, end);
}

static void udp_end_send(struct datagram_end *datagram_end, const uint8_t *data, uint32_t length)
{
    struct udp_end *end = udp_end_of(datagram_end);

    if (!end->stopped)
        udp_sender_send(end->sender, NULL, NULL, data, length);
}

static void udp_end_stop(struct datagram_end *end, enum reason reason)
{
    udp_end_stop_for(udp_end_of(end), reason);
}

static void udp_end_free(struct datagram_end *datagram_end)
{
    struct udp_end *end = udp_end_of(datagram_end);

    must(end->closed);
    mem_free(end);
}

static const struct datagram_ops udp_end_ops = {
    .send = udp_end_send,
    .stop = udp_end_stop,
    .free = udp_end_free,
};

static int udp_end_open(struct udp_end *end, const struct addr *peer)
{
    end->fd = sock_udp_connect(end->worker->os, peer);
    if (end->fd < 0)
        return end->fd;
    sock_udp_let_fragment(end->worker->os, end->fd, addr_family(peer));
    end->sender = udp_sender_new(end->worker, end->fd);
    if (end->sender)
        return 0;
    end->worker->os->close(end->worker->os, end->fd);
    return -ENOMEM;
}

struct datagram_end *udp_end_new(struct worker *worker, const struct addr *peer, int *error)
{
    struct udp_end *end = mem_new(sizeof(*end));

    *error = -ENOMEM;
    if (!end)
        return NULL;
    end->end.ops = &udp_end_ops;
    end->worker = worker;
    *error = udp_end_open(end, peer);
    if (*error) {
        mem_free(end);
        return NULL;
    }
    end->message.msg_controllen = CONTROL_SIZE;
    op_init(&end->op, udp_end_received);
    task_init(&end->task, udp_end_settle);
    udp_end_receive(end);
    return &end->end;
}
