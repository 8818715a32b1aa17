/* Answers to strangers: what one kind of them is sent takes nothing from another. */
#include <stdlib.h>

#include "quic/endpoint.h"
#include "tests/unit/quic_scene.h"
#include "tests/unit/test.h"

enum { STRANGERS = 5 * ANSWER_BURST, PACKET = 1200 };

static uint64_t counted(const struct scene *scene, enum counter counter)
{
    return counter_read(&scene->real.counters, counter);
}

static void receive(struct scene *scene, const uint8_t *data, uint32_t length)
{
    struct datagram_in in = {.data = data, .length = length, .peer = loopback_addr()};

    addr_set_port(&in.peer, 9);
    endpoint_received(scene->endpoint, scene->endpoint->socket, &in);
}

static void receive_of_other_version(struct scene *scene)
{
    uint8_t data[PACKET] = {0xc3, 0x1a, 0x2a, 0x3a, 0x4a, CID_FIRST_LENGTH};

    for (int i = 6; i < 6 + CID_FIRST_LENGTH; i++)
        data[i] = (uint8_t)rand();
    receive(scene, data, sizeof(data));
}

/* As of a connection that was lost with the memory of an earlier run. */
static void receive_of_lost_connection(struct scene *scene)
{
    uint8_t data[100] = {0x40};
    ngtcp2_cid id;

    endpoint_make_id(scene->endpoint, &id);
    memcpy(data + 1, id.data, id.datalen);
    receive(scene, data, sizeof(data));
}

TEST(strangers_of_other_versions_do_not_keep_a_lost_client_from_its_reset)
{
    struct scene scene;

    scene_defaults(&scene);
    check(scene_tls_open() && real_worker_open(&scene.real, NULL) && scene_listen(&scene));
    for (int i = 0; i < STRANGERS; i++) {
        receive_of_other_version(&scene);
        must(worker_turn(&scene.real.worker, 0) == 0);
    }
    check(counted(&scene, COUNTER_VERSION_NEGOTIATIONS) >= ANSWER_BURST);
    receive_of_lost_connection(&scene);
    check(counted(&scene, COUNTER_STATELESS_RESETS) == 1);
    check(scene_close(&scene));
}
