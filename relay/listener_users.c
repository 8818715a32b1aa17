/* Who comes by TCP: admitted or turned away, and on which worker the session lives. */
#include "core/mem.h"
#include "relay/access.h"
#include "relay/listener_parts.h"

/* No two workers give the same number. */
static uint64_t listener_next_id(struct listener *listener)
{
    return listener->next_id += listener->options.share->workers;
}

/* The limit counts over all workers, exactly. */
static bool listener_admit(struct listener *listener, bool *counted)
{
    uint32_t most = listener->options.settings->max_connections;
    struct listener_share *share = listener->options.share;

    *counted = most;
    if (!most)
        return true;
    if (atomic_fetch_add(&share->connections, 1) < most)
        return true;
    atomic_fetch_sub(&share->connections, 1);
    return false;
}

static void listener_dismiss(struct listener *listener, bool counted)
{
    if (counted)
        atomic_fetch_sub(&listener->options.share->connections, 1);
}

struct handed;
static void handed_return(struct handed *handed);

void listener_session_ended(void *context, struct session *session)
{
    struct listener *listener = context;

    list_remove(&session->link);
    worker_note_ebb(listener->options.worker,
                    mem_tide_turns(&listener->tide, listener->session_count--));
    listener_dismiss(listener, session->counted);
    listener_frame_put(listener, session->frame);
    if (session->carried)
        handed_return(session->carried);
    listener_settle(listener);
}

/* Too many: nothing is made for this one, it only gets a line. */
static void listener_turn_away(struct listener *listener, int fd)
{
    struct worker *worker = listener->options.worker;
    struct addr source = {0}, destination = {0};
    int unknown = worker->os->peer_addr(worker->os, fd, &source) ||
                  worker->os->local_addr(worker->os, fd, &destination);
    const struct access_line line = {.listener = listener->name,
                                     .protocol = "tcp",
                                     .connection = listener_next_id(listener),
                                     .source = &source,
                                     .destination = &destination,
                                     .backend = backend_pool_name(listener->frame->pool),
                                     .began_ns = worker->now_ns,
                                     .reason = REASON_MAX_CONNECTIONS};

    if (!unknown)
        access_write(worker, &line);
    counter_add(worker->counters, COUNTER_LIMIT_MAX_CONNECTIONS, 1);
    sock_abort(worker->os, fd);
}

/* Whoever comes here lives here, under the settings that are in force. */
static void listener_include(struct listener *listener, struct session *session)
{
    session->frame->users++;
    list_append(&listener->sessions, &session->link);
    listener->session_count++;
    listener_settle(listener);
}

/* NULL: no memory; the user was reset. */
static struct session *listener_begin(struct listener *listener, int fd, const struct addr *local,
                                      struct member *picked, bool counted)
{
    struct worker *worker = listener->options.worker;
    struct session *session =
        session_start(listener->frame, fd, local, listener_next_id(listener), picked);

    if (!session) {
        counter_add(worker->counters, COUNTER_SESSIONS_FAILED, 1);
        listener_dismiss(listener, counted);
        return NULL;
    }
    session->counted = counted;
    listener_include(listener, session);
    return session;
}

/* One of the workers that have it, each in turn. */
static uint32_t listener_place(struct listener *listener, const struct member *member)
{
    uint64_t places = atomic_load(&member->places);
    uint32_t turn = listener->next_worker++ % (uint32_t)__builtin_popcountll(places);

    while (turn--)
        places &= places - 1;
    return (uint32_t)__builtin_ctzll(places);
}

/* ---- from worker to worker: descriptors at birth, later only to follow a member ---- */

struct handed {
    struct mail mail;
    struct listener *from, *to;
    int fd;                          /* at birth */
    struct session_luggage *luggage; /* later; NULL: at birth */
    struct member *picked;           /* held by `from` until the mail is back; NULL: none was */
    bool counted;
    struct handed *before; /* that brought the session to `from`, and goes back then */
};

/* It was counted here until now, so that no drain ends without it: the other worker counts it, or,
 * where it may have said already that it has none, has just seen its end. */
static void handed_returned(struct mail *mail)
{
    struct handed *handed = container_of(mail, struct handed, mail);
    struct listener *from = handed->from;

    if (handed->picked)
        member_drop(handed->picked, from->options.worker);
    if (handed->luggage)
        session_luggage_drop(from->options.worker->os, handed->luggage);
    from->session_count--;
    listener_settle(from);
    if (handed->before)
        handed_return(handed->before);
    mem_free(handed);
}

static void handed_return(struct handed *handed)
{
    handed->mail.run = handed_returned;
    worker_post(handed->from->options.worker, &handed->mail);
}

/* session NULL: it could not go on here. */
static void handed_settle(struct handed *handed, struct session *session)
{
    if (session && handed->to->closing)
        session->carried = handed;
    else
        handed_return(handed);
}

static void handed_arrived(struct mail *mail)
{
    struct handed *handed = container_of(mail, struct handed, mail);
    struct listener *to = handed->to;
    struct session *session = NULL;

    if (to->stopping) {
        sock_abort(to->options.worker->os, handed->fd);
        listener_dismiss(to, handed->counted);
    } else {
        if (handed->picked)
            member_hold(handed->picked, to->options.worker);
        session = listener_begin(to, handed->fd, NULL, handed->picked, handed->counted);
    }
    handed_settle(handed, session);
}

static void handed_resumed(struct mail *mail)
{
    struct handed *handed = container_of(mail, struct handed, mail);
    struct listener *to = handed->to;
    struct session *session = NULL;

    if (!to->stopping)
        session = session_resume(to->frame, handed->luggage);
    if (session) {
        session->counted = handed->counted;
        listener_include(to, session);
    } else {
        counter_add(to->options.worker->counters, COUNTER_SESSIONS_FAILED, 1);
        listener_dismiss(to, handed->counted);
    }
    handed_settle(handed, session);
}

/* Without memory for the message the user is reset, as anywhere else. */
void listener_session_left(void *context, struct session *session, struct session_luggage *luggage)
{
    struct listener *listener = context;
    struct worker *worker = listener->options.worker;
    struct listener_share *share = listener->options.share;
    struct handed *handed = mem_new(sizeof(*handed));

    if (!handed) {
        counter_add(worker->counters, COUNTER_SESSIONS_FAILED, 1);
        member_drop(luggage->picked, worker);
        session_luggage_drop(worker->os, luggage);
        listener_session_ended(listener, session);
        return;
    }
    list_remove(&session->link);
    *handed = (struct handed){.mail.run = handed_resumed,
                              .from = listener,
                              .to = share->by_worker[listener_place(listener, luggage->picked)],
                              .luggage = luggage,
                              .picked = luggage->picked,
                              .counted = session->counted,
                              .before = session->carried};
    listener_frame_put(listener, session->frame);
    counter_add(worker->counters, COUNTER_HANDED_CONNECTIONS, 1);
    member_missed(handed->picked, worker);
    worker_post(handed->to->options.worker, &handed->mail);
}

/* Without memory for the message the session stays here, and is refused if it cannot be. */
static void listener_hand(struct listener *listener, uint32_t worker, int fd, struct member *picked,
                          bool counted)
{
    struct listener *to = listener->options.share->by_worker[worker];
    struct handed *handed = mem_new(sizeof(*handed));

    if (!handed) {
        listener_begin(listener, fd, NULL, picked, counted);
        return;
    }
    *handed = (struct handed){.mail.run = handed_arrived,
                              .from = listener,
                              .to = to,
                              .fd = fd,
                              .picked = picked,
                              .counted = counted};
    listener->session_count++;
    counter_add(listener->options.worker->counters, COUNTER_HANDED_CONNECTIONS, 1);
    worker_post(to->options.worker, &handed->mail);
}

/* Where members are on some workers only, the pick comes first and says where the session lives; it
 * waits for who the user is where a proxy will say. */
static void listener_settle_user(struct listener *listener, int fd, bool counted)
{
    struct worker *worker = listener->options.worker;
    struct addr source = {0};
    struct pick pick = {.worker = worker, .source = &source};
    struct member *picked;

    if (worker->os->peer_addr(worker->os, fd, &source))
        source.length = 0; /* gone already */
    if (listener->frame->accept_proxy != ACCEPT_PROXY_NO && gate_trusts(&listener->gate, &source)) {
        listener_begin(listener, fd, NULL, NULL, counted);
        return;
    }
    picked = backend_pick(listener->options.pool, &pick);
    if (!picked || member_is_at(picked, worker->index)) {
        listener_begin(listener, fd, NULL, picked, counted);
        return;
    }
    member_missed(picked, worker);
    listener_hand(listener, listener_place(listener, picked), fd, picked, counted);
}

/* Whom the kernel had accepted before a drain is served; who comes to a stop is not. */
static bool listener_take(struct listener *listener, const struct tcp_door *door, int fd,
                          bool *counted)
{
    struct worker *worker = listener->options.worker;

    if (listener->stopping) {
        sock_abort(worker->os, fd);
        return false;
    }
    if (!listener_admit(listener, counted)) {
        listener->refused++;
        listener_turn_away(listener, fd);
        return false;
    }
    counter_add(worker->counters, COUNTER_ACCEPTED, 1);
    listener->accepted++;
    if (!door->passes_options)
        sock_tcp_tune(worker->os, fd, &listener->tcp);
    return true;
}

/* Where its users come to, if that is one address: then none of their sockets is asked. */
static const struct addr *door_local(struct tcp_door *door)
{
    const struct addr *asked = &container_of(door, struct tcp_port, door)->asked;
    bool one = addr_family(asked) != AF_UNIX && addr_port(asked) && !addr_is_wildcard(asked);

    return one ? asked : NULL;
}

void listener_accepted(struct tcp_door *door, int fd)
{
    struct listener *listener = door->context;
    bool counted;

    if (!listener_take(listener, door, fd, &counted))
        return;
    if (listener->options.tunnel && listener->options.share->workers > 1)
        listener_settle_user(listener, fd, counted);
    else
        listener_begin(listener, fd, door_local(door), NULL, counted);
}

/* One socket for all workers: each gets its turn, except where the member says who. */
void listener_deal(struct tcp_door *door, int fd)
{
    struct listener *listener = door->context;
    uint32_t workers = listener->options.share->workers;
    uint32_t worker = listener->next_worker++ % workers;
    bool counted;

    if (listener->options.tunnel || worker == listener->options.worker->index)
        listener_accepted(door, fd);
    else if (listener_take(listener, door, fd, &counted))
        listener_hand(listener, worker, fd, NULL, counted);
}

/* ---- when settings change ---- */

void listener_count_all(struct listener *listener)
{
    if (!listener->options.settings->max_connections)
        return;
    for (struct list *link = listener->sessions.next; link != &listener->sessions;
         link = link->next) {
        struct session *session = container_of(link, struct session, link);

        if (!session->counted)
            atomic_fetch_add(&listener->options.share->connections, 1);
        session->counted = true;
    }
}

void listener_forbid(struct listener *listener)
{
    for (struct list *link = listener->sessions.next; link != &listener->sessions;
         link = link->next) {
        struct session *session = container_of(link, struct session, link);

        if (session_was_admitted(session) && gate_forbids(&listener->gate, &session->source))
            session_stop(session, REASON_SOURCE_DENIED);
    }
    if (listener->has_datagrams)
        udp_sessions_forbid(&listener->datagrams);
}
