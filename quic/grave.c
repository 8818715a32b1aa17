#include "quic/grave.h"

#include <string.h>

#include "core/mem.h"
#include "quic/endpoint.h"

static void grave_free(struct grave *grave)
{
    struct quic_endpoint *endpoint = grave->endpoint;

    cid_set_release(&grave->ids);
    timer_stop(&endpoint->worker->timers, &grave->timer);
    list_remove(&grave->link);
    endpoint->grave_count--;
    mem_free(grave);
}

static void grave_expired(struct timer *timer)
{
    grave_free(container_of(timer, struct grave, timer));
}

static struct grave *grave_new(struct quic_endpoint *endpoint, uint64_t life_ns)
{
    struct grave *grave;

    if (endpoint->grave_count >= GRAVES_MAX)
        return NULL;
    grave = mem_new(sizeof(*grave));
    if (!grave)
        return NULL;
    grave->endpoint = endpoint;
    cid_set_init(&grave->ids, &endpoint->buried, grave);
    timer_init(&grave->timer, grave_expired);
    list_init(&grave->link);
    if (timer_set(&endpoint->worker->timers, &grave->timer, endpoint->worker->now_ns + life_ns) <
        0) {
        mem_free(grave);
        return NULL;
    }
    list_append(&endpoint->graves, &grave->link);
    endpoint->grave_count++;
    return grave;
}

void grave_dig(struct quic_endpoint *endpoint, struct cid_set *ids, const uint8_t *packet,
               uint32_t length, uint64_t life_ns)
{
    struct grave *grave = grave_new(endpoint, life_ns);

    if (!grave)
        return;
    if (length && length <= GRAVE_PACKET_MAX) {
        memcpy(grave->packet, packet, length);
        grave->length = (uint16_t)length;
    }
    cid_set_take(&grave->ids, ids);
}

void grave_answer(struct grave *grave, const struct stray *stray)
{
    struct batch *batch;

    grave->heard++;
    if (!grave->length || grave->length > stray->length || (grave->heard & (grave->heard - 1)))
        return;
    batch = stray_answer(grave->endpoint, stray);
    if (!batch)
        return;
    memcpy(batch->chunk->data, grave->packet, grave->length);
    batch->length = batch->segment = grave->length;
    batch_send(batch);
}

void graves_clear(struct quic_endpoint *endpoint)
{
    while (!list_empty(&endpoint->graves))
        grave_free(container_of(endpoint->graves.next, struct grave, link));
}
