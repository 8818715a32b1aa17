/* One try of each kind of operation, when it begins and whenever its socket may allow it. */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/uio.h>

#include "tests/sim/kernel.h"

typedef void attempt_fn(struct sim_op *record);

/* What stands in front of a datagram in its chunk, with room as the kernel's layout needs it. */
struct datagram_head {
    struct sim_received in;
    uint32_t offset;
};
enum { KERNEL_HEAD = 16 };

static void end(struct sim_op *record, int res)
{
    sim_op_complete(record, (struct op_result){.res = res, .final = true}, -1);
}

static void wait(struct sim_op *record)
{
    list_remove(&record->link);
    list_append(&record->socket->waiting, &record->link);
}

static void attempt_accept(struct sim_op *record)
{
    struct sim_socket *listener = record->socket;

    while (!list_empty(&listener->pending)) {
        struct sim_socket *accepted =
            container_of(listener->pending.next, struct sim_socket, accept_link);
        int fd = sim_socket_number(accepted);

        if (fd < 0) {
            end(record, fd);
            return;
        }
        must(sim_tcp_accept(listener) == accepted);
        sim_op_complete(record, (struct op_result){.res = fd}, -1);
    }
    wait(record);
}

static void attempt_recv(struct sim_op *record)
{
    struct group *group = record->op->group;
    struct op_result result = {.final = true};
    struct iovec part;
    int id;

    if (!sim_tcp_waiting(record->socket)) {
        result.res = sim_tcp_recv(record->socket, NULL, 0);
        if (result.res == -EAGAIN)
            wait(record);
        else
            end(record, result.res);
        return;
    }
    id = sim_chance(record->socket->host->sim, 5) ? -1
                                                  : sim_group_take(group); /* dry for a moment */
    if (id < 0) {
        end(record, -ENOBUFS);
        return;
    }
    part = (struct iovec){group->slots[id]->data, group->slots[id]->size};
    result.res = sim_tcp_recv(record->socket, &part, 1);
    result.more_waits = sim_tcp_waiting(record->socket) > 0;
    sim_op_complete(record, result, id);
}

static void attempt_recv_now(struct sim_op *record)
{
    const struct msghdr *message = record->op->message;
    struct op_result result = {.final = true};

    result.res = sim_tcp_recv(record->socket, message->msg_iov, message->msg_iovlen);
    result.more_waits = sim_tcp_waiting(record->socket) > 0;
    sim_op_complete(record, result, -1);
}

/* Whether another datagram may follow. */
static bool recvmsg_one(struct sim_op *record)
{
    const struct op *op = record->op;
    struct chunk *chunk;
    struct datagram_head head;
    struct op_result result = {0};
    uint32_t offset =
        KERNEL_HEAD + op->message->msg_namelen + (uint32_t)op->message->msg_controllen;
    int id;

    if (!(sim_udp_poll(record->socket) & (POLLIN | POLLERR))) {
        wait(record);
        return false;
    }
    id = record->socket->error ? -1 : sim_group_take(op->group);
    if (id < 0) {
        int error = record->socket->error ? record->socket->error : ENOBUFS;

        record->socket->error = 0;
        end(record, -error);
        return false;
    }
    chunk = op->group->slots[id];
    head.offset = offset < sizeof(head) ? sizeof(head) : offset;
    must(head.offset < chunk->size);
    result.res = sim_udp_recv(record->socket, chunk->data + head.offset, chunk->size - head.offset,
                              &head.in);
    memcpy(chunk->data, &head, sizeof(head));
    result.res = (int)(head.offset + head.in.length);
    result.final = sim_chance(record->socket->host->sim, 10);
    sim_op_complete(record, result, id);
    return !result.final;
}

static void attempt_recvmsg(struct sim_op *record)
{
    while (recvmsg_one(record))
        ;
}

bool sim_datagram_parse(const struct op *op, struct op_result result, struct datagram_in *in)
{
    struct datagram_head head;

    *in = (struct datagram_in){0};
    if (result.res < (int)sizeof(head) || !result.chunk)
        return false;
    memcpy(&head, result.chunk->data, sizeof(head));
    in->peer = head.in.from;
    in->local = head.in.to;
    in->data = result.chunk->data + head.offset;
    in->length = head.in.length;
    in->segment = head.in.segment < head.in.length ? head.in.segment : 0;
    in->ecn = head.in.ecn;
    return !head.in.truncated;
}

static size_t message_length(const struct msghdr *message)
{
    size_t length = 0;

    for (size_t i = 0; i < message->msg_iovlen; i++)
        length += message->msg_iov[i].iov_len;
    return length;
}

static void send_tcp(struct sim_op *record)
{
    const struct msghdr *message = record->op->message;
    size_t length = message_length(message);
    int sent;

    do {
        sent = sim_tcp_send(record->socket, message->msg_iov, message->msg_iovlen, record->sent);
        if (sent > 0)
            record->sent += (uint64_t)sent;
    } while (sent > 0 && record->sent < length && (record->op->flags & MSG_WAITALL));
    if (sent == -EAGAIN) {
        wait(record);
        return;
    }
    if (sent < 0 && record->sent)
        record->socket->error = -sent;
    end(record, record->sent || sent >= 0 ? (int)record->sent : sent);
}

static void attempt_sendmsg(struct sim_op *record)
{
    if (record->socket->kind == SIM_TCP)
        send_tcp(record);
    else
        end(record, sim_udp_send(record->socket, record->op->message));
}

static void attempt_connect(struct sim_op *record)
{
    struct sim_socket *socket = record->socket;
    int rc = socket->state == SIM_IDLE ? sim_tcp_connect(socket, record->op->peer) : 0;

    if (rc < 0) {
        end(record, rc);
    } else if (socket->state == SIM_CONNECTING) {
        wait(record);
    } else {
        end(record,
            socket->state == SIM_CONNECTED ? 0 : -(socket->error ? socket->error : EISCONN));
        socket->error = 0;
    }
}

static void attempt_poll(struct sim_op *record)
{
    uint32_t mask = sim_socket_poll(record->socket) & (record->op->flags | POLLERR | POLLHUP);

    if (mask)
        end(record, (int)mask);
    else
        wait(record);
}

static void attempt_read(struct sim_op *record)
{
    struct sim_socket *socket = record->socket;

    if (!socket->value) {
        wait(record);
        return;
    }
    must(record->op->flags == sizeof(socket->value));
    memcpy(record->op->buffer, &socket->value, sizeof(socket->value));
    socket->value = 0;
    end(record, sizeof(socket->value));
}

void sim_op_attempt(struct sim_op *record)
{
    static attempt_fn *const kinds[OP_KIND_COUNT] = {
        [OP_ACCEPT_MULTI] = attempt_accept, [OP_RECV] = attempt_recv,
        [OP_RECV_NOW] = attempt_recv_now,   [OP_RECVMSG_MULTI] = attempt_recvmsg,
        [OP_SENDMSG] = attempt_sendmsg,     [OP_CONNECT] = attempt_connect,
        [OP_POLL] = attempt_poll,           [OP_READ] = attempt_read,
    };

    kinds[record->op->kind](record);
}

uint64_t sim_op_seal(const struct op *op)
{
    uint64_t sum = op->message->msg_iovlen;

    for (size_t i = 0; i < op->message->msg_iovlen; i++) {
        const uint8_t *at = op->message->msg_iov[i].iov_base;
        size_t left = op->message->msg_iov[i].iov_len;
        uint64_t word = 0;

        for (; left >= sizeof(word); left -= sizeof(word), at += sizeof(word)) {
            memcpy(&word, at, sizeof(word));
            sum = (sum << 7 | sum >> 57) ^ word;
        }
        word = left;
        memcpy(&word, at, left);
        sum = (sum << 7 | sum >> 57) ^ word;
    }
    return sum;
}
