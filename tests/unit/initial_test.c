/* First packets: which are worth a connection, told before anything is made. */
#include "quic/initial.h"

#include <stdlib.h>

#include "quic/endpoint.h"
#include "tests/unit/quic_scene.h"
#include "tests/unit/test.h"

enum { FIRST_MIN = 1200, FIRST_MAX = 1500, NOISE = 640, EACH_TURN = 64 };

/* What a client of ours sends first. */
static uint32_t first_packet(struct scene *scene, uint8_t data[FIRST_MAX])
{
    struct router router;
    ssize_t length = -1;

    scene_defaults(scene);
    must(scene_tls_open() && real_worker_open(&scene->real, NULL));
    router_open(&router, &scene->bind);
    scene->addr = router.addr;
    must(scene_dial(scene));
    must(turn_until(&scene->real,
                    length >= 0 || (length = recv(router.inside, data, FIRST_MAX, 0)) >= 0));
    router_close(&router);
    return (uint32_t)length;
}

TEST(a_first_packet_opens_and_with_any_bit_changed_or_cut_anywhere_it_does_not)
{
    struct scene scene;
    uint8_t data[FIRST_MAX];
    uint32_t length = first_packet(&scene, data);
    struct pools *pools = scene.real.worker.pools;

    check(length >= FIRST_MIN && length < FIRST_MAX && initial_opens(pools, data, length));
    for (uint32_t bit = 0; bit < length * 8; bit++) {
        data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        check(!initial_opens(pools, data, length));
        data[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    for (uint32_t cut = 0; cut < length; cut++)
        check(!initial_opens(pools, data, cut));
    check(initial_opens(pools, data, length));
    check(scene_close(&scene));
}

TEST(without_memory_a_first_packet_does_not_open)
{
    struct scene scene;
    uint8_t data[FIRST_MAX];
    uint32_t length = first_packet(&scene, data);
    uint64_t n = 0;
    bool failed;

    do {
        mem_fail_at(++n);
        failed = !initial_opens(scene.real.worker.pools, data, length);
        check(failed == mem_failed());
    } while (failed);
    mem_fail_at(0);
    check(n > 1 && scene_close(&scene));
}

TEST(proof_is_asked_for_only_so_often_that_a_worker_has_time_for_its_clients)
{
    struct scene scene;
    uint8_t data[FIRST_MAX];
    struct datagram_in in = {.data = data, .length = first_packet(&scene, data)};
    uint64_t asked, begun_ns, most;

    in.peer = scene.addr;
    scene.config.always_retry = true;
    check(scene_listen(&scene));
    begun_ns = scene.real.worker.now_ns;
    for (int i = 0; i < 2 * RETRY_BURST; i++) {
        endpoint_received(scene.endpoint, scene.endpoint->socket, &in);
        if (i % EACH_TURN == 0)
            check(worker_turn(&scene.real.worker, 0) == 0);
    }
    asked = counter_read(&scene.real.counters, COUNTER_RETRIES_SENT);
    most = RETRY_BURST + 1 + (scene.real.worker.now_ns - begun_ns) * RETRY_RATE / 1000000000u;
    check(asked >= RETRY_BURST && asked <= most);
    check(asked + counter_read(&scene.real.counters, COUNTER_LIMIT_HANDSHAKES) == 2 * RETRY_BURST);
    check(scene_close(&scene));
}

/* Random but for the header: version 1, an id of 18 bytes, no token. */
static void noise_fill(uint8_t data[FIRST_MIN])
{
    uint32_t left = FIRST_MIN - 45;

    for (int i = 0; i < FIRST_MIN; i++)
        data[i] = (uint8_t)rand();
    data[0] = (uint8_t)(0xc0 | (data[0] & 0x0f));
    memcpy(data + 1, "\0\0\0\1", 4);
    data[5] = CID_FIRST_LENGTH;
    data[24] = CID_LENGTH;
    data[42] = 0;
    data[43] = (uint8_t)(0x40 | left >> 8);
    data[44] = (uint8_t)left;
}

static void noise_send(struct scene *scene, int number)
{
    uint8_t data[FIRST_MIN];
    struct datagram_in in = {.data = data, .length = sizeof(data), .peer = loopback_addr()};

    in.peer.in4.sin_addr.s_addr = htonl(0x0a000001u + (uint32_t)number * 256);
    addr_set_port(&in.peer, 1234);
    noise_fill(data);
    endpoint_received(scene->endpoint, scene->endpoint->socket, &in);
}

static uint64_t counted(const struct scene *scene, enum counter counter)
{
    return counter_read(&scene->real.counters, counter);
}

static void noise_from_many(bool always_retry)
{
    struct scene scene;
    int64_t live;

    scene_defaults(&scene);
    scene.config.always_retry = always_retry;
    must(scene_tls_open() && real_worker_open(&scene.real, NULL) && scene_listen(&scene));
    noise_send(&scene, 0); /* pools have what they need */
    mem_count(true);
    live = mem_live();
    for (int i = 1; i < NOISE; i++) {
        noise_send(&scene, i);
        check(!scene.endpoint->half_open && !scene.endpoint->ids.count && mem_live() == live);
        if (i % EACH_TURN == 0)
            turn_some(&scene.real);
    }
    mem_count(false);
    check(counted(&scene, COUNTER_PACKETS_INVALID) == NOISE);
    check(counted(&scene, COUNTER_PACKETS_OUT) == 0);
    check(counted(&scene, COUNTER_LIMIT_HANDSHAKES) == 0);
    check(scene_close(&scene));
}

TEST(noise_in_the_form_of_a_first_packet_makes_nothing_and_is_not_answered)
{
    noise_from_many(false);
}

TEST(noise_is_not_asked_to_prove_its_address)
{
    noise_from_many(true);
}
