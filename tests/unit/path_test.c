#include "tests/unit/quic_scene.h"

TEST(a_client_that_moves_keeps_its_streams)
{
    struct scene scene;
    struct flow *flow;
    struct addr before, after;

    scene_defaults(&scene);
    scene.server.echoes = true;
    check(scene_open(&scene));
    flow = flow_open(&scene.client);
    check(flow);
    flow_write(flow, "one", 3);
    check(turn_until(&scene.real, flow->received == 3));
    quic_peer_addr(scene.server.connection, &before);
    check(quic_rebind(scene.client.connection) == 0);
    flow_write(flow, "two", 3);
    check(turn_until(&scene.real, flow->received == 6));
    check(turn_until(&scene.real, counter_read(&scene.real.counters, COUNTER_PATHS_CHANGED)));
    quic_peer_addr(scene.server.connection, &after);
    check(!addr_equal(&before, &after));
    check(scene_close(&scene));
}

TEST(a_nat_that_forgets_a_mapping_breaks_no_stream)
{
    struct scene scene;
    struct router router;
    struct flow *flow;

    scene_defaults(&scene);
    scene.server.echoes = true;
    check(scene_open_routed(&scene, &router));
    flow = flow_open(&scene.client);
    check(flow);
    flow_write(flow, "one", 3);
    check(route_until(&scene, &router, flow->received == 3));
    router_rebind(&router);
    flow_write(flow, "two", 3);
    check(route_until(&scene, &router, flow->received == 6));
    check(route_until(&scene, &router,
                      counter_read(&scene.real.counters, COUNTER_PATHS_CHANGED) == 1));
    router_close(&router);
    check(scene_close(&scene));
}

TEST(lost_packets_are_repaired)
{
    struct scene scene;
    struct router router;
    struct flow *flow;
    uint64_t hash = 0xcbf29ce484222325u;

    scene_defaults(&scene);
    scene.server.echoes = true;
    check(scene_open_routed(&scene, &router));
    router.lose = 50;
    flow = flow_open(&scene.client);
    check(flow);
    check(route_until(&scene, &router, (hash = write_bulk(flow, hash), flow->closed)));
    check(flow->reason == REASON_DONE && flow->received == BULK && flow->hash == hash);
    check(router.lost > 100);
    router_close(&router);
    check(scene_close(&scene));
}

TEST(a_path_that_stops_taking_large_packets_is_used_with_small_ones)
{
    struct scene scene;
    struct router router;
    struct flow *flow;
    uint8_t slice[SLICE] = {0};

    scene_defaults(&scene);
    scene.server.echoes = true;
    check(scene_open_routed(&scene, &router));
    flow = flow_open(&scene.client);
    check(flow);
    flow_write(flow, slice, sizeof(slice));
    check(route_until(&scene, &router, flow->received == SLICE));
    router.most = 1200;
    flow_write(flow, slice, sizeof(slice));
    check(route_until(&scene, &router, flow->received == 2 * SLICE));
    check(router.lost > 0);
    router_close(&router);
    check(scene_close(&scene));
}

TEST(larger_packets_are_found_by_probing)
{
    struct scene scene;
    struct quic_stats stats;

    scene_defaults(&scene);
    scene.config.mtu = 0;
    check(scene_open(&scene));
    check(turn_until(&scene.real,
                     (quic_stats(scene.client.connection, &stats), stats.payload_size == 65000)));
    check(scene_close(&scene));
}
