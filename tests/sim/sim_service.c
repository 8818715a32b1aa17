/* Services: what stands behind a relay, well behaved or not. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/kernel.h"

enum { BITE = 16384, ECHO_BITE = 4096 };

struct sim_service {
    struct sim_service *next;
    struct sim *sim;
    struct sim_socket *socket;
    enum sim_service_kind kind;
    uint32_t accepted;
    struct sim_guest *guests;
};

struct sim_guest { /* one accepted connection */
    struct sim_guest *next;
    struct sim_service *service;
    struct sim_socket *socket; /* NULL once ended */
    struct sim_user *user;     /* NULL until its first bytes told */
    uint8_t head[HISTORY_HEAD];
    uint64_t received, sent, down;
    uint8_t echo[ECHO_BITE];
    uint32_t echo_length, echo_sent;
    bool read_paused, write_paused, saw_end, sent_end;
};

static void guest_ready(struct sim_socket *socket);

static void guest_ended(struct sim_guest *guest, bool reset)
{
    struct sim_socket *socket = guest->socket;

    guest->socket = NULL;
    socket->linger_zero = reset;
    sim_socket_close(socket);
}

static void guest_resumed(struct sim *sim, void *subject, uint64_t detail)
{
    struct sim_guest *guest = subject;

    if (detail)
        guest->read_paused = false;
    else
        guest->write_paused = false;
    if (guest->socket)
        guest_ready(guest->socket);
}

static void guest_pause(struct sim_guest *guest, bool read)
{
    struct sim *sim = guest->service->sim;

    if (guest->service->kind != SIM_SLOW)
        return;
    if (read)
        guest->read_paused = true;
    else
        guest->write_paused = true;
    sim_schedule(sim, sim->now_ns + SIM_MS + sim_random(sim, 10 * SIM_MS), guest_resumed, guest,
                 read);
}

/* ---- what comes in ---- */
static void guest_named(struct sim_guest *guest)
{
    struct sim *sim = guest->service->sim;
    struct history_head head;

    if (history_parse(guest->head, &head))
        guest->user = sim_user_of(sim, head.user);
    if (!guest->user) {
        sim_fault(sim, "a service got bytes that no user sent");
        return;
    }
    guest->down = guest->user->script.down;
}

static void guest_took(struct sim_guest *guest, const uint8_t *data, size_t length)
{
    struct sim *sim = guest->service->sim;
    bool named = guest->received >= HISTORY_HEAD;

    for (size_t i = 0; i < length && guest->received + i < HISTORY_HEAD; i++)
        guest->head[guest->received + i] = data[i];
    if (!named && guest->received + length >= HISTORY_HEAD)
        guest_named(guest);
    if (guest->user && !history_check(guest->user, true, guest->received, data, length))
        sim_fault(sim, "service of user %u: wrong bytes after %llu", guest->user->id,
                  (unsigned long long)guest->received);
    guest->received += length;
}

static bool user_said_all(const struct sim_user *user, uint64_t length)
{
    return !user->is_udp && user->sent_end && user->script.up == length;
}

/* FIN must not come before the user has sent it, behind all its bytes.  A user of too few bytes to
 * name itself may be any that sent so many. */
static void guest_saw_end(struct sim_guest *guest)
{
    struct sim *sim = guest->service->sim;
    const struct sim_user *user = guest->user ? guest->user : sim->users;

    guest->saw_end = true;
    while (!guest->user && user && !user_said_all(user, guest->received))
        user = user->next;
    if (!user || !user_said_all(user, guest->received))
        sim_fault(sim, "service of user %u: FIN after %llu bytes: cut short, but looks complete",
                  guest->user ? guest->user->id : 0, (unsigned long long)guest->received);
}

static bool guest_wants(const struct sim_guest *guest)
{
    if (!guest->socket || guest->read_paused || guest->saw_end)
        return false;
    return guest->service->kind != SIM_SILENT && guest->echo_sent == guest->echo_length;
}

static void guest_read(struct sim_guest *guest)
{
    static uint8_t data[BITE];
    bool echo = guest->service->kind == SIM_ECHO;
    const struct iovec part = {echo ? guest->echo : data, echo ? ECHO_BITE : BITE};

    while (guest_wants(guest)) {
        int length = sim_tcp_recv(guest->socket, &part, 1);

        if (length == -EAGAIN)
            return;
        if (length < 0) {
            guest_ended(guest, false);
        } else if (length == 0) {
            guest_saw_end(guest);
        } else {
            guest_took(guest, part.iov_base, (size_t)length);
            guest_pause(guest, true);
            if (echo) {
                guest->echo_length = (uint32_t)length;
                guest->echo_sent = 0;
            }
        }
    }
}

/* ---- what goes out ---- */
static int guest_write_some(struct sim_guest *guest)
{
    static uint8_t data[BITE];
    uint64_t left = guest->down - guest->sent;
    struct iovec part = {data, left < BITE ? left : BITE};

    if (guest->service->kind == SIM_ECHO) {
        part =
            (struct iovec){guest->echo + guest->echo_sent, guest->echo_length - guest->echo_sent};
    } else if (guest->user) {
        history_bytes(guest->user, false, guest->sent, data, part.iov_len);
    }
    return part.iov_len ? sim_tcp_send(guest->socket, &part, 1, 0) : 0;
}

static void guest_write(struct sim_guest *guest)
{
    while (guest->socket && !guest->write_paused) {
        int length = guest_write_some(guest);

        if (length == -EAGAIN || length == 0)
            return;
        if (length < 0) {
            guest_ended(guest, false);
            return;
        }
        guest->sent += (uint64_t)length;
        if (guest->service->kind == SIM_ECHO)
            guest->echo_sent += (uint32_t)length;
        guest_pause(guest, false);
        if (guest->service->kind == SIM_CUT && guest->sent > guest->down / 2)
            guest_ended(guest, true);
    }
}

static bool guest_said_all(const struct sim_guest *guest)
{
    if (guest->service->kind == SIM_SILENT)
        return false;
    if (guest->service->kind == SIM_ECHO)
        return guest->saw_end && guest->echo_sent == guest->echo_length;
    return (guest->saw_end || guest->user) && guest->sent == guest->down;
}

static void guest_finish(struct sim_guest *guest)
{
    if (!guest->socket)
        return;
    if (!guest->sent_end && guest_said_all(guest)) {
        guest->sent_end = true;
        sim_tcp_shutdown(guest->socket, SHUT_WR);
    }
    if (guest->sent_end && guest->saw_end)
        guest_ended(guest, false);
}

static void guest_ready(struct sim_socket *socket)
{
    struct sim_guest *guest = socket->actor;

    do {
        guest_read(guest);
        guest_write(guest);
    } while (guest->service->kind == SIM_ECHO && guest_wants(guest) &&
             (sim_tcp_poll(guest->socket) & POLLIN));
    if (guest->socket && guest->service->kind == SIM_RESET && guest->received)
        guest_ended(guest, true);
    guest_finish(guest);
}

/* ---- listening ---- */
static void service_took(struct sim_service *service, struct sim_socket *socket)
{
    struct sim_guest *guest = sim_alloc(sizeof(*guest));

    service->accepted++;
    guest->service = service;
    guest->next = service->guests;
    service->guests = guest;
    guest->socket = socket;
    socket->references = 1;
    socket->actor = guest;
    if (service->kind == SIM_CLOSE) {
        guest_ended(guest, false);
        return;
    }
    socket->ready = guest_ready;
    guest_ready(socket);
}

static void service_ready(struct sim_socket *listener)
{
    struct sim_socket *socket;

    while ((socket = sim_tcp_accept(listener)))
        service_took(listener->actor, socket);
}

static void udp_service_ready(struct sim_socket *socket)
{
    static uint8_t data[65536];
    struct sim_service *service = socket->actor;
    struct sim_received in;

    for (;;) {
        int length = sim_udp_recv(socket, data, sizeof(data), &in);
        struct iovec part = {data, length > 0 ? (size_t)length : 0};
        struct msghdr message = {.msg_iov = &part,
                                 .msg_iovlen = 1,
                                 .msg_name = &in.from.sa,
                                 .msg_namelen = in.from.length};

        if (length == -EAGAIN)
            return;
        service->accepted++;
        if (length >= 0)
            sim_udp_send(socket, &message);
    }
}

struct sim_service *sim_service(struct sim_host *host, enum sim_service_kind kind, uint16_t port)
{
    struct sim_service *service = sim_alloc(sizeof(*service));
    bool udp = kind == SIM_UDP_ECHO;
    struct addr addr;

    must(addr_from_host(&addr, "0.0.0.0", port) == 0);
    service->sim = host->sim;
    service->kind = kind;
    service->next = host->sim->services;
    host->sim->services = service;
    service->socket = sim_actor_socket(host, udp ? SIM_UDP : SIM_TCP, AF_INET,
                                       udp ? udp_service_ready : service_ready, service);
    must(sim_bind(service->socket, &addr) == 0);
    if (!udp)
        must(sim_tcp_listen(service->socket, 128) == 0);
    service->socket->black_hole = kind == SIM_BLACK_HOLE;
    return service;
}

void sim_service_stop(struct sim_service *service)
{
    if (service->socket)
        sim_socket_close(service->socket);
    service->socket = NULL;
}

uint32_t sim_service_accepted(const struct sim_service *service)
{
    return service->accepted;
}

void sim_services_free(struct sim *sim)
{
    struct sim_service *service;
    struct sim_guest *guest;

    while ((service = sim->services)) {
        sim->services = service->next;
        sim_service_stop(service);
        while ((guest = service->guests)) {
            service->guests = guest->next;
            if (guest->socket)
                guest_ended(guest, true);
            free(guest);
        }
        free(service);
    }
}
