/* Datagrams through the ring: batches of equal ones out of one core, coalesced into another. */
#include <errno.h>
#include <netinet/udp.h>

#include "bench/stage/stage.h"

enum { BATCHES = 4, CONTROL = 64 };

struct out {
    struct op op;
    struct end *end;
    struct msghdr message;
    struct iovec part;
    _Alignas(8) uint8_t control[CONTROL];
};

struct flood {
    uint32_t packet, segments;
    int fd;
    bool ending;
    struct out out[BATCHES];
    uint8_t bytes[65536];
};

struct drain {
    int fd;
    struct op op;
    struct msghdr message;
};

/* ---- out ---- */
static void out_send(struct out *out)
{
    struct flood *flood = out->end->own;
    struct cmsghdr *header = (struct cmsghdr *)(void *)out->control;
    uint16_t segment = (uint16_t)flood->packet;

    out->part = (struct iovec){flood->bytes, (size_t)flood->packet * flood->segments};
    out->message = (struct msghdr){.msg_iov = &out->part, .msg_iovlen = 1};
    if (flood->segments > 1) {
        memset(header, 0, CMSG_SPACE(sizeof(segment)));
        header->cmsg_level = SOL_UDP;
        header->cmsg_type = UDP_SEGMENT;
        header->cmsg_len = CMSG_LEN(sizeof(segment));
        memcpy(CMSG_DATA(header), &segment, sizeof(segment));
        out->message.msg_control = out->control;
        out->message.msg_controllen = CMSG_SPACE(sizeof(segment));
    }
    ring_sendmsg(out->end->real.worker.ring, &out->op, flood->fd, &out->message, 0);
}

static void out_sent(struct op *op, struct op_result result)
{
    struct out *out = container_of(op, struct out, op);
    struct flood *flood = out->end->own;

    if (result.res > 0) {
        out->end->bytes += (uint64_t)result.res;
        out->end->packets += flood->segments;
        out->end->batches++;
    }
    if (!flood->ending)
        out_send(out);
}

static void flood_start(struct end *end)
{
    struct flood *flood = end->own;

    flood->fd = sock_udp_connect(&os_linux, end->addr);
    must(flood->fd >= 0);
    for (int i = 0; i < BATCHES; i++) {
        flood->out[i].end = end;
        op_init(&flood->out[i].op, out_sent);
        out_send(&flood->out[i]);
    }
}

static void flood_finish(struct end *end)
{
    struct flood *flood = end->own;

    flood->ending = true;
    for (int i = 0; i < BATCHES; i++)
        (void)turn_until(&end->real, !flood->out[i].op.busy);
    close(flood->fd);
}

/* ---- in ---- */
static void drain_arm(struct end *end)
{
    struct drain *drain = end->own;

    drain->message =
        (struct msghdr){.msg_namelen = sizeof(struct sockaddr_storage), .msg_controllen = CONTROL};
    ring_recvmsg_multi(end->real.worker.ring, &drain->op, drain->fd, &end->real.worker.udp_group,
                       &drain->message);
}

static void drain_received(struct op *op, struct op_result result)
{
    struct worker *worker = container_of(op->group, struct worker, udp_group);
    struct end *end = end_of(worker);
    struct datagram_in in;

    if (result.chunk) {
        if (ring_datagram(op, result, &in)) {
            end->bytes += in.length;
            end->packets += in.segment ? (in.length + in.segment - 1) / in.segment : 1;
            end->batches++;
        }
        chunk_drop(result.chunk);
    }
    if (!result.final || result.res == -ECANCELED)
        return;
    if (result.res == -ENOBUFS)
        ring_wait_for_chunks(worker->ring, op);
    else
        drain_arm(end);
}

static void drain_start(struct end *end)
{
    struct drain *drain = end->own;
    struct addr any = loopback_addr();

    drain->fd = sock_udp_bind(&os_linux, &any, false, false);
    must(drain->fd >= 0 && os_linux.local_addr(&os_linux, drain->fd, end->addr) == 0);
    op_init(&drain->op, drain_received);
    drain_arm(end);
}

static void drain_finish(struct end *end)
{
    struct drain *drain = end->own;

    ring_cancel(end->real.worker.ring, &drain->op);
    (void)turn_until(&end->real, !drain->op.busy);
    close(drain->fd);
}

static void udp_run(const struct stage_options *options, uint32_t segments)
{
    static struct flood flood;
    static struct drain drain;
    static struct end in, out;
    struct addr addr;

    flood = (struct flood){.packet = options->packet, .segments = segments};
    drain = (struct drain){0};
    in = (struct end){options->cores[1], drain_start, drain_finish, &drain, .addr = &addr};
    out = (struct end){options->cores[0], flood_start, flood_finish, &flood, .addr = &addr};
    ends_run(&in, &out, options->seconds);
    printf("{\"stage\": \"udp\", \"packet\": %u, \"segments\": %u, \"sent_gbit_s\": %.2f,"
           " \"received_gbit_s\": %.2f, \"out_s_per_gb\": %.4f, \"in_s_per_gb\": %.4f,"
           " \"segments_in\": %.1f}\n",
           options->packet, segments, (double)out.moved * 8e-9 / options->seconds,
           (double)in.moved * 8e-9 / options->seconds, out.cpu_s / ((double)out.moved / 1e9),
           in.cpu_s / ((double)in.moved / 1e9),
           (double)in.moved_packets / (double)(in.moved_batches ? in.moved_batches : 1));
}

int stage_udp(const struct stage_options *options)
{
    static const uint32_t segments[] = {1, 10, 48};

    for (size_t i = 0; i < ARRAY_COUNT(segments); i++)
        if (segments[i] * options->packet < 65000)
            udp_run(options, segments[i]);
    return 0;
}
