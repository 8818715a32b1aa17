/* A tunnel client and servers that are away, silent or come back, over a QUIC in memory and with a
 * clock of the test's own. */
#include "core/mem.h"
#include "relay/tunnel_client.h"
#include "relay/tunnel_wire.h"
#include "tests/unit/certs.h"
#include "tests/unit/fake_quic.h"
#include "tests/unit/hand_worker.h"
#include "tests/unit/test.h"

static struct scene {
    struct hand_worker hand;
    struct certs certs;
    struct tls_settings tls;
    struct settings settings;
    struct client_server upstream;
    struct client_share share;
    struct tunnel_client *client;
    struct quic_endpoint *endpoint;
    uint32_t registered;
    bool idle, endpoint_idle, refuses;
    char error[256];
} scene;

static void scene_registered(void *context)
{
    scene.registered++;
}
static void scene_idle(void *context)
{
    *(bool *)context = true;
}

static bool scene_open(void)
{
    struct tunnel_client_options options = {.worker = &scene.hand.worker,
                                            .settings = &scene.settings,
                                            .share = &scene.share,
                                            .registered = scene_registered};

    memset(&scene, 0, sizeof(scene));
    must(tls_global_init(&(struct tls_hooks){0}) == 0);
    hand_worker_open(&scene.hand);
    must(certs_open(&scene.certs) && certs_ca(&scene.certs, "ca"));
    scene.tls = (struct tls_settings){.ca = (char *)certs_path(&scene.certs, "ca", "crt")};
    must(addr_parse(&scene.upstream.host.addr, "127.0.0.1:8443") == 0);
    strcpy(scene.upstream.server_name, "localhost");
    scene.settings.client = (struct client_settings){.servers = &scene.upstream,
                                                     .server_count = 1,
                                                     .tls = &scene.tls,
                                                     .reconnect_min_ns = 500 * OPTION_MS,
                                                     .reconnect_max_ns = 30 * OPTION_SECOND};
    if (client_share_open(&scene.share, scene.hand.worker.os, &scene.settings.client, 1,
                          scene.error, sizeof(scene.error)))
        return false;
    scene.client = tunnel_client_new(&options, scene.error, sizeof(scene.error));
    if (scene.client)
        tunnel_client_start(scene.client);
    return scene.client;
}

static bool scene_close(void)
{
    tunnel_client_stop(scene.client, scene_idle, &scene.idle);
    hand_worker_turn(&scene.hand);
    if (!scene.idle || fake_quic_connections())
        return false;
    tunnel_client_free(&scene.client);
    client_share_close(&scene.share);
    if (scene.endpoint)
        quic_endpoint_stop(scene.endpoint, scene_idle, &scene.endpoint_idle);
    hand_worker_turn(&scene.hand);
    hand_worker_close(&scene.hand);
    certs_close(&scene.certs);
    return true;
}

/* ---- a server made of bytes: answers REGISTER, then says nothing ---- */

static void server_received(struct stream *stream, struct piece *piece)
{
    struct wire_message message = {
        .type = WIRE_REGISTERED,
        .registered = {.version = 1,
                       .worker_count = 1,
                       .heartbeat_ms = 10000,
                       .health_timeout_ms = 30000,
                       .probe_ms = 1000}
    };
    struct wire_message heard;
    uint8_t data[256];

    must(wire_decode(piece_data(piece), piece->length, &heard) > 0);
    piece_free(piece);
    if (scene.refuses)
        message = (struct wire_message){.type = WIRE_REFUSED, .refused.code = WIRE_CODE_VERSION};
    if (heard.type == WIRE_REGISTER) {
        piece = piece_copy(scene.hand.worker.pools, data,
                           (uint32_t)wire_encode(&message, data, sizeof(data)));
        must(piece);
        stream_write(stream, piece);
    }
}
static void server_ended(struct stream *stream)
{
}
static void server_drained(struct stream *stream, uint64_t length)
{
}
static void server_stream_closed(struct stream *stream, enum reason reason)
{
    stream_free(stream);
}
static const struct stream_events server_stream_events = {.received = server_received,
                                                          .ended = server_ended,
                                                          .drained = server_drained,
                                                          .closed = server_stream_closed};
static void server_ready(struct quic_connection *quic)
{
}
static void server_opened(struct quic_connection *quic, struct stream *stream)
{
    stream->events = &server_stream_events;
    stream_start(stream);
}
static void server_closed(struct quic_connection *quic, const struct quic_closing *closing)
{
}
static const struct quic_events server_events = {
    .ready = server_ready, .opened = server_opened, .closed = server_closed};

static bool server_accept(void *context, struct quic_connection *quic)
{
    quic_own(quic, &server_events, NULL);
    return true;
}

static void server_start(void)
{
    struct quic_acceptor acceptor = {.accept = server_accept};
    int error;

    scene.endpoint = quic_listen(&scene.hand.worker, &scene.upstream.host.addr, &acceptor, &error);
}

/* ---- claims ---- */

TEST(while_a_loss_is_fresh_no_try_takes_long)
{
    uint32_t before;

    check(scene_open());
    before = fake_quic_dials();
    hand_worker_pass(&scene.hand, 20000);
    check(fake_quic_dials() - before >= 7);
    check(scene_close());
}

TEST(a_server_that_appears_is_registered_with_within_three_seconds)
{
    check(scene_open());
    hand_worker_pass(&scene.hand, 12340);
    server_start();
    hand_worker_pass(&scene.hand, 3000);
    check(scene.registered == 1);
    check(scene_close());
}

TEST(a_server_that_falls_silent_is_left_and_found_again)
{
    struct quic_connection *dead;

    check(scene_open());
    server_start();
    hand_worker_pass(&scene.hand, 1000);
    check(scene.registered == 1);
    dead = fake_quic_server();
    fake_quic_cut(fake_quic_client(), true);
    hand_worker_pass(&scene.hand, 4500);
    check(scene.registered == 2);
    quic_close(dead, REASON_DONE, 0, "");
    hand_worker_turn(&scene.hand);
    check(scene_close());
}

TEST(a_server_that_refuses_is_asked_ever_more_rarely)
{
    uint32_t before;

    check(scene_open());
    server_start();
    scene.refuses = true;
    before = fake_quic_dials();
    hand_worker_pass(&scene.hand, 30000);
    check(fake_quic_dials() - before >= 4 && fake_quic_dials() - before <= 9);
    check(scene.registered == 0);
    check(scene_close());
}

TEST(a_client_that_drains_does_not_come_back)
{
    uint32_t before;
    bool drained = false;

    check(scene_open());
    server_start();
    hand_worker_pass(&scene.hand, 1000);
    tunnel_client_drain(scene.client, scene_idle, &drained);
    check(!drained);
    hand_worker_turn(&scene.hand);
    check(drained);
    before = fake_quic_dials();
    quic_close(fake_quic_server(), REASON_DONE, 0, "");
    hand_worker_pass(&scene.hand, 5000);
    check(fake_quic_dials() == before);
    check(scene_close());
}
