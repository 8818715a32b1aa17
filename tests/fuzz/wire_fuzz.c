/* Any bytes as each thing that a tunnel's peer can send: messages, an open, an answer, a datagram.
 */
#include <stdint.h>

#include "core/must.h"
#include "relay/tunnel_wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What was understood can be said again. */
static void fuzz_again(const struct wire_message *message)
{
    uint8_t again[WIRE_HEAD_SIZE + WIRE_MESSAGE_MAX];

    if (message->type < WIRE_TYPE_COUNT)
        must(wire_encode(message, again, sizeof(again)) > 0);
}

static void fuzz_messages(const uint8_t *data, size_t size)
{
    static struct wire_message message;
    int used;

    while ((used = wire_decode(data, size, &message)) > 0) {
        must((size_t)used <= size);
        fuzz_again(&message);
        data += used;
        size -= (size_t)used;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct wire_answer answer = {0};
    struct wire_datagram datagram;
    struct wire_flow flow;
    uint8_t again[WIRE_FLOW_MAX + 1];

    fuzz_messages(data, size);
    if (wire_open_decode(data, size, &flow) > 0)
        must(wire_open_encode(&flow, again, sizeof(again)) > 0);
    must(wire_answer_decode(data, size, &answer) <= (int)size);
    if (wire_datagram_decode(data, size, &datagram) == 0)
        must(datagram.length <= size);
    return 0;
}
