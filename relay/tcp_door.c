#include "relay/tcp_door.h"

#include <errno.h>
#include <string.h>

#include "core/reason.h"
#include "core/sock.h"

static const uint64_t pause_ns = 100000000ull, complain_every_ns = 10000000000ull;

static void tcp_door_arm(struct tcp_door *door)
{
    ring_accept_multi(door->worker->ring, &door->op, door->fd);
}

/* Out of descriptors or memory: the connections wait in the backlog.  Accepting again at once would
 * fail at once, so the door waits. */
static void tcp_door_pause(struct tcp_door *door, int error)
{
    struct worker *worker = door->worker;

    counter_add(worker->counters, COUNTER_ACCEPT_PAUSED, 1);
    if (!*door->complained_ns || worker->now_ns - *door->complained_ns > complain_every_ns) {
        *door->complained_ns = worker->now_ns;
        LOG(worker->log, LOG_ERROR, "accepting is paused", LOG_TEXT("listener", door->name),
            LOG_TEXT("reason", reason_text(reason_of_errno(error))),
            LOG_TEXT("error", strerror(-error)));
    }
    if (timer_set(&worker->timers, &door->timer, worker->now_ns + pause_ns))
        tcp_door_arm(door); /* no memory for a timer: rather spin than stay shut */
}

static void tcp_door_resume(struct timer *timer)
{
    tcp_door_arm(container_of(timer, struct tcp_door, timer));
}

static void tcp_door_finish(struct tcp_door *door)
{
    door->worker->os->close(door->worker->os, door->fd);
    door->fd = -1;
    worker_defer(door->worker, &door->task);
}

static void tcp_door_told(struct task *task)
{
    struct tcp_door *door = container_of(task, struct tcp_door, task);

    door->closed(door);
}

static void tcp_door_accepted(struct op *op, struct op_result result)
{
    struct tcp_door *door = container_of(op, struct tcp_door, op);

    if (result.res >= 0)
        door->accepted(door, result.res);
    if (!result.final)
        return;
    if (door->closing)
        tcp_door_finish(door);
    else if (result.res >= 0 || result.res == -ECONNABORTED || result.res == -EINTR)
        tcp_door_arm(door);
    else
        tcp_door_pause(door, result.res);
}

void tcp_door_open(struct tcp_door *door, struct worker *worker, int fd)
{
    door->worker = worker;
    door->fd = fd;
    op_init(&door->op, tcp_door_accepted);
    timer_init(&door->timer, tcp_door_resume);
    task_init(&door->task, tcp_door_told);
    tcp_door_arm(door);
}

void tcp_door_close(struct tcp_door *door)
{
    if (door->closing)
        return;
    door->closing = true;
    timer_stop(&door->worker->timers, &door->timer);
    if (door->op.busy)
        ring_cancel(door->worker->ring, &door->op);
    else
        tcp_door_finish(door);
}
