/* A UDP session at the tunnel client: a connected socket to the service. */
#include <errno.h>
#include <string.h>

#include "core/mem.h"
#include "core/udp_end.h"
#include "relay/proxy_header.h"
#include "relay/service.h"

enum { SESSIONS_MAX = 65536, PAYLOAD_MAX = 65535 };
/* Servers end sessions by their own udp_timeout; this is for those that never do. */
#define IDLE_NS (UDP_TIMEOUT_MAX_NS + OPTION_HOUR)

struct service_session {
    struct tunnel_session session;
    struct tunnel_sessions *sessions; /* NULL once it left the table */
    struct services *services;
    struct datagram_end *end; /* NULL once closed */
    uint32_t proxy_length;    /* a header in front of each datagram */
    uint8_t proxy[PROXY_HEADER_MAX];
};

static struct service_session *service_session_of(struct tunnel_session *session)
{
    return container_of(session, struct service_session, session);
}

static void service_session_leave(struct service_session *session)
{
    if (session->sessions)
        tunnel_sessions_remove(session->sessions, &session->session);
    session->sessions = NULL;
}

/* ---- the service's side ---- */

static void service_session_received(struct datagram_end *end, const uint8_t *data, uint32_t length)
{
    struct service_session *session = end->owner;
    uint8_t head[WIRE_DATAGRAM_HEAD];

    if (!session->sessions)
        return;
    tunnel_sessions_touch(session->sessions, &session->session);
    wire_datagram_head(head, WIRE_DATAGRAM_DATA, session->session.id);
    tunnel_sessions_send(session->sessions, head, sizeof(head), data, length);
}

static void service_session_closed(struct datagram_end *end, enum reason reason)
{
    struct service_session *session = end->owner;
    struct services *services = session->services;

    if (session->sessions)
        tunnel_sessions_tell(session->sessions, WIRE_UDP_CLOSE, session->session.id,
                             (uint16_t)wire_code_of(reason));
    service_session_leave(session);
    datagram_free(end);
    mem_free(session);
    services_ended(services);
}

static const struct datagram_events service_session_events = {.received = service_session_received,
                                                              .closed = service_session_closed};

/* ---- the tunnel's side ---- */

static void service_session_deliver_proxied(struct service_session *session, const uint8_t *data,
                                            uint32_t length)
{
    uint8_t joined[PROXY_HEADER_MAX + PAYLOAD_MAX];

    if (length > PAYLOAD_MAX)
        return;
    memcpy(joined, session->proxy, session->proxy_length);
    memcpy(joined + session->proxy_length, data, length);
    datagram_send(session->end, joined, session->proxy_length + length);
}

static void service_session_deliver(struct service_session *session, const uint8_t *data,
                                    uint32_t length)
{
    tunnel_sessions_touch(session->sessions, &session->session);
    if (session->proxy_length)
        service_session_deliver_proxied(session, data, length);
    else
        datagram_send(session->end, data, length);
}

static void service_session_refuse(struct tunnel_sessions *sessions, uint32_t id,
                                   enum wire_code code)
{
    tunnel_sessions_tell(sessions, WIRE_UDP_CLOSE, id, (uint16_t)code);
}

/* The first address that a route leads to: a datagram cannot tell more at once. */
static struct datagram_end *service_session_end_new(struct worker *worker,
                                                    const struct service *service, int *error)
{
    struct datagram_end *end = NULL;

    for (uint32_t i = 0; !end && i < service->addr_count; i++)
        end = udp_end_new(worker, &service->addrs[i], error);
    return end;
}

/* 0 or the code that refuses. */
static enum wire_code service_session_connect(struct service_session *session,
                                              const struct service *service,
                                              const struct wire_flow *flow)
{
    int error = -ENOENT;

    session->end = service_session_end_new(session->services->worker, service, &error);
    if (!session->end)
        return wire_code_of(reason_of_errno(error));
    session->end->events = &service_session_events;
    session->end->owner = session;
    if (service->settings.send_proxy == SEND_PROXY_V2)
        session->proxy_length =
            (uint32_t)proxy_header_v2(&flow->source, &flow->destination, true, session->proxy);
    return WIRE_CODE_NONE;
}

static struct service_session *service_session_new(struct services *services,
                                                   struct tunnel_sessions *sessions, uint32_t id)
{
    struct service_session *session = mem_new(sizeof(*session));

    if (!session)
        return NULL;
    list_init(&session->session.recent);
    if (tunnel_sessions_add(sessions, &session->session, id) < 0) {
        mem_free(session);
        return NULL;
    }
    session->sessions = sessions;
    session->services = services;
    return session;
}

static struct service_session *service_session_make(struct services *services,
                                                    struct tunnel_sessions *sessions, uint32_t id,
                                                    const struct service *service,
                                                    const struct wire_flow *flow)
{
    struct service_session *session = service_session_new(services, sessions, id);
    enum wire_code code = WIRE_CODE_NO_MEMORY;

    if (session)
        code = service_session_connect(session, service, flow);
    if (code == WIRE_CODE_NONE) {
        services->active++;
        counter_add(services->worker->counters, COUNTER_UDP_SESSIONS, 1);
        tunnel_sessions_tell(sessions, WIRE_UDP_OPENED, id, 0);
        return session;
    }
    if (session) {
        service_session_leave(session);
        mem_free(session);
    }
    service_session_refuse(sessions, id, code);
    return NULL;
}

/* NULL: refused, or dropped while the service's name is asked for the first time, which begins with
 * the program: the next datagram tries again. */
static struct service_session *service_session_admit(struct services *services,
                                                     struct tunnel_sessions *sessions, uint32_t id,
                                                     const struct wire_flow *flow)
{
    struct service *service;
    enum wire_code code = services_admit(services, flow, PROTOCOL_UDP, &service);

    if (code == WIRE_CODE_NONE && sessions->count >= SESSIONS_MAX) {
        counter_add(services->worker->counters, COUNTER_LIMIT_UDP_SESSIONS, 1);
        code = WIRE_CODE_LIMIT;
    }
    if (code != WIRE_CODE_NONE) {
        service_session_refuse(sessions, id, code);
        return NULL;
    }
    if (service_ready(service, NULL))
        return service_session_make(services, sessions, id, service, flow);
    if (!service->asked)
        service_session_refuse(sessions, id, WIRE_CODE_NAME_UNKNOWN);
    return NULL;
}

void service_session_open(struct services *services, struct tunnel_sessions *sessions, uint32_t id,
                          const struct wire_flow *flow)
{
    if (!tunnel_sessions_find(sessions, id))
        (void)service_session_admit(services, sessions, id, flow);
}

void service_datagram(struct services *services, struct tunnel_sessions *sessions,
                      const uint8_t *data, uint32_t length)
{
    struct tunnel_session *found;
    struct service_session *session;
    struct wire_datagram in;

    if (wire_datagram_decode(data, length, &in) < 0) {
        counter_add(services->worker->counters, COUNTER_DATAGRAM_UNKNOWN, 1);
        return;
    }
    found = tunnel_sessions_find(sessions, in.session);
    session = found ? service_session_of(found) : NULL;
    if (!session && in.kind == WIRE_DATAGRAM_OPEN)
        session = service_session_admit(services, sessions, in.session, &in.flow);
    else if (!session)
        service_session_refuse(sessions, in.session, WIRE_CODE_SESSION_UNKNOWN);
    if (session)
        service_session_deliver(session, in.data, in.length);
    else
        counter_add(services->worker->counters, COUNTER_DATAGRAM_UNKNOWN, 1);
}

/* ---- endings ---- */

static void service_session_end(struct service_session *session, enum reason reason)
{
    service_session_leave(session);
    datagram_stop(session->end, reason);
}

void service_session_close(struct tunnel_sessions *sessions, uint32_t id, uint16_t code)
{
    struct tunnel_session *session = tunnel_sessions_find(sessions, id);

    if (session)
        service_session_end(service_session_of(session), wire_code_reason(code, REASON_RESET));
}

void service_sessions_expire(struct tunnel_sessions *sessions)
{
    uint64_t now = sessions->worker->now_ns;
    struct tunnel_session *oldest;

    while ((oldest = tunnel_sessions_oldest(sessions)) && now - oldest->active_ns > IDLE_NS) {
        tunnel_sessions_tell(sessions, WIRE_UDP_CLOSE, oldest->id, WIRE_CODE_IDLE_TIMEOUT);
        service_session_end(service_session_of(oldest), REASON_IDLE_TIMEOUT);
    }
}

void service_sessions_lost(struct tunnel_sessions *sessions)
{
    struct tunnel_session *oldest;

    while ((oldest = tunnel_sessions_oldest(sessions)))
        service_session_end(service_session_of(oldest), REASON_TUNNEL_LOST);
}
