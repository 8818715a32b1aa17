#include "relay/pump.h"

static struct stream *pump_other(struct pump *pump, struct stream *stream)
{
    return stream == pump->client ? pump->backend : pump->client;
}

/* The deadline moves with every byte, the timer only when it fires: a busy pump never touches the
 * heap. */
static uint64_t pump_deadline(const struct pump *pump)
{
    bool half_closed = pump->client_ended || pump->backend_ended;
    uint64_t timeout = half_closed && pump->limits->half_close_timeout_ns
                           ? pump->limits->half_close_timeout_ns
                           : pump->limits->idle_timeout_ns;

    return timeout ? pump->active_ns + timeout : UINT64_MAX;
}

static void pump_arm(struct pump *pump)
{
    uint64_t deadline = pump_deadline(pump);

    if (deadline == UINT64_MAX)
        timer_stop(&pump->worker->timers, &pump->timer);
    else if (timer_set(&pump->worker->timers, &pump->timer, deadline))
        pump_stop(pump, REASON_NO_MEMORY);
}

static void pump_timer_fired(struct timer *timer)
{
    struct pump *pump = container_of(timer, struct pump, timer);

    if (pump_deadline(pump) > pump->worker->now_ns)
        pump_arm(pump);
    else
        pump_stop(pump, pump->client_ended || pump->backend_ended ? REASON_HALF_CLOSE_TIMEOUT
                                                                  : REASON_IDLE_TIMEOUT);
}

void pump_moved(struct pump *pump, const struct stream *from, uint64_t length)
{
    uint64_t in = from == pump->client ? length : 0, out = length - in;

    pump->active_ns = pump->worker->now_ns;
    pump->client_bytes += in;
    pump->backend_bytes += out;
    if (!pump->listener_traffic)
        return;
    traffic_add(pump->listener_traffic, in, out);
    traffic_add(pump->member_traffic, in, out);
    counter_add(pump->worker->counters, COUNTER_BYTES_IN, in);
    counter_add(pump->worker->counters, COUNTER_BYTES_OUT, out);
}

void pump_received(struct stream *stream, struct piece *piece)
{
    struct pump *pump = stream->owner;
    struct stream *other = pump_other(pump, stream);

    pump_moved(pump, stream, piece->length);
    if (other)
        stream_write(other, piece);
    else
        piece_free(piece);
}

void pump_ended(struct stream *stream)
{
    struct pump *pump = stream->owner;
    struct stream *other = pump_other(pump, stream);

    if (stream == pump->client)
        pump->client_ended = true;
    else
        pump->backend_ended = true;
    pump->active_ns = pump->worker->now_ns;
    if (other)
        stream_finish(other);
    pump_arm(pump);
}

void pump_drained(struct stream *stream, uint64_t length)
{
    struct pump *pump = stream->owner;
    struct stream *other = pump_other(pump, stream);

    pump->active_ns = pump->worker->now_ns;
    if (other)
        stream_consumed(other, length);
}

void pump_closed(struct stream *stream, enum reason reason)
{
    struct pump *pump = stream->owner;
    struct stream *other = pump_other(pump, stream);

    if (reason != REASON_DONE && pump->reason == REASON_DONE)
        pump->reason = reason;
    if (stream == pump->client)
        pump->client = NULL;
    else
        pump->backend = NULL;
    stream_free(stream);
    if (!other) {
        timer_stop(&pump->worker->timers, &pump->timer);
        pump->done(pump, pump->reason);
    } else if (reason != REASON_DONE) {
        stream_stop(other, reason);
    }
}

static const struct stream_events pump_events = {
    .received = pump_received,
    .ended = pump_ended,
    .drained = pump_drained,
    .closed = pump_closed,
};

static void pump_listen(struct pump *pump, struct stream *stream)
{
    stream->events = &pump_events;
    stream->owner = pump;
}

void pump_start(struct pump *pump, struct worker *worker, struct stream *client,
                struct stream *backend, const struct pump_limits *limits, pump_done_fn *done)
{
    *pump = (struct pump){.worker = worker,
                          .client = client,
                          .backend = backend,
                          .done = done,
                          .limits = limits,
                          .active_ns = worker->now_ns};
    timer_init(&pump->timer, pump_timer_fired);
    pump_listen(pump, client);
    pump_listen(pump, backend);
    stream_start(client);
    stream_start(backend);
    pump_arm(pump);
}

void pump_client_has_ended(struct pump *pump)
{
    pump->client_ended = true;
    pump_arm(pump);
}

void pump_stop(struct pump *pump, enum reason reason)
{
    if (pump->reason == REASON_DONE)
        pump->reason = reason;
    if (pump->client)
        stream_stop(pump->client, reason);
    if (pump->backend)
        stream_stop(pump->backend, reason);
}
