/* A tunnel's server, client and service on one worker and the loopback, with real QUIC. */
#include <sys/socket.h>

#include "balancer/balancer.h"
#include "core/tcp_end.h"
#include "quic/quic.h"
#include "relay/tunnel_client.h"
#include "relay/tunnel_server.h"
#include "tests/unit/certs.h"
#include "tests/unit/fake_names.h"
#include "tests/unit/real_worker.h"

struct scene {
    struct real_worker real;
    struct certs certs;
    struct tls_settings server_tls, client_tls;
    struct tunnel_settings tunnel;
    struct settings settings; /* the client's */
    struct client_server upstream;
    struct service_settings service;
    struct addr listen;
    char *allow;
    struct tunnel_share share;
    struct client_share client_share;
    struct tunnel_server *server;
    struct tunnel_client *client;
    int service_fd;
    uint32_t registrations;
    bool server_idle, client_idle;
    char error[256];
};

static void scene_registered(void *context)
{
    ((struct scene *)context)->registrations++;
}
static void scene_server_idle(void *context)
{
    ((struct scene *)context)->server_idle = true;
}
static void scene_client_idle(void *context)
{
    ((struct scene *)context)->client_idle = true;
}

static bool scene_certs(struct scene *scene)
{
    struct certs *certs = &scene->certs;

    if (!certs_open(certs) || !certs_ca(certs, "ca") ||
        !certs_leaf(certs, CERT_SERVER, "server", "ca", "localhost", NULL) ||
        !certs_leaf(certs, CERT_CLIENT, "pod", "ca", "pod-1.example", NULL))
        return false;
    scene->server_tls = (struct tls_settings){.cert = (char *)certs_path(certs, "server", "crt"),
                                              .key = (char *)certs_path(certs, "server", "key"),
                                              .ca = (char *)certs_path(certs, "ca", "crt")};
    scene->client_tls = (struct tls_settings){.cert = (char *)certs_path(certs, "pod", "crt"),
                                              .key = (char *)certs_path(certs, "pod", "key"),
                                              .ca = (char *)certs_path(certs, "ca", "crt")};
    return true;
}

static void scene_settings(struct scene *scene)
{
    scene->listen = loopback_addr();
    scene->tunnel = (struct tunnel_settings){
        .name = "pods",
        .listen = {&scene->listen, 1},
        .tls = &scene->server_tls,
        .allow = {&scene->allow,  1},
        .heartbeat_ns = 200000000,
        .health_timeout_ns = 3000000000,
        .open_timeout_ns = 300000000,
        .handshake_timeout_ns = 5000000000,
        .idle_timeout_ns = 30000000000,
        .max_clients = 10,
        .max_streams = 100,
        .datagram_queue = 256,
        .stream_window = 262144,
        .stream_window_max = 8388608,
        .connection_window_max = 16777216
    };
    scene->service = (struct service_settings){
        .name = "web", .protocol = PROTOCOL_BOTH, .connect_timeout_ns = 2000000000};
    scene->service_fd = loopback_listen(&scene->service.target.addr);
    scene->settings.client = (struct client_settings){.present = true,
                                                      .id = "pod",
                                                      .servers = &scene->upstream,
                                                      .server_count = 1,
                                                      .tls = &scene->client_tls,
                                                      .reconnect_min_ns = 100000000,
                                                      .reconnect_max_ns = 1000000000};
    scene->settings.services = &scene->service;
    scene->settings.service_count = 1;
}

static bool scene_start_server(struct scene *scene)
{
    struct worker *const workers[] = {&scene->real.worker};

    scene->server_idle = false;
    if (tunnel_share_open(&scene->share, &os_linux, &scene->tunnel, workers, 1, scene->error,
                          sizeof(scene->error)))
        return false;
    quic_port_addr(scene->share.ports[0], &scene->upstream.host.addr);
    scene->server =
        tunnel_server_new(&scene->real.worker, &scene->share, scene->error, sizeof(scene->error));
    return scene->server &&
           tunnel_server_start(scene->server, scene->error, sizeof(scene->error)) == 0;
}

static bool scene_start_client(struct scene *scene)
{
    struct tunnel_client_options options = {.worker = &scene->real.worker,
                                            .settings = &scene->settings,
                                            .share = &scene->client_share,
                                            .registered = scene_registered,
                                            .context = scene};

    scene->client_idle = false;
    strcpy(scene->upstream.server_name, "localhost");
    if (!scene->client_share.groups &&
        client_share_open(&scene->client_share, &os_linux, &scene->settings.client, 1, scene->error,
                          sizeof(scene->error)))
        return false;
    scene->client = tunnel_client_new(&options, scene->error, sizeof(scene->error));
    if (scene->client)
        tunnel_client_start(scene->client);
    return scene->client;
}

static bool scene_open(struct scene *scene, const char *allow)
{
    *scene = (struct scene){.allow = (char *)allow, .service_fd = -1};
    must(tls_global_init(&(struct tls_hooks){0}) == 0);
    must(quic_global_init(scene->error, sizeof(scene->error)) == 0);
    if (!real_worker_open(&scene->real, NULL) || !scene_certs(scene))
        return false;
    scene_settings(scene);
    if (scene_start_server(scene) && scene_start_client(scene))
        return true;
    fprintf(stderr, "%s\n", scene->error);
    return false;
}

static bool scene_stop_server(struct scene *scene)
{
    tunnel_server_stop(scene->server, scene_server_idle, scene);
    if (!turn_until(&scene->real, scene->server_idle))
        return false;
    tunnel_server_free(&scene->server);
    tunnel_share_close(&scene->share);
    return true;
}

static bool scene_stop_client(struct scene *scene)
{
    tunnel_client_stop(scene->client, scene_client_idle, scene);
    if (!turn_until(&scene->real, scene->client_idle))
        return false;
    tunnel_client_free(&scene->client);
    client_share_close(&scene->client_share);
    return true;
}

static bool scene_close(struct scene *scene)
{
    bool stopped = scene_stop_client(scene) && scene_stop_server(scene);

    if (scene->service_fd >= 0)
        close(scene->service_fd);
    if (stopped)
        worker_release(&scene->real.worker);
    certs_close(&scene->certs);
    return stopped;
}

static uint32_t scene_members(struct scene *scene)
{
    return backend_pool_count(tunnel_server_pool(scene->server));
}

/* ---- a user's session, as far as the member sees it ---- */

struct user {
    struct open_request request;
    struct stream *stream;
    char text[64], got[64];
    uint32_t got_length;
    bool opened, confirmed, failed, may_replay, ended, closed;
    enum reason reason;
    struct worker *worker;
};

static void user_write(struct user *user, const char *text)
{
    struct piece *piece = piece_copy(user->worker->pools, text, (uint32_t)strlen(text));

    must(piece);
    stream_write(user->stream, piece);
}

static void user_opened(struct open_request *request, struct stream *stream)
{
    struct user *user = container_of(request, struct user, request);

    user->opened = true;
    user->stream = stream;
    if (*user->text)
        user_write(user, user->text);
}
static void user_drained(struct open_request *request, uint64_t length)
{
}
static void user_received(struct stream *stream, struct piece *piece)
{
    struct user *user = stream->owner;

    must(user->got_length + piece->length < sizeof(user->got));
    memcpy(user->got + user->got_length, piece_data(piece), piece->length);
    user->got_length += piece->length;
    stream_consumed(stream, piece->length);
    piece_free(piece);
}
static void user_ended(struct stream *stream)
{
    ((struct user *)stream->owner)->ended = true;
}
static void user_stream_drained(struct stream *stream, uint64_t length)
{
}
static void user_closed(struct stream *stream, enum reason reason)
{
    struct user *user = stream->owner;

    user->closed = true;
    user->reason = reason;
    stream_free(stream);
}
static const struct stream_events user_stream_events = {.received = user_received,
                                                        .ended = user_ended,
                                                        .drained = user_stream_drained,
                                                        .closed = user_closed};
static void user_confirmed(struct open_request *request)
{
    struct user *user = container_of(request, struct user, request);

    user->confirmed = true;
    user->stream->events = &user_stream_events;
    user->stream->owner = user;
    stream_start(user->stream);
}
static void user_failed(struct open_request *request, enum reason reason, bool may_replay)
{
    struct user *user = container_of(request, struct user, request);

    user->failed = true;
    user->reason = reason;
    user->may_replay = may_replay;
}
static const struct open_events user_open_events = {.opened = user_opened,
                                                    .drained = user_drained,
                                                    .confirmed = user_confirmed,
                                                    .failed = user_failed};

static bool user_open(struct user *user, struct scene *scene, const char *service, const char *text)
{
    struct member *member = backend_pool_member(tunnel_server_pool(scene->server), 0);

    *user = (struct user){.worker = &scene->real.worker};
    user->request.events = &user_open_events;
    user->request.service = service;
    must(addr_parse(&user->request.source, "192.0.2.9:1234") == 0);
    must(addr_parse(&user->request.destination, "192.0.2.1:80") == 0);
    snprintf(user->text, sizeof(user->text), "%s", text);
    return member->ops->open(member, user->worker, &user->request) == 0;
}

/* ---- claims ---- */

TEST(a_client_that_is_allowed_registers_and_becomes_a_member)
{
    static struct scene scene;

    check(scene_open(&scene, "pod-*.example"));
    check(turn_until(&scene.real, scene.registrations == 1));
    check(scene_members(&scene) == 1);
    check(!strcmp(backend_pool_member(tunnel_server_pool(scene.server), 0)->name, "pod-1.example"));
    check(scene_close(&scene));
}

TEST(a_client_that_is_not_allowed_is_refused_and_no_member)
{
    static struct scene scene;
    uint64_t refused;

    check(scene_open(&scene, "other-*.example"));
    check(
        turn_until(&scene.real, counter_read(&scene.real.counters, COUNTER_REGISTER_REFUSED) > 0));
    refused = counter_read(&scene.real.counters, COUNTER_REGISTER_REFUSED);
    check(refused && scene_members(&scene) == 0 && scene.registrations == 0);
    check(scene_close(&scene));
}

TEST(early_bytes_reach_the_service_and_its_answer_comes_back)
{
    static struct scene scene;
    static struct user user;
    char buf[16] = {0};
    int fd = -1;

    check(scene_open(&scene, "pod-*.example"));
    check(turn_until(&scene.real, scene.registrations == 1));
    check(user_open(&user, &scene, "web", "ping"));
    check(turn_until(&scene.real, user.confirmed || user.failed));
    check(user.confirmed);
    fd = accept(scene.service_fd, NULL, NULL);
    check(fd >= 0);
    check(turn_until(&scene.real, recv(fd, buf, sizeof(buf), MSG_DONTWAIT | MSG_PEEK) == 4));
    check(!memcmp(buf, "ping", 4));
    check(recv(fd, buf, sizeof(buf), 0) == 4 && send(fd, "pong", 4, 0) == 4);
    check(turn_until(&scene.real, user.got_length == 4));
    check(!memcmp(user.got, "pong", 4));
    close(fd);
    check(turn_until(&scene.real, user.ended));
    stream_finish(user.stream);
    check(turn_until(&scene.real, user.closed));
    check(user.reason == REASON_DONE);
    check(turn_until(&scene.real, tunnel_client_active(scene.client) == 0));
    check(scene_close(&scene));
}

TEST(a_service_that_refuses_is_told_and_may_be_replayed)
{
    static struct scene scene;
    static struct user user;

    check(scene_open(&scene, "pod-*.example"));
    check(turn_until(&scene.real, scene.registrations == 1));
    close(scene.service_fd);
    scene.service_fd = -1;
    check(user_open(&user, &scene, "web", "ping"));
    check(turn_until(&scene.real, user.failed));
    check(user.reason == REASON_REFUSED && user.may_replay);
    check(scene_close(&scene));
}

TEST(a_silent_address_of_a_service_leaves_time_for_the_next)
{
    static struct fake_names names;
    static struct scene scene;
    static struct user user;
    int silent[SILENT_FDS];

    check(scene_open(&scene, "pod-*.example"));
    check(turn_until(&scene.real, scene.registrations == 1));
    check(scene_stop_client(&scene));
    check(turn_until(&scene.real, scene_members(&scene) == 0));
    fake_names_init(&names);
    silent_listen(&names.addrs[0], silent);
    names.addrs[1] = scene.service.target.addr;
    names.count = 2;
    scene.service.target = (struct host){.name = "web.test", .port = 80};
    scene.service.connect_timeout_ns = 400000000;
    scene.real.worker.resolver = &names.resolver;
    check(scene_start_client(&scene));
    check(turn_until(&scene.real, scene.registrations == 2 && scene_members(&scene) == 1));
    check(user_open(&user, &scene, "web", "ping"));
    check(turn_until(&scene.real, user.confirmed || user.failed));
    check(user.confirmed);
    stream_stop(user.stream, REASON_SHUTDOWN);
    check(turn_until(&scene.real, user.closed && !tunnel_client_active(scene.client)));
    check(scene_close(&scene));
    silent_close(silent);
}

TEST(a_service_that_the_client_does_not_offer_fails_at_once)
{
    static struct scene scene;
    static struct user user;

    check(scene_open(&scene, "pod-*.example"));
    check(turn_until(&scene.real, scene.registrations == 1));
    check(user_open(&user, &scene, "ssh", "ping"));
    check(!user.failed);
    check(turn_until(&scene.real, user.failed));
    check(user.reason == REASON_NO_SERVICE && user.may_replay && !user.opened);
    check(scene_close(&scene));
}

TEST(a_cancelled_open_ends_once_as_abandoned)
{
    static struct scene scene;
    static struct user user;
    struct member *member;

    check(scene_open(&scene, "pod-*.example"));
    check(turn_until(&scene.real, scene.registrations == 1));
    check(user_open(&user, &scene, "web", "ping"));
    member = backend_pool_member(tunnel_server_pool(scene.server), 0);
    member->ops->cancel(member, &user.request);
    check(turn_until(&scene.real, user.failed));
    check(user.reason == REASON_ABANDONED);
    check(scene_close(&scene));
}

TEST(a_tunnel_is_back_within_three_seconds_of_its_server)
{
    static struct scene scene;
    uint64_t begin;

    check(scene_open(&scene, "pod-*.example"));
    check(turn_until(&scene.real, scene.registrations == 1));
    scene.listen = scene.upstream.host.addr; /* the same port again */
    check(scene_stop_server(&scene));
    check(turn_until(&scene.real, counter_read(&scene.real.counters, COUNTER_RECONNECTS) > 1));
    begin = scene.real.worker.now_ns;
    check(scene_start_server(&scene));
    check(turn_until(&scene.real, scene.registrations == 2));
    check(scene.real.worker.now_ns - begin < 3000000000);
    check(scene_members(&scene) == 1);
    check(scene_close(&scene));
}

/* ---- UDP ---- */

struct udp_user {
    char got[64];
    uint32_t got_length;
    bool closed;
    enum reason reason;
};

static void udp_user_received(struct datagram_end *end, const uint8_t *data, uint32_t length)
{
    struct udp_user *user = end->owner;

    must(length < sizeof(user->got));
    memcpy(user->got, data, length);
    user->got_length = length;
}
static void udp_user_closed(struct datagram_end *end, enum reason reason)
{
    struct udp_user *user = end->owner;

    user->closed = true;
    user->reason = reason;
    datagram_free(end);
}
static const struct datagram_events udp_user_events = {.received = udp_user_received,
                                                       .closed = udp_user_closed};

static int udp_service(struct scene *scene)
{
    struct addr any = loopback_addr();
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    must(fd >= 0 && bind(fd, &any.sa, any.length) == 0);
    must(os_linux.local_addr(&os_linux, fd, &scene->service.target.addr) == 0);
    return fd;
}

TEST(datagrams_cross_the_tunnel_and_a_stopped_session_ends_on_both_sides)
{
    static struct scene scene;
    struct datagram_request request = {.service = "web"};
    struct udp_user user = {0};
    struct datagram_end *end;
    struct member *member;
    struct addr from = {.length = sizeof(from.in6)};
    enum reason reason;
    char buf[16];
    int fd;

    check(scene_open(&scene, "pod-*.example"));
    check(scene_stop_client(&scene));
    fd = udp_service(&scene);
    scene.client_idle = false;
    scene.registrations = 0;
    check(scene_start_client(&scene));
    check(turn_until(&scene.real, scene.registrations == 1));
    must(addr_parse(&request.source, "192.0.2.9:1234") == 0);
    member = backend_pool_member(tunnel_server_pool(scene.server), 0);
    end = member->ops->open_datagrams(member, &scene.real.worker, &request, &reason);
    check(end);
    end->events = &udp_user_events;
    end->owner = &user;
    datagram_send(end, (const uint8_t *)"query", 5);
    check(turn_until(&scene.real, recv(fd, buf, sizeof(buf), MSG_DONTWAIT | MSG_PEEK) == 5));
    check(recvfrom(fd, buf, sizeof(buf), 0, &from.sa, &from.length) == 5);
    check(sendto(fd, "answer", 6, 0, &from.sa, from.length) == 6);
    check(turn_until(&scene.real, user.got_length == 6));
    check(tunnel_client_active(scene.client) == 1);
    datagram_stop(end, REASON_IDLE_TIMEOUT);
    check(!user.closed);
    check(turn_until(&scene.real, user.closed && !tunnel_client_active(scene.client)));
    check(user.reason == REASON_IDLE_TIMEOUT);
    close(fd);
    check(scene_close(&scene));
}
