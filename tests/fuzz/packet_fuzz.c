/* Any datagrams into a server with a live connection: never a crash, and the connection lives on,
 * since nothing of them is authentic.
 *
 * The input is a list of bursts: one byte of flags, two of segment size, two of length, then the
 * bytes.  Flags: 1 writes the connection's id behind the first byte (short headers), 2 makes it
 * come from the client's own address, 4 writes an id of ours that nobody has. */
#include <stdint.h>
#include <string.h>

#include "quic/conn.h"
#include "tests/unit/quic_scene.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { BURST_HEAD = 5, BURST_MAX = 65000 };

static struct scene scene;

void test_fail(const char *file, int line, const char *what)
{
}

void test_register(struct test_case *test)
{
}

/* The last of the ids that the server gave out: the client uses one of them. */
static void burst_set_id(uint8_t *bytes, size_t length, uint8_t flags)
{
    ngtcp2_cid ids[8];
    size_t count;

    if (length < 1 + CID_LENGTH)
        return;
    if (flags & 4) {
        endpoint_make_id(scene.endpoint, &ids[0]);
        memcpy(bytes + 1, ids[0].data, CID_LENGTH);
        return;
    }
    count = ngtcp2_conn_get_scid2(scene.server.connection->native, NULL);
    must(count >= 1 && count <= ARRAY_COUNT(ids));
    ngtcp2_conn_get_scid2(scene.server.connection->native, ids);
    memcpy(bytes + 1, ids[count - 1].data, CID_LENGTH);
}

static size_t burst_deliver(const uint8_t *data, size_t size)
{
    static uint8_t bytes[BURST_MAX];
    size_t length = (size_t)data[3] << 8 | data[4];
    struct datagram_in in = {.segment = (uint32_t)(data[1] << 8 | data[2])};

    if (length > size - BURST_HEAD)
        length = size - BURST_HEAD;
    if (length > sizeof(bytes))
        length = sizeof(bytes);
    memcpy(bytes, data + BURST_HEAD, length);
    if (data[0] & 5)
        burst_set_id(bytes, length, data[0]);
    in.data = bytes;
    in.length = (uint32_t)length;
    if (data[0] & 2)
        quic_peer_addr(scene.server.connection, &in.peer);
    else
        must(addr_parse(&in.peer, "127.0.0.1:9") == 0);
    endpoint_received(scene.endpoint, scene.endpoint->socket, &in);
    return BURST_HEAD + length;
}

static void scene_stay_open(void)
{
    if (scene.server.connection)
        return;
    scene_defaults(&scene);
    scene.server.echoes = true;
    scene.config.idle_timeout_ns = 3600000000000u;
    must(scene_open(&scene));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    scene_stay_open();
    while (size > BURST_HEAD) {
        size_t taken = burst_deliver(data, size);

        data += taken;
        size -= taken;
    }
    for (int i = 0; i < 3; i++)
        must(worker_turn(&scene.real.worker, 0) == 0);
    must(scene.server.connection && scene.client.connection);
    return 0;
}
