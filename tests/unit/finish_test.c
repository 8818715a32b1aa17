/* The end of a stream on a path that has no room for another byte. */
#include "tests/unit/quic_scene.h"
#include "tests/unit/test.h"

TEST(an_end_without_bytes_waits_for_no_credit_of_the_connection)
{
    struct scene scene;
    struct router router;
    struct flow *full, *ending;
    uint8_t slice[SLICE] = {0};
    struct addr source;

    scene_defaults(&scene);
    scene.config.connection_window_max = scene.config.stream_window = 8192;
    check(scene_open_routed(&scene, &router));
    ending = flow_open(&scene.client);
    full = flow_open(&scene.client);
    check(ending && full);
    flow_write(ending, "x", 1);
    check(route_until(&scene, &router, scene.server.flows[0].received == 1 && ending->drained));
    flow_write(full, slice, sizeof(slice));
    turn_some(&scene.real); /* nothing comes back from here on */
    stream_finish(ending->stream);
    check(turn_until(&scene.real,
                     (router_pass(&router, router.inside, router.outside, &source, &router.server),
                      scene.server.flows[0].ended)));
    check(scene.server.flows[1].received < sizeof(slice));
    check(route_until(&scene, &router, scene.server.flows[1].received == sizeof(slice)));
    check(scene_close(&scene));
    router_close(&router);
}
