/* The last words of a connection. */
#include "tests/unit/quic_scene.h"
#include "tests/unit/test.h"

enum { LARGE_MOST = 64 };

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
