#include "relay/tunnel_control.h"

#include <errno.h>
#include <string.h>

#include "core/mem.h"

enum { PARTIAL_SIZE = WIRE_HEAD_SIZE + WIRE_MESSAGE_MAX };

static void control_fail(struct tunnel_control *control, enum reason reason, const char *words)
{
    if (control->failing)
        return;
    control->failing = true;
    control->events->failed(control, reason, words);
}

static void control_took(struct tunnel_control *control, const struct wire_message *message)
{
    struct counters *counters = control->worker->counters;

    control->heard_ns = control->worker->now_ns;
    if (message->type < WIRE_TYPE_COUNT)
        control->events->message(control, message);
    else
        counter_add(counters, COUNTER_MESSAGES_UNKNOWN, 1);
}

/* Takes whole messages off the front; returns how many bytes they had. */
static size_t control_read(struct tunnel_control *control, const uint8_t *data, size_t length)
{
    struct wire_message message;
    size_t used = 0;
    int step;

    while (!control->failing) {
        step = wire_decode(data + used, length - used, &message);
        if (step == 0)
            break;
        if (step < 0) {
            counter_add(control->worker->counters, COUNTER_MESSAGES_INVALID, 1);
            control_fail(control, REASON_PROTOCOL, "a malformed message");
            break;
        }
        used += (size_t)step;
        control_took(control, &message);
    }
    return used;
}

/* Keeps the begin of a message: always less than a whole one. */
static void control_keep(struct tunnel_control *control, const uint8_t *data, size_t length)
{
    if (control->failing || !length)
        return;
    if (!control->partial)
        control->partial = mem_raw(PARTIAL_SIZE);
    if (!control->partial) {
        control_fail(control, REASON_NO_MEMORY, reason_text(REASON_NO_MEMORY));
        return;
    }
    must(length < PARTIAL_SIZE);
    memcpy(control->partial, data, length);
    control->partial_length = (uint32_t)length;
}

/* Fills the partial message up and reads it; returns how much of data went into that. */
static size_t control_complete(struct tunnel_control *control, const uint8_t *data, size_t length)
{
    size_t room = PARTIAL_SIZE - control->partial_length;
    size_t taken = length < room ? length : room, used;
    size_t before = control->partial_length;

    memcpy(control->partial + before, data, taken);
    used = control_read(control, control->partial, before + taken);
    if (!used) {
        control->partial_length = (uint32_t)(before + taken);
        return taken;
    }
    /* Messages behind the first one were read from here as well. */
    mem_free(control->partial);
    control->partial = NULL;
    control->partial_length = 0;
    return used - before;
}

static void control_received(struct stream *stream, struct piece *piece)
{
    struct tunnel_control *control = stream->owner;
    const uint8_t *data = piece_data(piece);
    size_t length = piece->length;

    stream_consumed(stream, length);
    while (control->partial && length && !control->failing) {
        size_t used = control_complete(control, data, length);

        data += used;
        length -= used;
    }
    if (!control->partial) {
        size_t used = control_read(control, data, length);

        control_keep(control, data + used, length - used);
    }
    piece_free(piece);
}

static void control_ended(struct stream *stream)
{
    control_fail(stream->owner, REASON_PEER_CLOSED, "the control stream ended");
}

static void control_drained(struct stream *stream, uint64_t length)
{
    struct tunnel_control *control = stream->owner;

    control->unread -= (uint32_t)length;
}

static void control_closed(struct stream *stream, enum reason reason)
{
    struct tunnel_control *control = stream->owner;

    control->stream = NULL;
    stream_free(stream);
    control_fail(control, reason, "the control stream was closed");
}

static const struct stream_events control_stream_events = {
    .received = control_received,
    .ended = control_ended,
    .drained = control_drained,
    .closed = control_closed,
};

void tunnel_control_start(struct tunnel_control *control, struct worker *worker,
                          struct stream *stream, const struct tunnel_control_events *events)
{
    must(!control->stream);
    control->worker = worker;
    control->stream = stream;
    control->events = events;
    control->heard_ns = worker->now_ns;
    stream->events = &control_stream_events;
    stream->owner = control;
    stream_start(stream);
}

int tunnel_control_send(struct tunnel_control *control, const struct wire_message *message)
{
    uint8_t data[WIRE_HEAD_SIZE + WIRE_MESSAGE_MAX];
    size_t length;
    struct piece *piece;

    if (!tunnel_control_open(control))
        return 0;
    length = wire_encode(message, data, sizeof(data));
    must(length);
    if (control->unread + length > WIRE_CONTROL_MAX)
        return -ENOBUFS;
    piece = piece_copy(control->worker->pools, data, (uint32_t)length);
    if (!piece)
        return -ENOMEM;
    control->unread += (uint32_t)length;
    stream_write(control->stream, piece);
    return 0;
}

void tunnel_control_release(struct tunnel_control *control)
{
    must(!control->stream);
    mem_free(control->partial);
    control->partial = NULL;
}
