/* Services behind what is measured: an echo and a sink, TCP and UDP on one port. */
#include <errno.h>
#include <stdio.h>

#include "bench/load/load.h"
#include "core/sock.h"
#include "core/stream.h"
#include "core/tcp_end.h"
#include "core/udp_end.h"

enum { CONTROL = 128, RECEIVE_LIMIT = 256 << 10, QUIET_NS = 100000000, BIND_TRIES = 20 };

struct service {
    struct load_worker load;
    bool echo;
    int tcp, udp;
    struct op accept_op, receive_op;
    struct msghdr message;
    struct udp_sender *sender;
    uint32_t open;
    uint64_t bytes, datagrams;
    uint64_t first_ns, last_ns; /* of what arrived */
};

static void service_note(struct service *service, uint64_t bytes)
{
    service->last_ns = service->load.worker.now_ns;
    if (!service->first_ns)
        service->first_ns = service->last_ns;
    service->bytes += bytes;
}

/* ---- TCP ---- */
static void guest_received(struct stream *stream, struct piece *piece)
{
    struct service *service = stream->owner;
    uint32_t length = piece->length;

    service_note(service, length);
    if (service->echo)
        stream_write(stream, piece);
    else
        piece_free(piece);
    stream_consumed(stream, length);
}

static void guest_ended(struct stream *stream)
{
    stream_finish(stream);
}

static void guest_drained(struct stream *stream, uint64_t length)
{
}

static void guest_closed(struct stream *stream, enum reason reason)
{
    ((struct service *)stream->owner)->open--;
    stream_free(stream);
}

static const struct stream_events guest_events = {guest_received, guest_ended, guest_drained,
                                                  guest_closed};

static void service_accepted(struct op *op, struct op_result result)
{
    struct service *service = container_of(op, struct service, accept_op);
    const struct tcp_options tcp = {.congestion = "cubic"};
    struct stream *stream;

    if (result.res >= 0) {
        sock_tcp_tune(&os_linux, result.res, &tcp);
        stream = tcp_end_new(&service->load.worker, result.res);
        must(stream);
        service->open++;
        stream->events = &guest_events;
        stream->owner = service;
        stream->receive_limit = RECEIVE_LIMIT;
        stream_start(stream);
    }
    if (result.final)
        ring_accept_multi(service->load.worker.ring, op, service->tcp);
}

/* ---- UDP ---- */
static void service_arm(struct service *service)
{
    service->message =
        (struct msghdr){.msg_namelen = sizeof(struct sockaddr_storage), .msg_controllen = CONTROL};
    ring_recvmsg_multi(service->load.worker.ring, &service->receive_op, service->udp,
                       &service->load.worker.udp_group, &service->message);
}

static void service_datagrams(struct service *service, const struct datagram_in *in)
{
    uint32_t step = in->segment ? in->segment : in->length, length;

    service_note(service, in->length);
    for (uint32_t at = 0; at < in->length; at += step) {
        length = in->length - at < step ? in->length - at : step;
        service->datagrams++;
        if (service->echo)
            udp_sender_send(service->sender, &in->peer, NULL, in->data + at, length);
    }
}

static void service_received(struct op *op, struct op_result result)
{
    struct service *service = container_of(op, struct service, receive_op);
    struct datagram_in in;

    if (result.chunk) {
        if (ring_datagram(op, result, &in))
            service_datagrams(service, &in);
        chunk_drop(result.chunk);
    }
    if (!result.final)
        return;
    if (result.res == -ENOBUFS)
        ring_wait_for_chunks(service->load.worker.ring, op);
    else
        service_arm(service);
}

/* ---- both ---- */
static bool service_bind(struct service *service, const struct addr *addr)
{
    service->tcp = sock_tcp_listen(&os_linux, addr, 4096);
    if (service->tcp < 0)
        return false;
    service->udp = sock_udp_bind(&os_linux, addr, false, false);
    if (service->udp < 0)
        os_linux.close(&os_linux, service->tcp);
    return service->udp >= 0;
}

/* A ring that ended a moment ago may still hold the port. */
static bool service_open(struct service *service, const struct load_options *options)
{
    int tries = BIND_TRIES;

    if (!load_open(&service->load))
        return false;
    while (!service_bind(service, &options->addr) && --tries)
        load_turn(&service->load, os_linux.clock_ns(&os_linux) + QUIET_NS);
    if (!tries) {
        fprintf(stderr, "bench-load: the port is taken\n");
        return false;
    }
    service->sender = udp_sender_new(&service->load.worker, service->udp);
    op_init(&service->accept_op, service_accepted);
    op_init(&service->receive_op, service_received);
    ring_accept_multi(service->load.worker.ring, &service->accept_op, service->tcp);
    service_arm(service);
    return service->sender;
}

static void service_print(const struct service *service)
{
    double seconds = (double)(service->last_ns - service->first_ns) / 1e9;

    printf("{\"bytes\": %llu, \"datagrams\": %llu, \"seconds\": %.3f}\n",
           (unsigned long long)service->bytes, (unsigned long long)service->datagrams, seconds);
    fflush(stdout);
}

/* Ends by the process's end: what is open then has no reader any more. */
static int service_run(const struct load_options *options, bool echo)
{
    static struct service service;

    service.echo = echo;
    if (!service_open(&service, options))
        return 1;
    while (!load_signalled())
        load_turn(&service.load, os_linux.clock_ns(&os_linux) + QUIET_NS);
    service_print(&service);
    return 0;
}

int load_echo(const struct load_options *options)
{
    return service_run(options, true);
}

int load_discard(const struct load_options *options)
{
    return service_run(options, false);
}
