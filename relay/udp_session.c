#include "relay/udp_session.h"

#include <string.h>

#include "core/mem.h"

struct udp_session {
    struct table_entry entry;
    struct list link; /* by_age; in no list while it closes */
    struct udp_sessions *all;
    struct datagram_end *far;
    struct member *member;
    struct addr source, local;
    uint64_t active_ns, began_ns;
    uint64_t datagrams_in, datagrams_out;
    bool closing;
};

struct udp_key {
    const struct addr *source, *local;
};

static bool udp_session_matches(const struct table_entry *entry, const void *key)
{
    const struct udp_session *session =
        container_of((void *)(uintptr_t)entry, struct udp_session, entry);
    const struct udp_key *wanted = key;

    return addr_equal(&session->source, wanted->source) &&
           addr_equal(&session->local, wanted->local);
}

static uint64_t udp_key_hash(const struct udp_sessions *sessions, const struct udp_key *key)
{
    return addr_hash(key->local, addr_hash(key->source, sessions->hash_seed));
}

static void udp_sessions_settle(struct udp_sessions *sessions)
{
    if (sessions->count || sessions->told)
        return;
    if (!sessions->stopping) {
        if (sessions->options.emptied)
            sessions->options.emptied(sessions->options.emptied_context);
        return;
    }
    sessions->told = true;
    worker_defer(sessions->options.worker, &sessions->task);
}

static void udp_sessions_told(struct task *task)
{
    struct udp_sessions *sessions = container_of(task, struct udp_sessions, task);

    sessions->options.idle(sessions->options.context);
}

/* ---- expiry ---- */

static void udp_sessions_arm(struct udp_sessions *sessions)
{
    struct worker *worker = sessions->options.worker;
    struct list *oldest = sessions->by_age.next;
    uint64_t at;

    if (list_empty(&sessions->by_age) || timer_is_set(&sessions->timer))
        return;
    at = container_of(oldest, struct udp_session, link)->active_ns + sessions->options.timeout_ns;
    if (timer_set(&worker->timers, &sessions->timer, at))
        return; /* no memory: the next new session tries again */
}

static void udp_session_touch(struct udp_session *session)
{
    session->active_ns = session->all->options.worker->now_ns;
    list_remove(&session->link);
    list_append(&session->all->by_age, &session->link);
}

static void udp_session_close(struct udp_session *session, enum reason reason)
{
    session->closing = true;
    list_remove(&session->link);
    datagram_stop(session->far, reason);
}

static void udp_sessions_expire(struct timer *timer)
{
    struct udp_sessions *sessions = container_of(timer, struct udp_sessions, timer);
    uint64_t now_ns = sessions->options.worker->now_ns;

    while (!list_empty(&sessions->by_age)) {
        struct udp_session *oldest = container_of(sessions->by_age.next, struct udp_session, link);

        if (oldest->active_ns + sessions->options.timeout_ns > now_ns)
            break;
        udp_session_close(oldest, REASON_IDLE_TIMEOUT);
    }
    udp_sessions_arm(sessions);
}

/* ---- the far end ---- */

static void udp_session_answered(struct datagram_end *end, const uint8_t *data, uint32_t length)
{
    struct udp_session *session = end->owner;
    struct udp_sessions *sessions = session->all;
    struct counters *counters = sessions->options.worker->counters;

    if (session->closing)
        return;
    session->datagrams_out++;
    udp_session_touch(session);
    udp_sender_send(sessions->options.sender, &session->source,
                    session->local.length ? &session->local : NULL, data, length);
    counter_add(counters, COUNTER_UDP_OUT, 1);
    counter_add(counters, COUNTER_BYTES_OUT, length);
}

static void udp_session_closed(struct datagram_end *end, enum reason reason)
{
    struct udp_session *session = end->owner;
    struct udp_sessions *sessions = session->all;
    struct worker *worker = sessions->options.worker;

    LOG(worker->log, reason_severity(reason), "UDP session ended",
        LOG_TEXT("listener", sessions->options.listener), LOG_ADDR("source", &session->source),
        LOG_TEXT("backend", backend_pool_name(sessions->options.pool)),
        LOG_TEXT("member", session->member->name),
        LOG_NUMBER("datagrams_in", session->datagrams_in),
        LOG_NUMBER("datagrams_out", session->datagrams_out),
        LOG_NUMBER("duration_ms", (worker->now_ns - session->began_ns) / 1000000),
        LOG_TEXT("reason", reason_text(reason)));
    list_remove(&session->link);
    table_remove(&sessions->table, &session->entry);
    datagram_free(end);
    member_drop(session->member, session->all->options.worker);
    mem_free(session);
    sessions->count--;
    udp_sessions_settle(sessions);
}

static const struct datagram_events udp_session_events = {
    .received = udp_session_answered,
    .closed = udp_session_closed,
};

/* ---- the user ---- */

/* Asks members until one takes the session. */
static struct datagram_end *udp_session_open(struct udp_sessions *sessions,
                                             const struct udp_key *key, struct member **member)
{
    struct datagram_request request = {
        .source = *key->source, .destination = *key->local, .service = sessions->options.service};
    struct worker *worker = sessions->options.worker;
    struct pick pick = {.worker = worker, .source = key->source};

    while (pick.tried_count <= sessions->options.retries) {
        enum reason reason;
        struct datagram_end *far;

        *member = backend_pick(sessions->options.pool, &pick);
        if (!*member)
            return NULL;
        far = (*member)->ops->open_datagrams(*member, worker, &request, &reason);
        if (far)
            return far;
        member_failed(*member, worker);
        member_drop(*member, worker);
    }
    return NULL;
}

static struct udp_session *udp_session_new(struct udp_sessions *sessions, const struct udp_key *key,
                                           uint64_t hash)
{
    struct counters *counters = sessions->options.worker->counters;
    struct udp_session *session;

    if (sessions->count >= sessions->options.max) {
        counter_add(counters, COUNTER_LIMIT_UDP_SESSIONS, 1);
        return NULL;
    }
    session = mem_new(sizeof(*session));
    if (!session)
        return NULL;
    session->far = udp_session_open(sessions, key, &session->member);
    if (!session->far) {
        counter_add(counters, COUNTER_OPENS_FAILED, 1);
        mem_free(session);
        return NULL;
    }
    session->far->events = &udp_session_events;
    session->far->owner = session;
    session->all = sessions;
    session->source = *key->source;
    session->local = *key->local;
    session->began_ns = sessions->options.worker->now_ns;
    list_init(&session->link);
    table_insert(&sessions->table, &session->entry, hash);
    sessions->count++;
    counter_add(counters, COUNTER_UDP_SESSIONS, 1);
    return session;
}

void udp_sessions_received(struct udp_sessions *sessions, const struct addr *source,
                           const struct addr *local, const uint8_t *data, uint32_t length)
{
    struct counters *counters = sessions->options.worker->counters;
    struct udp_key key = {source, local};
    uint64_t hash = udp_key_hash(sessions, &key);
    struct table_entry *entry = table_find(&sessions->table, hash, udp_session_matches, &key);
    struct udp_session *session = entry ? container_of(entry, struct udp_session, entry) : NULL;

    counter_add(counters, COUNTER_UDP_IN, 1);
    if (sessions->stopping || (session && session->closing))
        return;
    if (!session && !sessions->closed)
        session = udp_session_new(sessions, &key, hash);
    if (!session)
        return;
    session->datagrams_in++;
    udp_session_touch(session);
    udp_sessions_arm(sessions);
    counter_add(counters, COUNTER_BYTES_IN, length);
    datagram_send(session->far, data, length);
}

/* ---- life ---- */

int udp_sessions_init(struct udp_sessions *sessions, const struct udp_sessions_options *options)
{
    struct os *os = options->worker->os;

    *sessions = (struct udp_sessions){.options = *options};
    list_init(&sessions->by_age);
    timer_init(&sessions->timer, udp_sessions_expire);
    task_init(&sessions->task, udp_sessions_told);
    os->random(os, &sessions->hash_seed, sizeof(sessions->hash_seed));
    return table_init(&sessions->table);
}

void udp_sessions_stop(struct udp_sessions *sessions, enum reason reason)
{
    sessions->stopping = true;
    timer_stop(&sessions->options.worker->timers, &sessions->timer);
    while (!list_empty(&sessions->by_age))
        udp_session_close(container_of(sessions->by_age.next, struct udp_session, link), reason);
    udp_sessions_settle(sessions);
}

void udp_sessions_release(struct udp_sessions *sessions)
{
    must(!sessions->count);
    timer_stop(&sessions->options.worker->timers, &sessions->timer);
    task_cancel(&sessions->task);
    table_release(&sessions->table);
}
