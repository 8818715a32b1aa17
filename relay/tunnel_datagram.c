/* The table of sessions, the same on both sides. */
#include "relay/tunnel_datagram.h"

#include <errno.h>
#include <string.h>

#include "core/mem.h"

enum { SLOTS_MIN = 16, SLOTS_MAX = 65536 };

void tunnel_sessions_init(struct tunnel_sessions *sessions, struct worker *worker,
                          struct quic_connection *quic, struct tunnel_control *control,
                          const char *name)
{
    *sessions =
        (struct tunnel_sessions){.quic = quic, .control = control, .name = name, .worker = worker};
    list_init(&sessions->recent);
}

void tunnel_sessions_release(struct tunnel_sessions *sessions)
{
    must(!sessions->count);
    mem_free(sessions->slots);
    sessions->slots = NULL;
    sessions->slot_count = 0;
}

/* Ids are counted up by the server, so the low bits alone spread them. */
static struct tunnel_session **sessions_slot(const struct tunnel_sessions *sessions, uint32_t id)
{
    return &sessions->slots[id & (sessions->slot_count - 1)];
}

struct tunnel_session *tunnel_sessions_find(const struct tunnel_sessions *sessions, uint32_t id)
{
    struct tunnel_session *session = sessions->slot_count ? *sessions_slot(sessions, id) : NULL;

    while (session && session->id != id)
        session = session->next;
    return session;
}

static void sessions_insert(struct tunnel_sessions *sessions, struct tunnel_session *session)
{
    struct tunnel_session **slot = sessions_slot(sessions, session->id);

    session->next = *slot;
    *slot = session;
}

/* A table that cannot grow goes on with longer chains; only the first slots are needed. */
static int sessions_grow(struct tunnel_sessions *sessions)
{
    uint32_t old_count = sessions->slot_count;
    uint32_t count = old_count ? 2 * old_count : SLOTS_MIN;
    struct tunnel_session **old = sessions->slots, *session;
    struct tunnel_session **slots;

    if (sessions->count < old_count || old_count == SLOTS_MAX)
        return 0;
    slots = mem_new(count * sizeof(struct tunnel_session *));
    if (!slots)
        return old ? 0 : -ENOMEM;
    sessions->slots = slots;
    sessions->slot_count = count;
    for (uint32_t i = 0; i < old_count; i++)
        while ((session = old[i])) {
            old[i] = session->next;
            sessions_insert(sessions, session);
        }
    mem_free(old);
    return 0;
}

int tunnel_sessions_add(struct tunnel_sessions *sessions, struct tunnel_session *session,
                        uint32_t id)
{
    if (tunnel_sessions_find(sessions, id))
        return -EEXIST;
    if (sessions_grow(sessions) < 0)
        return -ENOMEM;
    session->id = id;
    session->active_ns = sessions->worker->now_ns;
    sessions_insert(sessions, session);
    list_append(&sessions->recent, &session->recent);
    sessions->count++;
    return 0;
}

void tunnel_sessions_remove(struct tunnel_sessions *sessions, struct tunnel_session *session)
{
    struct tunnel_session **at = sessions_slot(sessions, session->id);

    while (*at != session)
        at = &(*at)->next;
    *at = session->next;
    list_remove(&session->recent);
    sessions->count--;
}

void tunnel_sessions_touch(struct tunnel_sessions *sessions, struct tunnel_session *session)
{
    session->active_ns = sessions->worker->now_ns;
    list_remove(&session->recent);
    list_append(&sessions->recent, &session->recent);
}

struct tunnel_session *tunnel_sessions_oldest(const struct tunnel_sessions *sessions)
{
    return list_empty(&sessions->recent)
               ? NULL
               : container_of(sessions->recent.next, struct tunnel_session, recent);
}

static void sessions_too_large(struct tunnel_sessions *sessions, uint32_t length)
{
    if (sessions->too_large_told)
        return;
    sessions->too_large_told = true;
    LOG(sessions->worker->log, LOG_WARN,
        "UDP datagram dropped: larger than the tunnel's path takes",
        LOG_TEXT("peer", sessions->name), LOG_NUMBER("bytes", length),
        LOG_NUMBER("room", quic_datagram_room(sessions->quic)));
}

void tunnel_sessions_send(struct tunnel_sessions *sessions, const uint8_t *head,
                          uint32_t head_length, const uint8_t *data, uint32_t length)
{
    int error = quic_datagram_send(sessions->quic, head, head_length, data, length);

    /* Drops are counted where the queue is. */
    if (error == -EMSGSIZE)
        sessions_too_large(sessions, length);
}

/* A message that cannot be sent costs a session its prompt end, no more: the far side's idle time
 * ends it. */
void tunnel_sessions_tell(struct tunnel_sessions *sessions, uint16_t type, uint32_t id,
                          uint16_t code)
{
    struct wire_message message = {
        .type = type, .session = {.id = id, .code = code}
    };

    if (tunnel_control_send(sessions->control, &message) < 0)
        counter_add(sessions->worker->counters, COUNTER_POOL_EMPTY, 1);
}
