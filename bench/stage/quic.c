/* A QUIC stream from memory to memory over real sockets, one core an end. */
#include "bench/stage/quic.h"
#include "bench/stage/bulk.h"

static void listener_start(struct end *end)
{
    struct quic_side *side = end->own;
    struct addr any = loopback_addr();

    side->worker = &end->real.worker;
    must(quic_side_listen(side, &any, end->addr));
}

static void listener_finish(struct end *end)
{
    struct quic_side *side = end->own;

    if (side->connection)
        quic_close(side->connection, REASON_SHUTDOWN, 0, "");
    (void)turn_until(&end->real, side->closed);
    quic_side_unlisten(side);
    (void)turn_until(&end->real, side->idle);
}

static void dialer_start(struct end *end)
{
    struct quic_side *side = end->own;
    struct stream *stream;
    enum reason reason;

    side->worker = &end->real.worker;
    must(quic_side_dial(side, end->addr));
    must(turn_until(&end->real, side->ready || side->closed) && side->ready);
    stream = quic_stream_open(side->connection, &reason);
    must(stream);
    bulk_write(&side->bulk, end, stream);
}

static void dialer_finish(struct end *end)
{
    struct quic_side *side = end->own;

    if (side->connection)
        quic_close(side->connection, REASON_SHUTDOWN, 0, "");
    (void)turn_until(&end->real, side->closed);
    bulk_stop(&side->bulk);
}

static double per_batch(const struct end *end, enum counter packets, enum counter batches)
{
    uint64_t count = counter_read(&end->real.counters, batches);

    return (double)counter_read(&end->real.counters, packets) / (double)(count ? count : 1);
}

int stage_quic(const struct stage_options *options)
{
    static struct quic_side server, client;
    static struct end in, out;
    struct addr addr;
    double gigabytes;

    if (!stage_papers(NULL))
        return 1;
    server = client = (struct quic_side){.mtu = options->packet};
    server.end = &in;
    client.end = &out;
    in = (struct end){options->cores[1], listener_start, listener_finish, &server, .addr = &addr};
    out = (struct end){options->cores[0], dialer_start, dialer_finish, &client, .addr = &addr};
    ends_run(&in, &out, options->seconds);
    gigabytes = (double)in.moved / 1e9;
    printf("{\"stage\": \"quic\", \"packet\": %u, \"gbit_s\": %.2f, \"out_s_per_gb\": %.4f,"
           " \"in_s_per_gb\": %.4f, \"segments_out\": %.1f, \"segments_in\": %.1f,"
           " \"library\": \"%s\"}\n",
           options->packet, gigabytes * 8 / options->seconds, out.cpu_s / gigabytes,
           in.cpu_s / gigabytes, per_batch(&out, COUNTER_PACKETS_OUT, COUNTER_BATCHES_OUT),
           per_batch(&in, COUNTER_PACKETS_IN, COUNTER_BATCHES_IN), quic_versions());
    return 0;
}
