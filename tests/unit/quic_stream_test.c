/* What a stream promises over a real connection, and what datagrams do. */
#include <errno.h>

#include "quic/quic.h"
#include "tests/unit/quic_scene.h"

TEST(a_stream_carries_bytes_both_ways_and_ends_in_order)
{
    struct scene scene;
    struct flow *flow;

    scene_defaults(&scene);
    scene.server.echoes = true;
    check(scene_open(&scene));
    flow = flow_open(&scene.client);
    check(flow);
    flow_write(flow, "hello", 5);
    check(turn_until(&scene.real, flow->received == 5));
    check(flow->hash == hash_bytes(0xcbf29ce484222325u, (const uint8_t *)"hello", 5));
    check(turn_until(&scene.real, flow->drained == 5));
    check(!flow->ended && !flow->closed);
    check(quic_stream_acknowledged(flow->stream));
    stream_finish(flow->stream);
    check(turn_until(&scene.real, flow->closed && scene.server.flows[0].closed));
    check(flow->ended && flow->reason == REASON_DONE);
    check(scene.server.flows[0].ended && scene.server.flows[0].reason == REASON_DONE);
    check(scene_close(&scene));
}

TEST(ten_megabytes_come_back_unchanged)
{
    struct scene scene;
    struct flow *flow;
    uint64_t hash = 0xcbf29ce484222325u;

    scene_defaults(&scene);
    scene.server.echoes = true;
    check(scene_open(&scene));
    flow = flow_open(&scene.client);
    check(flow);
    check(turn_until(&scene.real, (hash = write_bulk(flow, hash), flow->closed)));
    check(flow->reason == REASON_DONE);
    check(flow->received == BULK && flow->hash == hash);
    check(counter_read(&scene.real.counters, COUNTER_PACKETS_OUT) >
          8 * counter_read(&scene.real.counters, COUNTER_BATCHES_OUT));
    check(scene_close(&scene));
}

TEST(a_reader_that_consumes_nothing_stops_the_writer_at_the_window)
{
    struct scene scene;
    struct flow *flow;
    uint8_t slice[SLICE] = {0};

    scene_defaults(&scene);
    scene.server.greedy = true;
    check(scene_open(&scene));
    flow = flow_open(&scene.client);
    check(flow);
    for (int i = 0; i < 64; i++)
        flow_write(flow, slice, sizeof(slice));
    check(turn_until(&scene.real, flow->drained == scene.config.stream_window));
    turn_some(&scene.real);
    check(flow->drained == scene.config.stream_window);
    check(scene.server.flows[0].received == scene.config.stream_window);
    scene.server.flows[0].greedy = false;
    stream_consumed(scene.server.flows[0].stream, scene.config.stream_window);
    check(turn_until(&scene.real, flow->drained == 64 * SLICE));
    check(scene_close(&scene));
}

TEST(single_bytes_for_a_reader_that_consumes_nothing_cost_no_chunk_each)
{
    struct scene scene;
    struct flow *flow;
    uint8_t slice[SLICE] = {0};
    uint32_t before;

    scene_defaults(&scene);
    scene.server.greedy = true;
    check(scene_open(&scene));
    flow = flow_open(&scene.client);
    check(flow);
    for (int i = 0; i < 64; i++)
        flow_write(flow, slice, sizeof(slice));
    check(turn_until(&scene.real, flow->drained == scene.config.stream_window));
    turn_some(&scene.real);
    before = pools_busy(scene.real.worker.pools, POOL_SMALL);
    for (int i = 0; i < 500; i++)
        flow_write(flow, slice, 1);
    check(pools_busy(scene.real.worker.pools, POOL_SMALL) <= before + 1);
    scene.server.flows[0].greedy = false;
    stream_consumed(scene.server.flows[0].stream, scene.config.stream_window);
    check(turn_until(&scene.real, flow->drained == 64 * SLICE + 500));
    check(scene_close(&scene));
}

TEST(streams_that_nobody_reads_do_not_stop_another)
{
    struct scene scene;
    struct flow *flow;
    uint8_t slice[SLICE] = {0};

    scene_defaults(&scene);
    scene.server.greedy = true;
    scene.config.connection_window_max = 1 << 20; /* less than they hold together */
    check(scene_open(&scene));
    for (int f = 0; f < 6; f++) {
        flow = flow_open(&scene.client);
        check(flow);
        for (int i = 0; i < 64; i++)
            flow_write(flow, slice, sizeof(slice));
        check(turn_until(&scene.real, flow->drained == scene.config.stream_window));
    }
    scene.server.greedy = false;
    flow = flow_open(&scene.client);
    check(flow);
    for (int i = 0; i < 64; i++)
        flow_write(flow, slice, sizeof(slice));
    check(turn_until(&scene.real, flow->drained == 64 * SLICE));
    check(scene_close(&scene));
}

TEST(a_stream_that_is_read_quickly_may_have_more_under_way)
{
    struct scene scene;
    struct flow *flow, *far;
    uint64_t hash = 0, before;
    uint8_t slice[SLICE] = {0};

    scene_defaults(&scene);
    check(scene_open(&scene));
    flow = flow_open(&scene.client);
    check(flow);
    far = &scene.server.flows[0];
    check(turn_until(&scene.real, (hash = write_bulk(flow, hash), flow->drained > BULK / 2)));
    far->greedy = true;
    before = far->received;
    for (int i = 0; i < 512; i++)
        flow_write(flow, slice, sizeof(slice));
    turn_some(&scene.real);
    check(far->received - before > scene.config.stream_window);
    check(far->received - before <= scene.config.stream_window_max);
    check(scene_close(&scene));
}

/* Keeps LIMIT undrained, and notes the most that was under way: written and not there yet. */
enum { LIMIT = 64 << 10 };

static void write_within_limit(struct flow *flow, const struct flow *far, uint64_t *most)
{
    uint8_t slice[SLICE] = {0};

    while (flow->written - flow->drained < LIMIT)
        flow_write(flow, slice, sizeof(slice));
    if (flow->written - far->received > *most)
        *most = flow->written - far->received;
}

TEST(a_writer_with_a_small_limit_fills_a_far_path_as_far_as_the_windows_go)
{
    struct scene scene;
    struct router router;
    struct flow *flow;
    uint64_t most = 0;

    scene_defaults(&scene);
    scene.config.stream_window_max = 1 << 20;
    check(scene_open_far(&scene, &router));
    flow = flow_open(&scene.client);
    check(flow);
    check(route_far_until(
        &scene, &router,
        (write_within_limit(flow, &scene.server.flows[0], &most), most > 8 * LIMIT)));
    check(route_far_until(
        &scene, &router,
        (write_within_limit(flow, &scene.server.flows[0], &most), flow->written > 8 << 20)));
    check(most <= (1 << 20) + LIMIT + SLICE);
    check(scene_close(&scene));
    router_close(&router);
}

TEST(bytes_that_wait_for_the_readers_credit_count_against_the_writer)
{
    struct scene scene;
    struct router router;
    struct flow *flow;
    uint64_t most = 0;

    scene_defaults(&scene);
    check(scene_open_far(&scene, &router));
    flow = flow_open(&scene.client);
    check(flow);
    check(route_far_until(
        &scene, &router,
        (write_within_limit(flow, &scene.server.flows[0], &most), most > 8 * LIMIT)));
    scene.server.flows[0].greedy = true; /* the reader stops */
    check(route_far_until(&scene, &router,
                          (write_within_limit(flow, &scene.server.flows[0], &most),
                           flow->written - scene.server.flows[0].received < LIMIT + SLICE)));
    check(scene_close(&scene));
    router_close(&router);
}

TEST(stop_resets_the_stream_with_its_code)
{
    struct scene scene;
    struct flow *flow, *far;

    scene_defaults(&scene);
    check(scene_open(&scene));
    flow = flow_open(&scene.client);
    check(flow);
    far = &scene.server.flows[0];
    flow_write(flow, "x", 1);
    check(turn_until(&scene.real, far->received == 1));
    quic_stream_set_code(flow->stream, 77);
    stream_stop(flow->stream, REASON_IDLE_TIMEOUT);
    check(!flow->closed);
    check(turn_until(&scene.real, flow->closed && far->closed));
    check(flow->reason == REASON_IDLE_TIMEOUT && far->reason == REASON_RESET);
    check(scene_close(&scene));
}

TEST(a_reset_names_the_code_that_the_peer_chose)
{
    struct scene scene;
    struct flow *flow;

    scene_defaults(&scene);
    check(scene_open(&scene));
    flow = flow_open(&scene.client);
    check(flow);
    flow_write(flow, "x", 1);
    check(turn_until(&scene.real, scene.server.flow_count == 1));
    quic_stream_set_code(scene.server.flows[0].stream, 99);
    stream_stop(scene.server.flows[0].stream, REASON_REFUSED);
    check(turn_until(&scene.real, flow->closed));
    check(flow->reason == REASON_RESET && flow->peer_code == 99);
    check(scene_close(&scene));
}

static uint64_t code_over_100(enum reason reason)
{
    return 100 + reason;
}

TEST(a_stop_without_a_code_says_its_reason)
{
    struct scene scene;
    struct flow *flow;

    scene_defaults(&scene);
    scene.config.code_of = code_over_100;
    check(scene_open(&scene));
    flow = flow_open(&scene.client);
    check(flow);
    flow_write(flow, "x", 1);
    check(turn_until(&scene.real, scene.server.flow_count == 1));
    stream_stop(scene.server.flows[0].stream, REASON_IDLE_TIMEOUT);
    check(turn_until(&scene.real, flow->closed));
    check(flow->reason == REASON_RESET && flow->peer_code == 100 + REASON_IDLE_TIMEOUT);
    check(scene_close(&scene));
}

TEST(a_held_stream_tells_the_rest_when_it_is_started_again)
{
    struct scene scene;
    struct flow *flow, *far;

    scene_defaults(&scene);
    scene.server.holds = true;
    check(scene_open(&scene));
    flow = flow_open(&scene.client);
    check(flow);
    far = &scene.server.flows[0];
    flow_write(flow, "HEADuser", 8);
    check(turn_until(&scene.real, scene.server.flow_count == 1 && !far->hold_once));
    flow_write(flow, " bytes", 6);
    stream_finish(flow->stream);
    turn_some(&scene.real);
    check(far->received == 0 && !far->ended);
    stream_start(far->stream);
    check(turn_until(&scene.real, far->ended));
    check(far->hash == hash_bytes(0xcbf29ce484222325u, (const uint8_t *)"user bytes", 10));
    check(scene_close(&scene));
}

TEST(the_peer_may_open_max_streams_and_more_as_they_end)
{
    struct scene scene;
    enum reason reason;

    scene_defaults(&scene);
    scene.server.echoes = true;
    check(scene_open(&scene));
    for (unsigned i = 0; i < scene.config.max_streams; i++)
        check(flow_open(&scene.client));
    check(!quic_stream_open(scene.client.connection, &reason) && reason == REASON_LIMIT);
    flow_write(&scene.client.flows[0], "x", 1);
    stream_finish(scene.client.flows[0].stream);
    check(turn_until(&scene.real, scene.client.flows[0].closed));
    check(turn_until(&scene.real, scene.server.flows[0].closed));
    turn_some(&scene.real);
    check(flow_open(&scene.client));
    check(scene_close(&scene));
}

TEST(datagrams_arrive_whole_and_too_large_ones_are_refused)
{
    struct scene scene;
    uint8_t data[2048] = {5};
    uint32_t room;

    scene_defaults(&scene);
    check(scene_open(&scene));
    room = quic_datagram_room(scene.client.connection);
    check(room > 1250 && room < 1350);
    check(quic_datagram_send(scene.client.connection, (const uint8_t *)"ab", 2, data, room - 2) ==
          0);
    check(turn_until(&scene.real, scene.server.datagrams == 1));
    check(scene.server.datagram_length == room && scene.server.datagram[2] == 5);
    check(quic_datagram_send(scene.client.connection, NULL, 0, data, room + 1) == -EMSGSIZE);
    check(counter_read(&scene.real.counters, COUNTER_DATAGRAM_TOO_LARGE) == 1);
    check(scene_close(&scene));
}

TEST(a_full_datagram_queue_drops_and_counts)
{
    struct scene scene;
    unsigned taken = 0;

    scene_defaults(&scene);
    check(scene_open(&scene));
    for (int i = 0; i < 100; i++)
        taken += quic_datagram_send(scene.server.connection, NULL, 0, (const uint8_t *)"x", 1) == 0;
    check(taken == scene.config.datagram_queue);
    check(turn_until(&scene.real, scene.client.datagrams == taken));
    check(counter_read(&scene.real.counters, COUNTER_LIMIT_DATAGRAM_QUEUE) == 100 - taken);
    check(scene_close(&scene));
}
