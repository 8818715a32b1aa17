/* Tunnel clients as members: registration, silence, replay, replacement, over a QUIC in memory and
 * with a clock of the test's own. */
#include <errno.h>

#include "balancer/balancer.h"
#include "core/mem.h"
#include "relay/tunnel_server.h"
#include "relay/tunnel_wire.h"
#include "tests/unit/certs.h"
#include "tests/unit/fake_quic.h"
#include "tests/unit/hand_worker.h"
#include "tests/unit/test.h"

/* A client made of bytes: what it is to say is written by the test. */
struct raw_client {
    struct quic_connection *quic; /* NULL once closed */
    struct stream *control, *opened;
    uint32_t opened_bytes;
    struct wire_message heard; /* the last message */
    struct quic_closing closing;
    bool stream_closed;
    struct list link;
};

static struct scene {
    struct hand_worker hand;
    struct certs certs;
    struct tls_settings tls;
    struct tunnel_settings tunnel;
    struct addr listen;
    char *allow;
    struct identity identity;
    struct identity_name name;
    struct tunnel_share share;
    struct tunnel_server *server;
    bool idle;
    char error[256];
} scene;

static bool scene_open(enum tunnel_replay replay)
{
    struct worker *const workers[] = {&scene.hand.worker};

    memset(&scene, 0, sizeof(scene));
    must(tls_global_init(&(struct tls_hooks){0}) == 0);
    hand_worker_open(&scene.hand);
    must(certs_open(&scene.certs) && certs_ca(&scene.certs, "ca") &&
         certs_leaf(&scene.certs, CERT_SERVER, "server", "ca", "localhost", NULL));
    scene.tls = (struct tls_settings){.cert = (char *)certs_path(&scene.certs, "server", "crt"),
                                      .key = (char *)certs_path(&scene.certs, "server", "key"),
                                      .ca = (char *)certs_path(&scene.certs, "ca", "crt")};
    scene.allow = (char *)"pod.example";
    must(addr_parse(&scene.listen, "127.0.0.1:8443") == 0);
    strcpy(scene.name.text, "pod.example");
    scene.identity = (struct identity){.count = 1, .names = &scene.name};
    fake_identity = &scene.identity;
    scene.tunnel = (struct tunnel_settings){
        .name = "pods",
        .listen = {&scene.listen, 1},
        .tls = &scene.tls,
        .allow = {&scene.allow,  1},
        .heartbeat_ns = 10 * OPTION_SECOND,
        .health_timeout_ns = 30 * OPTION_SECOND,
        .open_timeout_ns = 300 * OPTION_MS,
        .handshake_timeout_ns = 5 * OPTION_SECOND,
        .replay = replay,
        .max_clients = 2,
        .max_streams = 3
    };
    if (tunnel_share_open(&scene.share, scene.hand.worker.os, &scene.tunnel, workers, 1,
                          scene.error, sizeof(scene.error)))
        return false;
    scene.server =
        tunnel_server_new(&scene.hand.worker, &scene.share, scene.error, sizeof(scene.error));
    return scene.server && tunnel_server_start(scene.server, scene.error, sizeof(scene.error)) == 0;
}

static void scene_idle(void *context)
{
    scene.idle = true;
}

static bool scene_close(void)
{
    tunnel_server_stop(scene.server, scene_idle, NULL);
    hand_worker_turn(&scene.hand);
    if (!scene.idle || fake_quic_connections())
        return false;
    tunnel_server_free(&scene.server);
    tunnel_share_close(&scene.share);
    hand_worker_close(&scene.hand);
    certs_close(&scene.certs);
    return true;
}

static uint32_t members(void)
{
    return backend_pool_count(tunnel_server_pool(scene.server));
}
static struct member *member_at(uint32_t index)
{
    return backend_pool_member(tunnel_server_pool(scene.server), index);
}

/* ---- the client made of bytes ---- */

static void raw_received(struct stream *stream, struct piece *piece)
{
    struct raw_client *raw = stream->owner;

    if (stream == raw->control)
        must(wire_decode(piece_data(piece), piece->length, &raw->heard) > 0);
    else
        raw->opened_bytes += piece->length;
    piece_free(piece);
}
static void raw_ended(struct stream *stream)
{
}
static void raw_drained(struct stream *stream, uint64_t length)
{
}
static void raw_closed(struct stream *stream, enum reason reason)
{
    struct raw_client *raw = stream->owner;

    if (stream == raw->control)
        raw->control = NULL;
    if (stream == raw->opened) {
        raw->opened = NULL;
        raw->stream_closed = true;
    }
    stream_free(stream);
}
static const struct stream_events raw_stream_events = {
    .received = raw_received, .ended = raw_ended, .drained = raw_drained, .closed = raw_closed};

static void raw_listen(struct raw_client *raw, struct stream *stream)
{
    stream->events = &raw_stream_events;
    stream->owner = raw;
    stream_start(stream);
}
static void raw_ready(struct quic_connection *quic)
{
    struct raw_client *raw = quic_owner(quic);
    enum reason reason;

    raw->control = quic_stream_open(quic, &reason);
    raw_listen(raw, raw->control);
}
static void raw_opened(struct quic_connection *quic, struct stream *stream)
{
    struct raw_client *raw = quic_owner(quic);

    raw->opened = stream;
    raw_listen(raw, stream);
}
static void raw_datagram(struct quic_connection *quic, const uint8_t *data, uint32_t length)
{
}
static void raw_gone(struct quic_connection *quic, const struct quic_closing *closing)
{
    struct raw_client *raw = quic_owner(quic);

    raw->closing = *closing;
    raw->quic = NULL;
}
static const struct quic_events raw_events = {
    .ready = raw_ready, .opened = raw_opened, .datagram = raw_datagram, .closed = raw_gone};

static void raw_dial(struct raw_client *raw)
{
    struct quic_dial dial = {.config = {.handshake_timeout_ns = OPTION_SECOND}};
    int error;

    *raw = (struct raw_client){0};
    raw->quic = quic_connect(&scene.hand.worker, &dial, &raw_events, raw, &error);
    hand_worker_turn(&scene.hand);
}

static void raw_write(struct stream *stream, const void *data, size_t length)
{
    struct piece *piece = piece_copy(scene.hand.worker.pools, data, (uint32_t)length);

    must(piece);
    stream_write(stream, piece);
    hand_worker_turn(&scene.hand);
}

static void raw_register_slot(struct raw_client *raw, uint8_t instance, uint16_t version,
                              uint8_t slot)
{
    struct wire_message message = {
        .type = WIRE_REGISTER,
        .reg = {.version_min = version,
                .version_max = version,
                .slot = slot,
                .service_count = 1,
                .services = {{3, "web"}}}
    };
    uint8_t data[WIRE_HEAD_SIZE + WIRE_MESSAGE_MAX];

    memset(message.reg.instance, instance, WIRE_INSTANCE_SIZE);
    raw_dial(raw);
    if (raw->control)
        raw_write(raw->control, data, wire_encode(&message, data, sizeof(data)));
}

static void raw_register(struct raw_client *raw, uint8_t instance, uint16_t version)
{
    raw_register_slot(raw, instance, version, 0);
}

static void raw_answer(struct raw_client *raw, const char *bytes)
{
    raw_write(raw->opened, bytes, strlen(bytes));
}

/* ---- a session's side ---- */

struct user {
    struct open_request request;
    struct stream *stream;
    uint64_t drained;
    int failed, confirmed;
    bool may_replay;
    enum reason reason;
};

static void user_opened(struct open_request *request, struct stream *stream)
{
    struct user *user = container_of(request, struct user, request);
    struct piece *piece = piece_copy(scene.hand.worker.pools, "early", 5);

    user->stream = stream;
    if (piece)
        stream_write(stream, piece);
}
static void user_drained(struct open_request *request, uint64_t length)
{
    container_of(request, struct user, request)->drained += length;
}
static struct raw_client nobody;

static void user_confirmed(struct open_request *request)
{
    struct user *user = container_of(request, struct user, request);

    user->confirmed++;
    user->stream->events = &raw_stream_events;
    user->stream->owner = &nobody;
    stream_start(user->stream);
}
static void user_failed(struct open_request *request, enum reason reason, bool may_replay)
{
    struct user *user = container_of(request, struct user, request);

    user->failed++;
    user->reason = reason;
    user->may_replay = may_replay;
}
static const struct open_events user_events = {.opened = user_opened,
                                               .drained = user_drained,
                                               .confirmed = user_confirmed,
                                               .failed = user_failed};

static void user_open(struct user *user)
{
    *user = (struct user){
        .request = {.events = &user_events, .service = "web"}
    };
    must(member_at(0)->ops->open(member_at(0), &scene.hand.worker, &user->request) == 0);
    must(!user->failed && !user->stream);
    hand_worker_turn(&scene.hand);
}

/* ---- claims ---- */

TEST(a_client_without_a_version_in_common_is_refused_in_words)
{
    struct raw_client raw;

    check(scene_open(REPLAY_UNSEEN));
    raw_register(&raw, 1, 9);
    check(raw.heard.type == WIRE_REFUSED && raw.heard.refused.code == WIRE_CODE_VERSION);
    check(strstr(raw.heard.refused.text, "9 to 9"));
    check(members() == 0 && raw.quic);
    hand_worker_pass(&scene.hand, 1100);
    check(!raw.quic);
    check(scene_close());
}

TEST(more_clients_than_max_clients_are_refused_and_counted)
{
    struct raw_client raw[3];

    check(scene_open(REPLAY_UNSEEN));
    for (uint8_t i = 0; i < 3; i++)
        raw_register(&raw[i], i, 1);
    check(members() == 2 && raw[2].heard.refused.code == WIRE_CODE_MAX_CLIENTS);
    check(counter_read(&scene.hand.counters, COUNTER_LIMIT_MAX_CLIENTS) == 1);
    check(scene_close());
}

TEST(an_instance_has_eight_connections_at_most)
{
    struct raw_client raw[9];

    check(scene_open(REPLAY_UNSEEN));
    for (uint8_t slot = 0; slot < 9; slot++)
        raw_register_slot(&raw[slot], 1, 1, slot);
    check(members() == 1 && raw[7].heard.type == WIRE_REGISTERED);
    check(raw[8].heard.type == WIRE_REFUSED && raw[8].heard.refused.code == WIRE_CODE_LIMIT);
    hand_worker_pass(&scene.hand, 1100);
    check(raw[7].quic && !raw[8].quic);
    check(scene_close());
}

TEST(a_client_that_never_registers_is_closed)
{
    struct raw_client raw;

    check(scene_open(REPLAY_UNSEEN));
    raw_dial(&raw);
    check(raw.quic);
    hand_worker_pass(&scene.hand, 5100);
    check(!raw.quic && raw.closing.code == WIRE_CODE_REGISTER_TIMEOUT);
    check(scene_close());
}

TEST(a_new_connection_of_an_instance_replaces_the_old_one_and_stays_one_member)
{
    struct raw_client old, new;

    check(scene_open(REPLAY_UNSEEN));
    raw_register(&old, 1, 1);
    raw_register(&new, 1, 1);
    check(!old.quic && old.closing.code == WIRE_CODE_REPLACED);
    check(new.quic &&members() == 1);
    check(scene_close());
}

TEST(early_bytes_are_drained_without_the_header_and_an_answer_confirms)
{
    struct raw_client raw;
    struct user user;

    check(scene_open(REPLAY_UNSEEN));
    raw_register(&raw, 1, 1);
    user_open(&user);
    check(raw.opened && raw.opened_bytes > 5 && user.drained == 5);
    raw_answer(&raw, "\x01");
    check(!user.confirmed);
    raw_answer(&raw, "\x02hi");
    check(user.confirmed == 1 && !user.failed);
    check(scene_close());
}

TEST(an_explicit_refusal_may_be_replayed_under_either_option)
{
    for (int replay = REPLAY_UNSEEN; replay <= REPLAY_REFUSED; replay++) {
        struct raw_client raw;
        struct user user;

        check(scene_open((enum tunnel_replay)replay));
        raw_register(&raw, 1, 1);
        user_open(&user);
        raw_answer(&raw, "\x01\x10");
        check(user.failed == 1 && user.reason == REASON_REFUSED && user.may_replay);
        check(scene_close());
    }
}

TEST(a_silent_client_is_suspect_after_open_timeout_and_dead_two_seconds_later)
{
    struct raw_client raw;
    struct user user;

    check(scene_open(REPLAY_UNSEEN));
    raw_register(&raw, 1, 1);
    fake_quic_cut(raw.quic, true);
    user_open(&user);
    hand_worker_pass(&scene.hand, 290);
    check(!user.failed && member_at(0)->state == MEMBER_FIT);
    hand_worker_pass(&scene.hand, 30);
    check(user.failed == 1 && user.reason == REASON_OPEN_TIMEOUT && user.may_replay);
    check(member_at(0)->state == MEMBER_SUSPECT);
    hand_worker_pass(&scene.hand, 1900);
    check(members() == 1);
    hand_worker_pass(&scene.hand, 200);
    check(members() == 0);
    fake_quic_cut(raw.quic, false);
    quic_close(raw.quic, REASON_DONE, 0, "");
    hand_worker_turn(&scene.hand);
    check(scene_close());
}

TEST(a_client_that_loses_a_silent_connection_is_fit_again_once_another_is_heard)
{
    struct raw_client first, second;
    struct user user;

    check(scene_open(REPLAY_UNSEEN));
    raw_register_slot(&first, 1, 1, 0);
    raw_register_slot(&second, 1, 1, 1);
    fake_quic_cut(second.quic, true);
    user_open(&user);
    hand_worker_pass(&scene.hand, 320);
    check(user.failed == 1 && member_at(0)->state == MEMBER_SUSPECT);
    hand_worker_pass(&scene.hand, 1900);
    check(member_at(0)->state == MEMBER_SUSPECT);
    hand_worker_pass(&scene.hand, 250); /* the silent one is given up, and the other asked */
    check(members() == 1 && member_at(0)->state == MEMBER_FIT && first.quic);
    fake_quic_cut(second.quic, false);
    quic_close(second.quic, REASON_DONE, 0, "");
    hand_worker_turn(&scene.hand);
    check(scene_close());
}

TEST(a_client_whose_connections_are_all_silent_is_given_up_with_each)
{
    struct raw_client first, second;
    struct user user;

    check(scene_open(REPLAY_UNSEEN));
    raw_register_slot(&first, 1, 1, 0);
    raw_register_slot(&second, 1, 1, 1);
    fake_quic_cut(first.quic, true);
    fake_quic_cut(second.quic, true);
    user_open(&user);
    hand_worker_pass(&scene.hand, 2450);
    check(members() == 1 && member_at(0)->state == MEMBER_SUSPECT);
    hand_worker_pass(&scene.hand, 2100);
    check(members() == 0);
    fake_quic_cut(first.quic, false);
    fake_quic_cut(second.quic, false);
    quic_close(first.quic, REASON_DONE, 0, "");
    quic_close(second.quic, REASON_DONE, 0, "");
    hand_worker_turn(&scene.hand);
    check(scene_close());
}

TEST(silence_is_not_replayed_where_only_refusals_are)
{
    struct raw_client raw;
    struct user user;

    check(scene_open(REPLAY_REFUSED));
    raw_register(&raw, 1, 1);
    fake_quic_cut(raw.quic, true);
    user_open(&user);
    hand_worker_pass(&scene.hand, 320);
    check(user.failed == 1 && !user.may_replay);
    fake_quic_cut(raw.quic, false);
    hand_worker_pass(&scene.hand, 10);
    quic_ping(raw.quic);
    hand_worker_pass(&scene.hand, 100);
    check(member_at(0)->state == MEMBER_FIT);
    check(scene_close());
}

TEST(an_acknowledged_open_waits_on_and_is_never_replayed)
{
    struct raw_client raw;
    struct user user;

    check(scene_open(REPLAY_UNSEEN));
    raw_register(&raw, 1, 1);
    user_open(&user);
    hand_worker_pass(&scene.hand, 5000);
    check(!user.failed && member_at(0)->state == MEMBER_FIT);
    quic_close(raw.quic, REASON_DONE, 0, "");
    hand_worker_turn(&scene.hand);
    check(user.failed == 1 && user.reason == REASON_TUNNEL_LOST && !user.may_replay);
    check(scene_close());
}

TEST(a_client_that_drains_leaves_the_pool_and_keeps_its_connection)
{
    struct wire_message drain = {.type = WIRE_DRAIN};
    struct raw_client raw;
    uint8_t data[16];

    check(scene_open(REPLAY_UNSEEN));
    raw_register(&raw, 1, 1);
    raw_write(raw.control, data, wire_encode(&drain, data, sizeof(data)));
    check(members() == 0 && raw.quic);
    check(scene_close());
}

TEST(opens_above_max_streams_fail_with_a_limit_and_are_counted)
{
    struct raw_client raw;
    struct user users[4];

    check(scene_open(REPLAY_UNSEEN));
    raw_register(&raw, 1, 1);
    for (int i = 0; i < 4; i++)
        user_open(&users[i]);
    check(!users[2].failed && users[3].failed && users[3].reason == REASON_LIMIT);
    check(counter_read(&scene.hand.counters, COUNTER_LIMIT_MAX_STREAMS) == 1);
    check(scene_close());
}

TEST(an_open_survives_the_failure_of_any_one_allocation)
{
    bool met = true;

    for (uint64_t n = 1; met; n++) {
        struct raw_client raw;
        struct user user = {
            .request = {.events = &user_events, .service = "web"}
        };
        int rc;

        check(scene_open(REPLAY_UNSEEN));
        raw_register(&raw, 1, 1);
        mem_fail_at(n);
        rc = member_at(0)->ops->open(member_at(0), &scene.hand.worker, &user.request);
        hand_worker_turn(&scene.hand);
        met = mem_failed();
        mem_fail_at(0);
        if (rc == 0 && !user.failed)
            raw_answer(&raw, "\x02");
        check(rc == -ENOMEM || user.failed + user.confirmed == 1);
        check(rc == 0 || !user.failed);
        check(scene_close());
    }
}
