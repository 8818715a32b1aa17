/* Whose turn it is to send, where more wants to go than can. */
#include "quic/quic_end.h"
#include "tests/unit/quic_scene.h"
#include "tests/unit/test.h"

enum { BULKY = 48, AHEAD_MAX = 2 * 65536 };

static uint64_t unsent(const struct flow *flow)
{
    return flow->stream ? quic_end_of(flow->stream)->unsent_length : 0;
}

/* So that each always has more to send. */
static uint64_t bulky_sent(struct side *side)
{
    static const uint8_t slice[SLICE];
    uint64_t sent = 0;

    for (int i = 0; i < BULKY; i++) {
        struct flow *flow = &side->flows[i];

        while (unsent(flow) < 4 * SLICE)
            flow_write(flow, slice, sizeof(slice));
        sent += flow->written - unsent(flow);
    }
    return sent;
}

TEST(the_first_bytes_of_a_stream_pass_before_the_bulk_of_others)
{
    struct scene scene;
    struct router router;
    struct flow *flow;
    uint64_t before;

    scene_defaults(&scene);
    scene.config.max_streams = FLOWS;
    scene.config.stream_window = scene.config.connection_window_max = 64 << 20;
    check(scene_open_routed(&scene, &router));
    for (int i = 0; i < BULKY; i++)
        check(flow_open(&scene.client));
    check(route_until(&scene, &router, bulky_sent(&scene.client) > 4 << 20));
    flow = flow_open(&scene.client);
    check(flow);
    flow_write(flow, "open", 4);
    before = bulky_sent(&scene.client);
    check(route_until(&scene, &router, bulky_sent(&scene.client) && !unsent(flow)));
    check(bulky_sent(&scene.client) - before < AHEAD_MAX);
    check(scene_close(&scene));
    router_close(&router);
}

/* Each says a little as soon as what it said has left. */
static uint64_t chatter_sent(struct side *side)
{
    static const uint8_t slice[SLICE];
    uint64_t sent = 0;

    for (int i = 1; i < BULKY; i++) {
        struct flow *flow = &side->flows[i];

        if (!unsent(flow))
            flow_write(flow, slice, QUIC_END_TURN / 2);
        sent += flow->written - unsent(flow);
    }
    return sent;
}

static uint64_t one_sent(struct side *side)
{
    static const uint8_t slice[SLICE];
    struct flow *flow = &side->flows[0];

    while (unsent(flow) < 4 * SLICE)
        flow_write(flow, slice, sizeof(slice));
    return flow->written - unsent(flow);
}

TEST(streams_that_keep_saying_little_leave_bulk_its_share)
{
    struct scene scene;
    struct router router;

    scene_defaults(&scene);
    scene.config.max_streams = FLOWS;
    scene.config.stream_window = scene.config.connection_window_max = 64 << 20;
    check(scene_open_routed(&scene, &router));
    for (int i = 0; i < BULKY; i++)
        check(flow_open(&scene.client));
    check(route_until(&scene, &router,
                      one_sent(&scene.client) && chatter_sent(&scene.client) > 8 << 20));
    check(one_sent(&scene.client) > chatter_sent(&scene.client) / 8);
    check(scene_close(&scene));
    router_close(&router);
}

/* As many as the queue takes. */
static bool datagrams_fill(struct scene *scene)
{
    static const uint8_t data[1000];

    while (quic_datagram_send(scene->client.connection, NULL, 0, data, sizeof(data)) == 0)
        ;
    return true;
}

TEST(a_flood_of_datagrams_leaves_streams_their_half)
{
    struct scene scene;
    uint64_t hash = 0xcbf29ce484222325u;
    struct flow *flow;

    scene_defaults(&scene);
    scene.config.datagram_queue = 256;
    check(scene_open(&scene));
    flow = flow_open(&scene.client);
    check(flow);
    check(turn_until(&scene.real, (hash = write_bulk(flow, hash), datagrams_fill(&scene),
                                   scene.server.flows[0].ended)));
    check(scene.server.flows[0].received == BULK);
    check(scene.server.datagrams * 1000 > BULK / 2);
    check(scene_close(&scene));
}
