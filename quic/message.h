/* quic/message.h - cuts a stream of TLS handshake bytes into whole messages.  Internal to quic.
 *
 * wolfSSL loses the thread when a message's header comes in pieces, and would set memory aside for
 * a length that is only claimed: so it is given whole messages, and what is kept here grows with
 * what came.  Owner: the handshake that embeds it.  Thread: its worker. */
#ifndef QUIC_MESSAGE_H
#define QUIC_MESSAGE_H

#include <stddef.h>
#include <stdint.h>

#include "core/must.h"

enum { MESSAGE_HEADER = 4, MESSAGE_MAX = 65536 };

struct message {
    uint8_t *data; /* the message under way */
    uint32_t length, size;
};

/* Borrows the bytes, header included.  What it returns, unless 0, ends message_feed. */
typedef int message_came_fn(void *context, const uint8_t *data, size_t length);

/* 0, -ENOMEM, -EMSGSIZE (a message longer than MESSAGE_MAX) or what `came` returned. */
int message_feed(struct message *message, const uint8_t *data, size_t length, message_came_fn *came,
                 void *context) MUST_CHECK;
void message_release(struct message *message);

#endif
