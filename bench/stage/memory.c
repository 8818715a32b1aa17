/* Both ends of a QUIC connection on one worker without a kernel: what our code and the libraries
 * cost by themselves.  An instruction counter is told to look at memory_transfer only. */
#include "bench/stage/memory_ring.h"
#include "bench/stage/quic.h"
#include "quic/protect.h"

enum { HANDSHAKE_TURNS = 100000, FIRST_BYTES = 4 << 20 };

struct memory {
    struct end in, out;
    struct quic_side server, client;
};

static void sequence(void *context, void *to, size_t length)
{
    os_memory.random(&os_memory, to, length);
}

static void turn(struct memory *memory)
{
    must(worker_turn(&memory->in.real.worker, UINT64_MAX) == 0);
}

static bool memory_connect(struct memory *memory)
{
    struct addr any = loopback_addr(), bound;
    struct stream *stream;
    enum reason reason;

    memory->server.worker = memory->client.worker = &memory->in.real.worker;
    must(quic_side_listen(&memory->server, &any, &bound));
    must(quic_side_dial(&memory->client, &bound));
    for (int i = 0; i < HANDSHAKE_TURNS && !memory->client.ready && !memory->client.closed; i++)
        turn(memory);
    if (!memory->client.ready)
        return false;
    stream = quic_stream_open(memory->client.connection, &reason);
    must(stream);
    memory->out.real.worker.pools = memory->in.real.worker.pools;
    bulk_write(&memory->client.bulk, &memory->out, stream);
    return true;
}

/* Named from outside: its instructions are counted. */
__attribute__((noinline, used)) void memory_transfer(struct memory *memory, uint64_t bytes);
void memory_transfer(struct memory *memory, uint64_t bytes)
{
    uint64_t until = memory->in.bytes + bytes;

    while (memory->in.bytes < until)
        turn(memory);
}

static bool memory_open(struct memory *memory, const struct stage_options *options)
{
    struct worker_options worker = {
        .os = &os_memory,
        .ring = memory_ring_open(),
        .limits = {{4096, 4096, 256}},
        .counters = &memory->in.real.counters,
    };

    memory->server = memory->client = (struct quic_side){.mtu = options->packet};
    memory->server.end = &memory->in;
    memory->client.end = &memory->out;
    return worker.ring && worker_init(&memory->in.real.worker, &worker) == 0;
}

static void memory_close(struct memory *memory)
{
    quic_close(memory->client.connection, REASON_SHUTDOWN, 0, "");
    while (!memory->client.closed || !memory->server.closed)
        turn(memory);
    chunk_drop(memory->client.bulk.chunk);
    quic_side_unlisten(&memory->server);
    while (!memory->server.idle)
        turn(memory);
    worker_release(&memory->in.real.worker);
}

int stage_memory(const struct stage_options *options)
{
    static struct memory memory;
    const struct tls_hooks hooks = {.random = sequence};
    struct counters *counters = &memory.in.real.counters;
    uint64_t packets, bytes, from_ns;

    if (!stage_papers(&hooks) || !memory_open(&memory, options) || !memory_connect(&memory))
        return 1;
    while (memory.in.bytes < FIRST_BYTES) /* windows have grown, pools are full */
        turn(&memory);
    packets = counter_read(counters, COUNTER_PACKETS_IN);
    bytes = memory.in.bytes;
    from_ns = os_linux.clock_ns(&os_linux);
    memory_transfer(&memory, options->transfer);
    packets = counter_read(counters, COUNTER_PACKETS_IN) - packets;
    bytes = memory.in.bytes - bytes;
    printf("{\"stage\": \"memory\", \"bytes\": %llu, \"packets\": %llu, \"s_per_gb\": %.4f,"
           " \"back_end\": \"%s\", \"library\": \"%s\"}\n",
           (unsigned long long)bytes, (unsigned long long)packets,
           (double)(os_linux.clock_ns(&os_linux) - from_ns) / (double)bytes, protect_chosen()->name,
           quic_versions());
    memory_close(&memory);
    return 0;
}
