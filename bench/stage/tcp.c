/* A TCP connection between two cores: what sending and receiving cost at our ends of a relay. */
#include "bench/stage/bulk.h"
#include "core/tcp_end.h"

struct door {
    int fd;
    struct op op;
    struct bulk bulk;
};

static const struct tcp_options tcp_options = {.congestion = "cubic"};

static void door_accepted(struct op *op, struct op_result result)
{
    struct door *door = container_of(op, struct door, op);
    struct stream *stream;

    if (result.res < 0)
        return;
    sock_tcp_tune(&os_linux, result.res, &tcp_options);
    stream = tcp_end_new(&door->bulk.end->real.worker, result.res);
    must(stream);
    bulk_read(&door->bulk, door->bulk.end, stream);
}

static void door_open(struct end *end)
{
    struct door *door = end->own;

    door->fd = loopback_listen(end->addr);
    door->bulk.end = end;
    op_init(&door->op, door_accepted);
    ring_accept_multi(end->real.worker.ring, &door->op, door->fd);
}

static void door_close(struct end *end)
{
    struct door *door = end->own;

    ring_cancel(end->real.worker.ring, &door->op);
    (void)turn_until(&end->real, !door->op.busy);
    bulk_stop(&door->bulk);
    close(door->fd);
}

static void writer_start(struct end *end)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct stream *stream;

    must(fd >= 0 && connect(fd, &end->addr->sa, end->addr->length) == 0);
    sock_tcp_tune(&os_linux, fd, &tcp_options);
    stream = tcp_end_new(&end->real.worker, fd);
    must(stream);
    bulk_write(end->own, end, stream);
}

static void writer_finish(struct end *end)
{
    bulk_stop(end->own);
}

int stage_tcp(const struct stage_options *options)
{
    static struct door door;
    static struct bulk writer;
    static struct end in, out;
    struct addr addr;

    in = (struct end){options->cores[1], door_open, door_close, &door, .addr = &addr};
    out = (struct end){options->cores[0], writer_start, writer_finish, &writer, .addr = &addr};
    ends_run(&in, &out, options->seconds);
    printf(
        "{\"stage\": \"tcp\", \"gbit_s\": %.2f, \"out_s_per_gb\": %.4f, \"in_s_per_gb\": %.4f}\n",
        (double)in.moved * 8e-9 / options->seconds, out.cpu_s / ((double)in.moved / 1e9),
        in.cpu_s / ((double)in.moved / 1e9));
    return 0;
}
