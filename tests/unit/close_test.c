/* The last words of a connection. */
#include "quic/endpoint.h"
#include "tests/unit/quic_scene.h"
#include "tests/unit/test.h"

enum { LARGE_MOST = 64, PEAK = 500, KEPT_MAX = 250, TRIMS = 10 };

TEST(a_close_is_said_where_no_batch_can_be_had)
{
    struct scene scene;
    struct chunk *taken[LARGE_MOST];
    unsigned count = 0;

    scene_defaults(&scene);
    check(scene_open(&scene));
    turn_some(&scene.real);
    while ((taken[count] = chunk_take(scene.real.worker.pools, POOL_LARGE)))
        count++;
    quic_close(scene.server.connection, REASON_SHUTDOWN, 7, "enough");
    check(turn_until(&scene.real, scene.client.closed));
    check(scene.client.closing.by_peer && scene.client.closing.code == 7);
    check(!strcmp(scene.client.closing.text, "enough"));
    while (count)
        chunk_drop(taken[--count]);
    check(scene_close(&scene));
}

TEST(what_many_closes_at_once_needed_is_given_back)
{
    static struct batch *taken[PEAK];
    struct scene scene;

    scene_defaults(&scene);
    check(scene_tls_open() && real_worker_open(&scene.real, NULL) && scene_listen(&scene));
    mem_count(true);
    for (int i = 0; i < PEAK; i++)
        check((taken[i] = batch_take(scene.endpoint->socket, POOL_SMALL)));
    for (int i = 0; i < PEAK; i++)
        batch_cancel(taken[i]);
    for (int i = 0; i < TRIMS; i++)
        pools_trim(scene.real.worker.pools);
    check(mem_live() < KEPT_MAX);
    mem_count(false);
    check(scene_close(&scene));
}
