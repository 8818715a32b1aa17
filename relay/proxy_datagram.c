#include "relay/proxy_datagram.h"

#include <string.h>

#include "core/mem.h"
#include "relay/proxy_header.h"

enum { DATAGRAM_MAX = 65507 };

struct proxy_datagram {
    struct datagram_end end;
    struct datagram_end *inner;
    struct worker *worker;
    enum send_proxy_udp where;
    bool told; /* the service knows the user: no further header is due */
    uint32_t header_length;
    uint8_t header[PROXY_HEADER_MAX];
};

static struct proxy_datagram *proxy_datagram_of(struct datagram_end *end)
{
    return container_of(end, struct proxy_datagram, end);
}

static void proxy_datagram_send_both(struct proxy_datagram *proxy, const uint8_t *data,
                                     uint32_t length)
{
    struct chunk *chunk;

    if (proxy->header_length + length > DATAGRAM_MAX) {
        counter_add(proxy->worker->counters, COUNTER_PROXY_TOO_LARGE, 1);
        return;
    }
    chunk = chunk_take(proxy->worker->pools, POOL_LARGE);
    if (!chunk) {
        counter_add(proxy->worker->counters, COUNTER_LIMIT_DATAGRAM_QUEUE, 1);
        return;
    }
    memcpy(chunk->data, proxy->header, proxy->header_length);
    if (length)
        memcpy(chunk->data + proxy->header_length, data, length);
    datagram_send(proxy->inner, chunk->data, proxy->header_length + length);
    chunk_drop(chunk);
    proxy->told = proxy->where != SEND_PROXY_EVERY;
}

static void proxy_datagram_send(struct datagram_end *end, const uint8_t *data, uint32_t length)
{
    struct proxy_datagram *proxy = proxy_datagram_of(end);

    if (!proxy->told && proxy->where != SEND_PROXY_OWN) {
        proxy_datagram_send_both(proxy, data, length);
        return;
    }
    if (!proxy->told)
        datagram_send(proxy->inner, proxy->header, proxy->header_length);
    proxy->told = true;
    datagram_send(proxy->inner, data, length);
}

static void proxy_datagram_stop(struct datagram_end *end, enum reason reason)
{
    datagram_stop(proxy_datagram_of(end)->inner, reason);
}

static void proxy_datagram_free(struct datagram_end *end)
{
    struct proxy_datagram *proxy = proxy_datagram_of(end);

    datagram_free(proxy->inner);
    mem_free(proxy);
}

static const struct datagram_ops proxy_datagram_ops = {
    .send = proxy_datagram_send,
    .stop = proxy_datagram_stop,
    .free = proxy_datagram_free,
};

static void proxy_datagram_received(struct datagram_end *inner, const uint8_t *data,
                                    uint32_t length)
{
    struct proxy_datagram *proxy = inner->owner;

    proxy->end.events->received(&proxy->end, data, length);
}

static void proxy_datagram_closed(struct datagram_end *inner, enum reason reason)
{
    struct proxy_datagram *proxy = inner->owner;

    proxy->end.events->closed(&proxy->end, reason);
}

static const struct datagram_events proxy_datagram_events = {
    .received = proxy_datagram_received,
    .closed = proxy_datagram_closed,
};

struct datagram_end *proxy_datagram_new(struct worker *worker, struct datagram_end *inner,
                                        enum send_proxy_udp where, const struct addr *source,
                                        const struct addr *destination)
{
    struct proxy_datagram *proxy = mem_new(sizeof(*proxy));

    if (!proxy)
        return NULL;
    proxy->end.ops = &proxy_datagram_ops;
    proxy->inner = inner;
    proxy->worker = worker;
    proxy->where = where;
    proxy->header_length = (uint32_t)proxy_header_v2(source, destination, true, proxy->header);
    inner->events = &proxy_datagram_events;
    inner->owner = proxy;
    return &proxy->end;
}
