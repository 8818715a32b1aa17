#include "quic/quic.h"

#include <errno.h>

#include "tests/unit/quic_scene.h"

TEST(both_ends_get_ready_and_know_each_other)
{
    struct scene scene;

    scene_defaults(&scene);
    check(scene_open(&scene));
    check(quic_peer_identity(scene.server.connection));
    check(!strcmp(identity_name(quic_peer_identity(scene.server.connection)), "pod.test"));
    check(!strcmp(identity_name(quic_peer_identity(scene.client.connection)), "tunnel.test"));
    check(scene_close(&scene));
}

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

TEST(a_lost_connection_closes_its_streams_first)
{
    struct scene scene;
    struct flow *flow;

    scene_defaults(&scene);
    check(scene_open(&scene));
    flow = flow_open(&scene.client);
    check(flow);
    flow_write(flow, "x", 1);
    check(turn_until(&scene.real, scene.server.flow_count == 1));
    quic_close(scene.server.connection, REASON_NOT_ALLOWED, 42, "go away");
    check(turn_until(&scene.real, scene.client.closed && scene.server.closed));
    check(flow->closed && flow->reason == REASON_TUNNEL_LOST);
    check(scene.server.flows[0].reason == REASON_TUNNEL_LOST);
    check(scene.client.closing.by_peer && scene.client.closing.application);
    check(scene.client.closing.code == 42);
    check(!strcmp(scene.client.closing.text, "go away"));
    check(scene.client.closing.reason == REASON_PEER_CLOSED);
    check(scene.server.closing.reason == REASON_NOT_ALLOWED);
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

TEST(a_client_of_a_foreign_ca_is_refused_on_both_sides)
{
    struct scene scene;

    scene_defaults(&scene);
    check(scene_tls_open() && real_worker_open(&scene.real, NULL) && scene_listen(&scene));
    check(scene_dial_as(&scene, scene_tls.stranger, "tunnel.test"));
    check(turn_until(&scene.real, scene.client.closed && scene.server.closed));
    check(!scene.server.ready);
    check(scene.server.closing.reason == REASON_CERTIFICATE);
    check(scene.client.closing.by_peer && scene.client.closing.reason == REASON_CERTIFICATE);
    check(scene_close(&scene));
}

TEST(a_server_of_another_name_is_refused_on_both_sides)
{
    struct scene scene;

    scene_defaults(&scene);
    check(scene_tls_open() && real_worker_open(&scene.real, NULL) && scene_listen(&scene));
    check(scene_dial_as(&scene, scene_tls.client, "elsewhere.test"));
    check(turn_until(&scene.real, scene.client.closed && scene.server.closed));
    check(!scene.client.ready);
    check(scene.client.closing.reason == REASON_SERVER_NAME);
    check(scene_close(&scene));
}

TEST(a_silent_connection_ends_by_idle_timeout)
{
    struct scene scene;

    scene_defaults(&scene);
    scene.config.idle_timeout_ns = 200000000;
    check(scene_open(&scene));
    check(turn_until(&scene.real, scene.client.closed && scene.server.closed));
    check(scene.client.closing.reason == REASON_IDLE_TIMEOUT);
    check(scene_close(&scene));
}

TEST(pings_keep_a_connection_alive)
{
    struct scene scene;
    uint64_t until_ns;

    scene_defaults(&scene);
    scene.config.idle_timeout_ns = 200000000;
    check(scene_open(&scene));
    until_ns = scene.real.worker.now_ns + 600000000;
    while (scene.real.worker.now_ns < until_ns) {
        quic_ping(scene.client.connection);
        check(worker_turn(&scene.real.worker, scene.real.worker.now_ns + 50000000) == 0);
        check(!scene.client.closed && !scene.server.closed);
    }
    check(scene_close(&scene));
}

TEST(nobody_at_home_is_a_handshake_timeout)
{
    struct scene scene;

    scene_defaults(&scene);
    scene.config.handshake_timeout_ns = 100000000;
    check(scene_tls_open() && real_worker_open(&scene.real, NULL));
    check(addr_parse(&scene.addr, "127.0.0.1:9") == 0);
    check(scene_dial(&scene));
    check(turn_until(&scene.real, scene.client.closed));
    check(scene.client.closing.reason == REASON_HANDSHAKE_TIMEOUT);
    check(!strcmp(scene.client.closing.text, "the server does not answer"));
    check(scene_close(&scene));
}

TEST(a_server_that_always_retries_still_gets_its_client)
{
    struct scene scene;

    scene_defaults(&scene);
    scene.config.always_retry = true;
    check(scene_open(&scene));
    check(counter_read(&scene.real.counters, COUNTER_RETRIES_SENT) == 1);
    check(scene_close(&scene));
}

TEST(a_refused_client_learns_it_at_once)
{
    struct scene scene;

    scene_defaults(&scene);
    scene.server.refuses = true;
    check(!scene_open(&scene));
    check(scene.client.closed && scene.client.closing.by_peer);
    check(counter_read(&scene.real.counters, COUNTER_LIMIT_HANDSHAKES) == 1);
    check(scene_close(&scene));
}

TEST(a_close_that_was_lost_is_said_again)
{
    struct scene scene;

    scene_defaults(&scene);
    check(scene_open(&scene));
    turn_some(&scene.real);
    /* The close goes to a socket that is no more. */
    quic_close(scene.server.connection, REASON_SHUTDOWN, 42, "");
    check(quic_rebind(scene.client.connection) == 0);
    check(turn_until(&scene.real, scene.client.closed));
    check(scene.client.closing.by_peer && scene.client.closing.code == 42);
    check(counter_read(&scene.real.counters, COUNTER_STATELESS_RESETS) == 0);
    check(scene_close(&scene));
}

TEST(a_server_that_forgot_a_connection_resets_it)
{
    struct scene scene;
    struct router router;

    scene_defaults(&scene);
    check(scene_open_routed(&scene, &router));
    check(scene_restart(&scene, &router));
    quic_ping(scene.client.connection);
    check(route_until(&scene, &router, scene.client.closed));
    check(scene.client.closing.reason == REASON_STATELESS_RESET);
    check(counter_read(&scene.real.counters, COUNTER_STATELESS_RESETS) >= 1);
    router_close(&router);
    check(scene_close(&scene));
}

static void send_raw(const struct addr *to, const void *data, size_t length)
{
    int fd = socket(AF_INET, SOCK_DGRAM, 0);

    must(fd >= 0 && sendto(fd, data, length, 0, &to->sa, to->length) == (ssize_t)length);
    close(fd);
}

TEST(garbage_is_counted_and_changes_nothing)
{
    struct scene scene;
    uint8_t junk[1400];
    uint64_t invalid;

    scene_defaults(&scene);
    check(scene_open(&scene));
    for (size_t length = 1; length < sizeof(junk); length += 97) {
        for (size_t i = 0; i < length; i++)
            junk[i] = (uint8_t)rand();
        send_raw(&scene.addr, junk, length);
    }
    turn_some(&scene.real);
    invalid = counter_read(&scene.real.counters, COUNTER_PACKETS_INVALID) +
              counter_read(&scene.real.counters, COUNTER_VERSION_NEGOTIATIONS);
    check(invalid >= 14);
    check(!scene.client.closed && !scene.server.closed);
    check(scene_close(&scene));
}

/* ---- nothing leaks, whichever allocation fails ---- */

static void session_once(struct scene *scene)
{
    struct flow *flow = NULL;

    if (!scene_listen(scene) || !scene_dial(scene))
        return;
    (void)turn_until(&scene->real, scene->client.closed || scene->server.closed ||
                                       (scene->client.ready && scene->server.ready));
    if (scene->client.connection && scene->client.ready)
        flow = flow_open(&scene->client);
    if (!flow)
        return;
    flow_write(flow, "hello", 5);
    if (quic_datagram_send(scene->client.connection, NULL, 0, (const uint8_t *)"d", 1) < 0 ||
        flow->stream)
        stream_finish(flow->stream);
    (void)turn_until(&scene->real, flow->closed || scene->client.closed);
}

TEST(no_failed_allocation_leaks_or_crashes)
{
    struct scene scene;
    bool met = true;

    check(scene_tls_open());
    for (uint64_t n = 1; met; n++) {
        scene_defaults(&scene);
        scene.server.echoes = true;
        scene.config.handshake_timeout_ns = 100000000;
        scene.config.idle_timeout_ns = 100000000;
        mem_count(true);
        check(real_worker_open(&scene.real, NULL));
        mem_fail_at(n);
        session_once(&scene);
        met = mem_failed();
        mem_fail_at(0);
        check(scene_close(&scene));
        check(mem_live() == 0);
        mem_count(false);
    }
}
