#include "relay/udp_session.h"

#include <string.h>

#include "core/mem.h"
#include "relay/access.h"
#include "relay/choice.h"

static const uint64_t refused_every_ns = 100000000ull;

struct udp_session {
    struct table_entry entry;
    struct list link; /* by_age; in no list while it closes */
    struct udp_sessions *all;
    struct datagram_end *far;
    struct member *member;
    struct udp_source *from;
    struct udp_sender *sender;
    uint32_t *users; /* of the socket it came by */
    struct addr source, local;
    uint64_t id, active_ns, began_ns;
    uint64_t datagrams_in, datagrams_out, bytes_in, bytes_out;
    bool closing;
};

static bool udp_session_matches(const struct table_entry *entry, const void *key)
{
    const struct udp_session *session =
        container_of((void *)(uintptr_t)entry, struct udp_session, entry);
    const struct udp_arrival *wanted = key;

    return addr_equal(&session->source, wanted->source) &&
           addr_equal(&session->local, wanted->local);
}

static uint64_t udp_arrival_hash(const struct udp_table *table, const struct udp_arrival *arrival)
{
    return addr_hash(arrival->local, addr_hash(arrival->source, table->hash_seed));
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

static void udp_session_count(struct udp_session *session, uint32_t in, uint32_t out)
{
    const struct udp_sessions_options *options = &session->all->options;

    traffic_add(options->traffic, in, out);
    traffic_add(member_traffic(session->member, options->worker), in, out);
    counter_add(options->worker->counters, COUNTER_BYTES_IN, in);
    counter_add(options->worker->counters, COUNTER_BYTES_OUT, out);
}

/* ---- the far end ---- */

static void udp_session_answered(struct datagram_end *end, const uint8_t *data, uint32_t length)
{
    struct udp_session *session = end->owner;
    struct udp_sessions *sessions = session->all;
    struct counters *counters = sessions->options.worker->counters;

    if (session->closing)
        return;
    if (!session->datagrams_out++)
        choice_succeeded(sessions->options.pool, session->member, sessions->options.worker);
    udp_session_touch(session);
    session->bytes_out += length;
    udp_sender_send(session->sender, &session->source, &session->local, data, length);
    counter_add(counters, COUNTER_UDP_OUT, 1);
    udp_session_count(session, 0, length);
}

static void udp_session_log(const struct udp_session *session, enum reason reason)
{
    const struct udp_sessions_options *options = &session->all->options;
    const struct access_line line = {
        .listener = options->listener,
        .protocol = "udp",
        .connection = session->id,
        .source = &session->source,
        .destination = &session->local,
        .backend = backend_pool_name(options->pool),
        .member = session->member->name,
        .bytes_in = session->bytes_in,
        .bytes_out = session->bytes_out,
        .began_ns = session->began_ns,
        .connected_ns = session->began_ns,
        .reason = reason,
    };

    LOG(options->worker->log, reason_severity(reason), "UDP session ended",
        LOG_TEXT("listener", line.listener), LOG_NUMBER("connection", line.connection),
        LOG_ADDR("source", line.source), LOG_TEXT("backend", line.backend),
        LOG_TEXT("member", line.member), LOG_NUMBER("datagrams_in", session->datagrams_in),
        LOG_NUMBER("datagrams_out", session->datagrams_out),
        LOG_NUMBER("duration_ms", (options->worker->now_ns - line.began_ns) / 1000000),
        LOG_TEXT("reason", reason_text(reason)));
    access_write(options->worker, &line);
}

static void udp_session_closed(struct datagram_end *end, enum reason reason)
{
    struct udp_session *session = end->owner;
    struct udp_sessions *sessions = session->all;

    udp_session_log(session, reason);
    if (reason == REASON_REFUSED && !session->datagrams_out)
        choice_failed(sessions->options.pool, session->member, sessions->options.worker, reason);
    list_remove(&session->link);
    table_remove(&sessions->options.table->sessions, &session->entry);
    udp_source_give(sessions->options.sources, session->from);
    datagram_free(end);
    member_drop(session->member, sessions->options.worker);
    if (!--*session->users && sessions->options.left)
        sessions->options.left(session->users);
    mem_free(session);
    sessions->count--;
    udp_sessions_settle(sessions);
}

static const struct datagram_events udp_session_events = {
    .received = udp_session_answered,
    .closed = udp_session_closed,
};

/* ---- the user ---- */

/* Asks members until one takes the session, those of this worker first, unless the user's address
 * says which; else *reason is the last one's. */
static struct datagram_end *udp_session_ask(struct udp_sessions *sessions,
                                            const struct udp_arrival *arrival,
                                            struct member **member, enum reason *reason)
{
    struct datagram_request request = {.source = *arrival->source,
                                       .destination = *arrival->local,
                                       .port = addr_port(arrival->local),
                                       .service = sessions->options.service};
    struct worker *worker = sessions->options.worker;
    struct pick pick = {.worker = worker, .source = arrival->source};

    pick.here = !backend_pool_hashes(sessions->options.pool);
    *reason = REASON_NO_MEMBER;
    while (pick.tried_count <= sessions->options.retries) {
        struct datagram_end *far;

        *member = choice_pick(sessions->options.pool, &pick);
        if (!*member && pick.here) {
            pick.here = false;
            continue;
        }
        if (!*member)
            return NULL;
        far = (*member)->ops->open_datagrams(*member, worker, &request, reason);
        if (far)
            return far;
        choice_failed(sessions->options.pool, *member, worker, *reason);
        member_drop(*member, worker);
    }
    return NULL;
}

/* One line in a while: each datagram of somebody who is refused asks anew. */
static void udp_sessions_log_refused(struct udp_sessions *sessions,
                                     const struct udp_arrival *arrival, enum reason reason)
{
    const struct udp_sessions_options *options = &sessions->options;
    const struct access_line line = {
        .listener = options->listener,
        .protocol = "udp",
        .source = arrival->source,
        .destination = arrival->local,
        .backend = backend_pool_name(options->pool),
        .began_ns = options->worker->now_ns,
        .reason = reason,
    };

    if (sessions->refused_ns && options->worker->now_ns - sessions->refused_ns < refused_every_ns)
        return;
    sessions->refused_ns = options->worker->now_ns;
    LOG(options->worker->log, reason_severity(reason), "UDP user refused",
        LOG_TEXT("listener", line.listener), LOG_ADDR("source", line.source),
        LOG_TEXT("backend", line.backend), LOG_TEXT("reason", reason_text(reason)));
    access_write(options->worker, &line);
}

static enum reason udp_session_open(struct udp_session *session, struct udp_sessions *sessions,
                                    const struct udp_arrival *arrival)
{
    const struct udp_sessions_options *options = &sessions->options;
    enum reason reason = gate_admit(options->gate, arrival->source);

    if (reason != REASON_DONE)
        return reason;
    session->from = udp_source_take(options->sources, arrival->source, &options->limits,
                                    options->worker->counters, &reason);
    if (!session->from)
        return reason;
    session->far = udp_session_ask(sessions, arrival, &session->member, &reason);
    if (session->far)
        return REASON_DONE;
    counter_add(options->worker->counters, COUNTER_OPENS_FAILED, 1);
    udp_source_give(options->sources, session->from);
    return reason;
}

static struct udp_session *udp_session_new(const struct udp_arrival *arrival, uint64_t hash)
{
    struct udp_sessions *sessions = arrival->sessions;
    struct udp_session *session = mem_new(sizeof(*session));
    enum reason reason = session ? udp_session_open(session, sessions, arrival) : REASON_NO_MEMORY;

    if (reason != REASON_DONE) {
        udp_sessions_log_refused(sessions, arrival, reason);
        mem_free(session);
        return NULL;
    }
    session->far->events = &udp_session_events;
    session->far->owner = session;
    session->all = sessions;
    session->sender = arrival->sender;
    session->users = arrival->users;
    ++*session->users;
    session->source = *arrival->source;
    session->local = *arrival->local;
    session->id = *sessions->options.next_id += sessions->options.id_step;
    session->began_ns = sessions->options.worker->now_ns;
    list_init(&session->link);
    table_insert(&sessions->options.table->sessions, &session->entry, hash);
    sessions->count++;
    sessions->total++;
    counter_add(sessions->options.worker->counters, COUNTER_UDP_SESSIONS, 1);
    return session;
}

static bool udp_sessions_take(const struct udp_sessions *sessions)
{
    return sessions && !sessions->closed && !sessions->stopping;
}

void udp_table_received(struct udp_table *table, const struct udp_arrival *arrival,
                        const uint8_t *data, uint32_t length)
{
    uint64_t hash = udp_arrival_hash(table, arrival);
    struct table_entry *entry = table_find(&table->sessions, hash, udp_session_matches, arrival);
    struct udp_session *session = entry ? container_of(entry, struct udp_session, entry) : NULL;

    counter_add(table->worker->counters, COUNTER_UDP_IN, 1);
    if (!session && udp_sessions_take(arrival->sessions))
        session = udp_session_new(arrival, hash);
    if (!session || session->closing)
        return;
    session->datagrams_in++;
    session->bytes_in += length;
    udp_session_touch(session);
    udp_sessions_arm(session->all);
    udp_session_count(session, length, 0);
    datagram_send(session->far, data, length);
}

/* ---- life ---- */

int udp_table_init(struct udp_table *table, struct worker *worker)
{
    table->worker = worker;
    worker->os->random(worker->os, &table->hash_seed, sizeof(table->hash_seed));
    return table_init(&table->sessions);
}

void udp_table_release(struct udp_table *table)
{
    table_release(&table->sessions);
}

void udp_sessions_init(struct udp_sessions *sessions, const struct udp_sessions_options *options)
{
    *sessions = (struct udp_sessions){.options = *options};
    list_init(&sessions->by_age);
    timer_init(&sessions->timer, udp_sessions_expire);
    task_init(&sessions->task, udp_sessions_told);
}

void udp_sessions_forbid(struct udp_sessions *sessions)
{
    struct list *next;

    for (struct list *link = sessions->by_age.next; link != &sessions->by_age; link = next) {
        struct udp_session *session = container_of(link, struct udp_session, link);

        next = link->next;
        if (gate_forbids(sessions->options.gate, &session->source))
            udp_session_close(session, REASON_SOURCE_DENIED);
    }
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
}
