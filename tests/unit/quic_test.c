/* The life of a connection: how it begins, how it is refused, and all the ways it ends. */
#include "quic/quic.h"

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
