#include "relay/udp_door.h"

#include <errno.h>

#include "core/sock.h"

enum { CONTROL_SIZE = 128 }; /* room for the control bytes of a receive */

static void udp_door_arm(struct udp_door *door)
{
    ring_recvmsg_multi(door->worker->ring, &door->op, door->fd, &door->worker->udp_group,
                       &door->message);
}

/* Closing needs both: the receive is final, and the sender has nothing in flight. */
static void udp_door_settle(struct udp_door *door)
{
    if (door->closing && door->sender_stopped && !door->op.busy)
        worker_defer(door->worker, &door->task);
}

static void udp_door_told(struct task *task)
{
    struct udp_door *door = container_of(task, struct udp_door, task);

    udp_sender_free(&door->sender);
    door->worker->os->close(door->worker->os, door->fd);
    door->closed(door);
}

static void udp_door_deliver(struct udp_door *door, const struct datagram_in *in)
{
    struct addr local = addr_family(&in->local) == AF_UNSPEC ? door->addr : in->local;
    struct udp_arrival arrival = {.sessions = door->sessions,
                                  .sender = door->sender,
                                  .users = &door->users,
                                  .source = &in->peer,
                                  .local = &local};
    uint32_t segment = in->segment ? in->segment : in->length;
    uint32_t at = 0;

    addr_set_port(&local, addr_port(&door->addr));
    do { /* an empty datagram is one, too */
        uint32_t left = in->length - at;
        uint32_t length = left < segment ? left : segment;

        udp_table_received(door->table, &arrival, in->data + at, length);
        at += length;
    } while (at < in->length);
}

static void udp_door_received(struct op *op, struct op_result result)
{
    struct udp_door *door = container_of(op, struct udp_door, op);
    struct datagram_in in;

    if (result.chunk) {
        if (result.res >= 0 && !door->closing && ring_datagram(op, result, &in))
            udp_door_deliver(door, &in);
        chunk_drop(result.chunk);
    }
    if (!result.final)
        return;
    if (door->closing)
        udp_door_settle(door);
    else if (result.res == -ENOBUFS)
        worker_wait_for_chunks(door->worker, op);
    else
        udp_door_arm(door); /* what a datagram left as an error on the socket is read with it */
}

static void udp_door_sender_idle(void *context)
{
    struct udp_door *door = context;

    door->sender_stopped = true;
    udp_door_settle(door);
}

int udp_door_init(struct udp_door *door, struct worker *worker, int fd)
{
    int error;

    door->worker = worker;
    door->fd = fd;
    error = worker->os->local_addr(worker->os, door->fd, &door->addr);
    if (error)
        goto close_fd;
    sock_udp_let_fragment(worker->os, door->fd, addr_family(&door->addr));
    error = -ENOMEM;
    door->sender = udp_sender_new(worker, door->fd);
    if (!door->sender)
        goto close_fd;
    door->message =
        (struct msghdr){.msg_namelen = sizeof(struct sockaddr_in6), .msg_controllen = CONTROL_SIZE};
    op_init(&door->op, udp_door_received);
    task_init(&door->task, udp_door_told);
    return 0;

close_fd:
    worker->os->close(worker->os, door->fd);
    return error;
}

void udp_door_open(struct udp_door *door)
{
    udp_door_arm(door);
}

void udp_door_drop(struct udp_door *door)
{
    udp_sender_free(&door->sender);
    door->worker->os->close(door->worker->os, door->fd);
}

void udp_door_close(struct udp_door *door)
{
    if (door->closing)
        return;
    door->closing = true;
    ring_cancel(door->worker->ring, &door->op);
    udp_sender_stop(door->sender, udp_door_sender_idle, door);
}
