#include "relay/udp_ferry.h"

#include <stdio.h>
#include <string.h>

#include "core/mem.h"

enum { CARGO_FIRST = 512, CARGO_SIZE = 8192, WAITING_MAX = 256 * 1024 };

struct udp_ferry;

/* Datagrams of one turn: each a length of two bytes, then its bytes. */
struct cargo {
    struct mail mail;
    struct ferry_pier *from;
    uint32_t size, used;
    uint8_t bytes[];
};

/* What one worker has of the ferry; its own, but for `waiting`. */
struct ferry_pier {
    struct udp_ferry *ferry;
    struct worker *worker;
    struct cargo *cargo; /* being loaded; NULL: none */
    struct task leaving;
    _Atomic uint32_t waiting; /* memory that is on its way from here */
};

struct udp_ferry {
    struct datagram_end end; /* near */
    struct ferry_pier near, far;
    _Atomic uint32_t references; /* each pier has one, and each message on its way */
    /* Far. */
    udp_ferry_open_fn *open;
    struct member *member;
    struct datagram_request request;
    struct datagram_end *carried; /* NULL: not open yet, or gone */
    /* Near. */
    bool stopped, arrived; /* arrived: closed() was called */
    /* Messages that come once each, and what they say. */
    struct mail open_mail, stop_mail, closed_mail;
    enum reason stop_reason, closed_reason;
    char service[65];
};

static void ferry_drop(struct udp_ferry *ferry)
{
    if (atomic_fetch_sub(&ferry->references, 1) == 1)
        mem_free(ferry);
}

/* With a reference of its own, which its reader drops. */
static void ferry_post(struct udp_ferry *ferry, const struct ferry_pier *to, struct mail *mail,
                       mail_fn *run)
{
    atomic_fetch_add(&ferry->references, 1);
    mail->run = run;
    worker_post(to->worker, mail);
}

/* ---- datagrams, either way ---- */

static void cargo_arrived(struct mail *mail);

static void pier_ship(struct ferry_pier *pier)
{
    struct udp_ferry *ferry = pier->ferry;
    struct cargo *cargo = pier->cargo;

    if (!cargo)
        return;
    pier->cargo = NULL;
    ferry_post(ferry, pier == &ferry->near ? &ferry->far : &ferry->near, &cargo->mail,
               cargo_arrived);
}

static void pier_turn_ends(struct task *task)
{
    pier_ship(container_of(task, struct ferry_pier, leaving));
}

/* Room for so many bytes more of this turn: quiet turns come with little, others with much. */
static bool pier_make_room(struct ferry_pier *pier, uint32_t need)
{
    uint32_t used, size, before;
    struct cargo *cargo;

    if (pier->cargo && pier->cargo->used + need > CARGO_SIZE)
        pier_ship(pier);
    used = pier->cargo ? pier->cargo->used : 0;
    before = pier->cargo ? pier->cargo->size : 0;
    if (used + need <= before)
        return true;
    size = used + need <= CARGO_FIRST ? CARGO_FIRST : CARGO_SIZE;
    if (size < need)
        size = need;
    cargo = mem_resize(pier->cargo, sizeof(*cargo) + size);
    if (!cargo)
        return false;
    cargo->from = pier;
    cargo->size = size;
    cargo->used = used;
    pier->cargo = cargo;
    atomic_fetch_add(&pier->waiting, size - before);
    return true;
}

/* False: too much is on its way, or there is no memory for more. */
static bool pier_load(struct ferry_pier *pier, const uint8_t *data, uint32_t length)
{
    uint16_t head = (uint16_t)length;
    uint32_t need = (uint32_t)sizeof(head) + length;
    struct cargo *cargo;

    if (length > UINT16_MAX || atomic_load(&pier->waiting) + need > WAITING_MAX ||
        !pier_make_room(pier, need))
        return false;
    cargo = pier->cargo;
    memcpy(cargo->bytes + cargo->used, &head, sizeof(head));
    memcpy(cargo->bytes + cargo->used + sizeof(head), data, length);
    cargo->used += need;
    worker_defer(pier->worker, &pier->leaving);
    return true;
}

static void pier_take(struct ferry_pier *pier, const uint8_t *data, uint32_t length)
{
    struct counters *counters = pier->worker->counters;

    if (pier_load(pier, data, length))
        counter_add(counters, COUNTER_CARRIED_DATAGRAMS, 1);
    else
        counter_add(counters, COUNTER_LIMIT_HANDED, 1);
}

/* Each may end what it is for. */
static void ferry_deliver(struct udp_ferry *ferry, bool far, const uint8_t *data, uint32_t length)
{
    if (far && ferry->carried)
        datagram_send(ferry->carried, data, length);
    else if (!far && !ferry->stopped && !ferry->arrived)
        ferry->end.events->received(&ferry->end, data, length);
}

static void cargo_arrived(struct mail *mail)
{
    struct cargo *cargo = container_of(mail, struct cargo, mail);
    struct udp_ferry *ferry = cargo->from->ferry;
    bool far = cargo->from == &ferry->near;
    uint16_t length;

    for (uint32_t at = 0; at < cargo->used; at += (uint32_t)sizeof(length) + length) {
        memcpy(&length, cargo->bytes + at, sizeof(length));
        ferry_deliver(ferry, far, cargo->bytes + at + sizeof(length), length);
    }
    atomic_fetch_sub(&cargo->from->waiting, cargo->size);
    mem_free(cargo);
    ferry_drop(ferry);
}

/* What it loaded and did not ship goes with it. */
static void pier_leave(struct ferry_pier *pier)
{
    task_cancel(&pier->leaving);
    mem_free(pier->cargo);
    pier->cargo = NULL;
    ferry_drop(pier->ferry);
}

/* ---- far ---- */

static void ferry_closed(struct mail *mail);

/* What came before comes first; nothing of the far pier is touched after this. */
static void ferry_far_ends(struct udp_ferry *ferry, enum reason reason)
{
    ferry->carried = NULL;
    ferry->closed_reason = reason;
    pier_ship(&ferry->far);
    ferry_post(ferry, &ferry->near, &ferry->closed_mail, ferry_closed);
    pier_leave(&ferry->far);
}

static void carried_received(struct datagram_end *end, const uint8_t *data, uint32_t length)
{
    struct udp_ferry *ferry = end->owner;

    pier_take(&ferry->far, data, length);
}

static void carried_closed(struct datagram_end *end, enum reason reason)
{
    struct udp_ferry *ferry = end->owner;

    datagram_free(end);
    ferry_far_ends(ferry, reason);
}

static const struct datagram_events carried_events = {.received = carried_received,
                                                      .closed = carried_closed};

static void ferry_opens(struct mail *mail)
{
    struct udp_ferry *ferry = container_of(mail, struct udp_ferry, open_mail);
    enum reason reason;

    ferry->carried = ferry->open(ferry->member, ferry->far.worker, &ferry->request, &reason);
    if (ferry->carried) {
        ferry->carried->events = &carried_events;
        ferry->carried->owner = ferry;
    } else {
        ferry_far_ends(ferry, reason);
    }
    ferry_drop(ferry);
}

static void ferry_stops(struct mail *mail)
{
    struct udp_ferry *ferry = container_of(mail, struct udp_ferry, stop_mail);

    if (ferry->carried)
        datagram_stop(ferry->carried, ferry->stop_reason);
    ferry_drop(ferry);
}

/* ---- near ---- */

static void ferry_closed(struct mail *mail)
{
    struct udp_ferry *ferry = container_of(mail, struct udp_ferry, closed_mail);

    ferry->arrived = true;
    ferry->end.events->closed(&ferry->end,
                              ferry->stopped ? ferry->stop_reason : ferry->closed_reason);
    ferry_drop(ferry);
}

static struct udp_ferry *ferry_of(struct datagram_end *end)
{
    return container_of(end, struct udp_ferry, end);
}

static void ferry_send(struct datagram_end *end, const uint8_t *data, uint32_t length)
{
    struct udp_ferry *ferry = ferry_of(end);

    if (!ferry->stopped && !ferry->arrived)
        pier_take(&ferry->near, data, length);
}

static void ferry_stop(struct datagram_end *end, enum reason reason)
{
    struct udp_ferry *ferry = ferry_of(end);

    if (ferry->stopped || ferry->arrived)
        return;
    ferry->stopped = true;
    ferry->stop_reason = reason;
    pier_ship(&ferry->near);
    ferry_post(ferry, &ferry->far, &ferry->stop_mail, ferry_stops);
}

static void ferry_free(struct datagram_end *end)
{
    pier_leave(&ferry_of(end)->near);
}

static const struct datagram_ops ferry_ops = {
    .send = ferry_send,
    .stop = ferry_stop,
    .free = ferry_free,
};

static void pier_init(struct ferry_pier *pier, struct udp_ferry *ferry, struct worker *worker)
{
    pier->ferry = ferry;
    pier->worker = worker;
    task_init(&pier->leaving, pier_turn_ends);
}

struct datagram_end *udp_ferry_new(struct worker *near, struct worker *far, struct member *member,
                                   const struct datagram_request *request, udp_ferry_open_fn *open)
{
    struct udp_ferry *ferry = mem_new(sizeof(*ferry));

    if (!ferry)
        return NULL;
    ferry->end.ops = &ferry_ops;
    pier_init(&ferry->near, ferry, near);
    pier_init(&ferry->far, ferry, far);
    ferry->references = 2;
    ferry->open = open;
    ferry->member = member;
    ferry->request = *request;
    snprintf(ferry->service, sizeof(ferry->service), "%s", request->service);
    ferry->request.service = ferry->service;
    ferry_post(ferry, &ferry->far, &ferry->open_mail, ferry_opens);
    return &ferry->end;
}
