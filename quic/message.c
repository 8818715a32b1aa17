#include "quic/message.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "core/mem.h"

static size_t message_length(const uint8_t *header)
{
    return MESSAGE_HEADER + ((size_t)header[1] << 16 | (size_t)header[2] << 8 | header[3]);
}

static int message_grow(struct message *message, size_t more)
{
    size_t size = message->size ? message->size : 1024;
    uint8_t *data;

    while (size < message->length + more)
        size *= 2;
    if (size == message->size)
        return 0;
    data = mem_resize(message->data, size);
    if (!data)
        return -ENOMEM;
    message->data = data;
    message->size = (uint32_t)size;
    return 0;
}

/* Up to the end of the header, then up to the end of the message. */
static int message_add(struct message *message, const uint8_t *data, size_t length, size_t *used)
{
    size_t wanted =
        message->length < MESSAGE_HEADER ? MESSAGE_HEADER : message_length(message->data);
    int rc;

    if (wanted > MESSAGE_MAX)
        return -EMSGSIZE;
    *used = wanted - message->length < length ? wanted - message->length : length;
    rc = message_grow(message, *used);
    if (rc != 0)
        return rc;
    memcpy(message->data + message->length, data, *used);
    message->length += (uint32_t)*used;
    return 0;
}

static bool message_whole(const struct message *message)
{
    return message->length >= MESSAGE_HEADER && message->length == message_length(message->data);
}

int message_feed(struct message *message, const uint8_t *data, size_t length, message_came_fn *came,
                 void *context)
{
    int rc = 0;

    while (length > 0 && rc == 0) {
        size_t used = length >= MESSAGE_HEADER ? message_length(data) : SIZE_MAX;

        if (message->length == 0 && used <= length && used <= MESSAGE_MAX) {
            rc = came(context, data, used); /* it lies whole in the packet: no copy */
        } else {
            rc = message_add(message, data, length, &used);
            if (rc == 0 && message_whole(message)) {
                rc = came(context, message->data, message->length);
                message->length = 0;
            }
        }
        if (rc == 0) {
            data += used;
            length -= used;
        }
    }
    return rc;
}

void message_release(struct message *message)
{
    mem_free(message->data);
    *message = (struct message){0};
}
