/* Users: scripted clients on the simulated kernel, who check every byte they get. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/kernel.h"

enum { BITE = 16384 }; /* most bytes of one read or write */

struct sim_socket *sim_actor_socket(struct sim_host *host, enum sim_kind kind, int family,
                                    void (*ready)(struct sim_socket *socket), void *actor)
{
    struct sim_socket *socket = sim_socket_new(host, kind, family);

    socket->references = 1;
    socket->ready = ready;
    socket->actor = actor;
    return socket;
}

static void user_ended(struct sim_user *user, enum sim_user_end end)
{
    struct sim_socket *socket = user->socket;

    sim_trace(user->sim, "user ended", user->id, user->received, (int64_t)end);
    user->end = end;
    user->socket = NULL;
    socket->linger_zero = end == SIM_USER_FAILED;
    sim_socket_close(socket);
}

/* ---- TCP ---- */
static void user_ready(struct sim_socket *socket);

static void read_resumed(struct sim *sim, void *subject, uint64_t detail)
{
    struct sim_user *user = subject;

    user->read_paused = false;
    if (user->socket)
        user_ready(user->socket);
}

static void write_resumed(struct sim *sim, void *subject, uint64_t detail)
{
    struct sim_user *user = subject;

    user->write_paused = false;
    if (user->socket)
        user_ready(user->socket);
}

static uint64_t expected(const struct sim_user *user)
{
    if (user->script.echo)
        return user->script.up;
    return user->script.up < HISTORY_HEAD ? 0 : user->script.down;
}

static void user_saw_end(struct sim_user *user)
{
    user->saw_end = true;
    if (user->received < expected(user))
        sim_fault(user->sim, "user %u: FIN after %llu of %llu bytes: cut short, but looks complete",
                  user->id, (unsigned long long)user->received, (unsigned long long)expected(user));
}

/* Whether to read on. */
static bool user_took(struct sim_user *user, const uint8_t *data, size_t length)
{
    if (!history_check(user, user->script.echo, user->received, data, length))
        sim_fault(user->sim, "user %u: wrong bytes after %llu", user->id,
                  (unsigned long long)user->received);
    user->received += length;
    if (user->received > expected(user))
        sim_fault(user->sim, "user %u: more bytes than were sent", user->id);
    if (user->script.reset_after && user->received >= user->script.reset_after) {
        user_ended(user, SIM_USER_FAILED);
        return false;
    }
    if (!user->script.read_pause_ns)
        return true;
    user->read_paused = true;
    sim_schedule(user->sim, user->sim->now_ns + user->script.read_pause_ns, read_resumed, user, 0);
    return false;
}

static void user_read(struct sim_user *user)
{
    static uint8_t data[BITE];
    const struct iovec part = {data, sizeof(data)};

    while (user->socket && !user->read_paused && !user->saw_end) {
        int length = sim_tcp_recv(user->socket, &part, 1);

        if (length == -EAGAIN)
            return;
        if (length < 0)
            user_ended(user, SIM_USER_FAILED);
        else if (length == 0)
            user_saw_end(user);
        else if (!user_took(user, data, (size_t)length))
            return;
    }
}

static void user_write(struct sim_user *user)
{
    static uint8_t data[BITE];

    while (user->socket && !user->write_paused && user->sent < user->script.up) {
        uint64_t left = user->script.up - user->sent;
        struct iovec part = {data, left < BITE ? left : BITE};
        int length;

        history_bytes(user, true, user->sent, data, part.iov_len);
        length = sim_tcp_send(user->socket, &part, 1, 0);
        if (length == -EAGAIN)
            return;
        if (length < 0) {
            user_ended(user, SIM_USER_FAILED);
            return;
        }
        user->sent += (uint64_t)length;
        if (!user->script.write_pause_ns)
            continue;
        user->write_paused = true;
        sim_schedule(user->sim, user->sim->now_ns + user->script.write_pause_ns, write_resumed,
                     user, 0);
    }
}

static void user_finish(struct sim_user *user)
{
    if (!user->socket || user->sent < user->script.up)
        return;
    if (!user->sent_end && (!user->script.keep_open || user->saw_end)) {
        user->sent_end = true;
        if (sim_tcp_shutdown(user->socket, SHUT_WR) < 0) {
            user_ended(user, SIM_USER_FAILED);
            return;
        }
    }
    if (user->saw_end && user->sent_end)
        user_ended(user, SIM_USER_COMPLETE);
}

static void user_ready(struct sim_socket *socket)
{
    struct sim_user *user = socket->actor;

    if (socket->state == SIM_CONNECTING)
        return;
    if (!user->connected && socket->state == SIM_DEAD) {
        user_ended(user, SIM_USER_REFUSED);
        return;
    }
    user->connected = true;
    user_read(user);
    user_write(user);
    user_finish(user);
}

static void patience_over(struct sim *sim, void *subject, uint64_t detail)
{
    struct sim_user *user = subject;

    if (user->socket)
        user_ended(user, SIM_USER_FAILED);
}

static struct sim_user *user_new(struct sim_host *host)
{
    struct sim_user *user = sim_alloc(sizeof(*user));

    user->sim = host->sim;
    user->id = ++host->sim->user_count;
    user->next = host->sim->users;
    host->sim->users = user;
    return user;
}

struct sim_user *sim_user(struct sim_host *host, const struct addr *server,
                          const struct sim_user_script *script)
{
    struct sim *sim = host->sim;
    struct sim_user *user = user_new(host);

    user->script = *script;
    if (!user->script.patience_ns)
        user->script.patience_ns = 60 * SIM_SECOND;
    user->socket = sim_actor_socket(host, SIM_TCP, addr_family(server), user_ready, user);
    must(sim_tcp_connect(user->socket, server) == 0);
    sim_schedule(sim, sim->now_ns + user->script.patience_ns, patience_over, user, 0);
    return user;
}

/* ---- UDP ---- */
struct datagram_head {
    uint32_t user, number;
};

static void datagram_bytes(const struct sim_user *user, uint32_t number, uint8_t *data)
{
    const struct datagram_head head = {user->id, number};

    history_fill(history_key(user->sim->options.seed, user->id, true) ^ number, 0, data,
                 user->datagrams.size);
    memcpy(data, &head, sizeof(head));
}

static void answer_check(struct sim_user *user, const uint8_t *data, size_t length)
{
    static uint8_t wanted[65536];
    struct datagram_head head;

    memcpy(&head, data, sizeof(head));
    if (length != user->datagrams.size || head.user != user->id || head.number >= user->sent) {
        sim_fault(user->sim, "user %u: an answer that is not for it", user->id);
        return;
    }
    datagram_bytes(user, head.number, wanted);
    if (memcmp(wanted, data, length) != 0)
        sim_fault(user->sim, "user %u: datagram %u was changed", user->id, head.number);
    user->answers += !user->answered[head.number];
    user->answered[head.number] = true;
}

static void udp_ready(struct sim_socket *socket)
{
    static uint8_t data[65536];
    struct sim_user *user = socket->actor;
    struct sim_received in;

    for (;;) {
        int length = sim_udp_recv(socket, data, sizeof(data), &in);

        if (length == -EAGAIN)
            break;
        if (length >= 0)
            answer_check(user, data, (size_t)length);
    }
    if (user->answers == user->datagrams.count)
        user_ended(user, SIM_USER_COMPLETE);
}

static void udp_flight(struct sim *sim, void *subject, uint64_t detail)
{
    static uint8_t data[65536];
    struct sim_user *user = subject;

    for (uint32_t i = 0; i < user->datagrams.flight && user->socket; i++) {
        struct iovec part = {data, user->datagrams.size};
        struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};

        if (user->sent == user->datagrams.count)
            return;
        datagram_bytes(user, (uint32_t)user->sent++, data);
        sim_udp_send(user->socket, &message);
    }
    sim_schedule(sim, sim->now_ns + user->datagrams.pause_ns, udp_flight, user, 0);
}

struct sim_user *sim_udp_user(struct sim_host *host, const struct addr *server,
                              const struct sim_datagrams *script)
{
    struct sim_user *user = user_new(host);

    must(script->size >= sizeof(struct datagram_head));
    user->is_udp = true;
    user->datagrams = *script;
    if (!user->datagrams.flight)
        user->datagrams.flight = 1;
    if (!user->datagrams.pause_ns)
        user->datagrams.pause_ns = SIM_MS;
    user->answered = sim_alloc(script->count * sizeof(bool));
    user->socket = sim_actor_socket(host, SIM_UDP, addr_family(server), udp_ready, user);
    must(sim_udp_connect(user->socket, server) == 0);
    sim_schedule(host->sim, host->sim->now_ns, udp_flight, user, 0);
    sim_schedule(host->sim, host->sim->now_ns + 20 * SIM_SECOND, patience_over, user, 0);
    return user;
}

/* ---- what became of them ---- */
enum sim_user_end sim_user_end(const struct sim_user *user)
{
    return user->end;
}

uint64_t sim_user_received(const struct sim_user *user)
{
    return user->received;
}

uint32_t sim_user_answers(const struct sim_user *user)
{
    return user->answers;
}

struct sim_user *sim_user_of(struct sim *sim, uint32_t id)
{
    struct sim_user *user = sim->users;

    while (user && user->id != id)
        user = user->next;
    return user;
}

bool sim_users_ended(void *context)
{
    const struct sim *sim = context;

    for (const struct sim_user *user = sim->users; user; user = user->next) {
        if (user->end == SIM_USER_RUNNING)
            return false;
    }
    return true;
}

uint32_t sim_users_complete(const struct sim *sim)
{
    uint32_t count = 0;

    for (const struct sim_user *user = sim->users; user; user = user->next)
        count += user->end == SIM_USER_COMPLETE;
    return count;
}

void sim_users_free(struct sim *sim)
{
    struct sim_user *user;

    while ((user = sim->users)) {
        sim->users = user->next;
        if (user->socket)
            user_ended(user, SIM_USER_FAILED);
        free(user->answered);
        free(user);
    }
}
