/* Each congestion control that may be chosen, on a path that loses packets. */
#include "tests/unit/quic_scene.h"
#include "tests/unit/test.h"

enum { LOSE_EACH = 200 };

static void carries_bulk(enum quic_congestion congestion)
{
    struct scene scene;
    struct router router;
    struct flow *flow;
    uint64_t hash = 0xcbf29ce484222325u;

    scene_defaults(&scene);
    scene.config.congestion = congestion;
    check(scene_open_routed(&scene, &router));
    router.lose = LOSE_EACH;
    flow = flow_open(&scene.client);
    check(flow);
    check(
        route_until(&scene, &router, (hash = write_bulk(flow, hash), scene.server.flows[0].ended)));
    check(scene.server.flows[0].received == BULK && scene.server.flows[0].hash == hash);
    check(router.lost > 0);
    router.lose = 0;
    check(scene_close(&scene));
    router_close(&router);
}

TEST(cubic_carries_all_in_spite_of_losses)
{
    carries_bulk(QUIC_CUBIC);
}

TEST(bbr_carries_all_in_spite_of_losses)
{
    carries_bulk(QUIC_BBR);
}

TEST(reno_carries_all_in_spite_of_losses)
{
    carries_bulk(QUIC_RENO);
}
