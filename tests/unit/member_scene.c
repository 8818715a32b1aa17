#include "tests/unit/member_scene.h"

#include "core/mem.h"

struct scene scene;

bool scene_open(enum tunnel_replay replay)
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

bool scene_close(void)
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

uint32_t members(void)
{
    return backend_pool_count(tunnel_server_pool(scene.server));
}
struct member *member_at(uint32_t index)
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

void raw_dial(struct raw_client *raw)
{
    struct quic_dial dial = {.config = {.handshake_timeout_ns = OPTION_SECOND}};
    int error;

    *raw = (struct raw_client){0};
    raw->quic = quic_connect(&scene.hand.worker, &dial, &raw_events, raw, &error);
    hand_worker_turn(&scene.hand);
}

void raw_write(struct stream *stream, const void *data, size_t length)
{
    struct piece *piece = piece_copy(scene.hand.worker.pools, data, (uint32_t)length);

    must(piece);
    stream_write(stream, piece);
    hand_worker_turn(&scene.hand);
}

void raw_register_slot(struct raw_client *raw, uint8_t instance, uint16_t version, uint8_t slot)
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

void raw_register(struct raw_client *raw, uint8_t instance, uint16_t version)
{
    raw_register_slot(raw, instance, version, 0);
}

void raw_answer(struct raw_client *raw, const char *bytes)
{
    raw_write(raw->opened, bytes, strlen(bytes));
}

/* ---- a session's side ---- */

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
const struct open_events user_events = {.opened = user_opened,
                                        .drained = user_drained,
                                        .confirmed = user_confirmed,
                                        .failed = user_failed};

void user_open(struct user *user)
{
    *user = (struct user){
        .request = {.events = &user_events, .service = "web"}
    };
    must(member_at(0)->ops->open(member_at(0), &scene.hand.worker, &user->request) == 0);
    must(!user->failed && !user->stream);
    hand_worker_turn(&scene.hand);
}
