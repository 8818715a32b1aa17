/* A server as a member: which of its name's addresses an open goes to. */
#include "relay/server_member.h"

#include <stdio.h>

#include "core/mem.h"
#include "tests/unit/fake_names.h"
#include "tests/unit/real_worker.h"

enum { OPENS = 4 };

/* One open, and what came of it. */
struct user {
    struct open_request request;
    struct stream *stream;
    int confirmed, failed, closed;
};

static struct scene {
    struct real_worker real;
    struct worker *workers[1];
    struct fake_names names;
    struct backend_settings settings;
    _Atomic(const struct backend_settings *) backend;
    struct backend_server server;
    struct member *member;
    struct user users[OPENS];
    int listener;
    bool ready, ended;
} scene;

static void note_ready(void *context)
{
    scene.ready = true;
}
static void note_ended(void *context)
{
    scene.ended = true;
}

/* Listens on the last of the addresses that the name stands for, and on no other. */
static bool scene_open(const char *const *hosts)
{
    struct addr addr = loopback_addr();

    memset(&scene, 0, sizeof(scene));
    fake_names_init(&scene.names);
    while (*hosts) {
        must(addr_from_host(&addr, *hosts++, 0) == 0);
        scene.names.addrs[scene.names.count++] = addr;
    }
    scene.listener = sock_tcp_listen(&os_linux, &addr, 64);
    must(scene.listener >= 0 && os_linux.local_addr(&os_linux, scene.listener, &addr) == 0);
    if (!real_worker_open(&scene.real, NULL))
        return false;
    scene.real.worker.resolver = &scene.names.resolver;
    scene.workers[0] = &scene.real.worker;
    scene.settings = (struct backend_settings){.name = "web", .connect_timeout_ns = OPTION_SECOND};
    atomic_store(&scene.backend, &scene.settings);
    scene.server.host.port = addr_port(&addr);
    snprintf(scene.server.host.name, sizeof(scene.server.host.name), "web.test");
    scene.member = server_member_new(&(struct server_member_options){.by_index = scene.workers,
                                                                     .workers = 1,
                                                                     .backend = &scene.backend,
                                                                     .ready = note_ready,
                                                                     .ended = note_ended},
                                     &scene.server);
    if (!scene.member)
        return false;
    server_member_start(scene.member);
    return turn_until(&scene.real, scene.ready);
}

static bool scene_close(void)
{
    server_member_stop(scene.member);
    if (!turn_until(&scene.real, scene.ended))
        return false;
    close(scene.listener);
    worker_release(&scene.real.worker);
    return true;
}

/* ---- users ---- */

static void user_received(struct stream *stream, struct piece *piece)
{
    piece_free(piece);
}
static void user_ended(struct stream *stream)
{
}
static void user_drained(struct stream *stream, uint64_t length)
{
}
static void user_closed(struct stream *stream, enum reason reason)
{
    struct user *user = stream->owner;

    user->closed++;
    stream_free(stream);
}
static const struct stream_events user_stream_events = {
    .received = user_received, .ended = user_ended, .drained = user_drained, .closed = user_closed};

static struct user *user_of(struct open_request *request)
{
    return container_of(request, struct user, request);
}
static void user_opened(struct open_request *request, struct stream *stream)
{
    user_of(request)->stream = stream;
}
static void user_request_drained(struct open_request *request, uint64_t length)
{
}
static void user_confirmed(struct open_request *request)
{
    struct user *user = user_of(request);

    user->confirmed++;
    user->stream->events = &user_stream_events;
    user->stream->owner = user;
    stream_start(user->stream);
}
static void user_failed(struct open_request *request, enum reason reason, bool may_replay)
{
    user_of(request)->failed++;
}
static const struct open_events user_events = {.opened = user_opened,
                                               .drained = user_request_drained,
                                               .confirmed = user_confirmed,
                                               .failed = user_failed};

static bool users_are_served(void)
{
    int open = 0;

    for (int i = 0; i < OPENS; i++) {
        scene.users[i] = (struct user){
            .request = {.events = &user_events, .service = "web"}
        };
        must(scene.member->ops->open(scene.member, &scene.real.worker, &scene.users[i].request) ==
             0);
    }
    for (int i = 0; i < OPENS; i++) {
        struct user *user = &scene.users[i];

        must(turn_until(&scene.real, user->confirmed || user->failed));
        open += user->confirmed;
        if (!user->confirmed)
            continue;
        stream_stop(user->stream, REASON_SHUTDOWN);
        must(turn_until(&scene.real, user->closed));
    }
    return open == OPENS;
}

TEST(users_who_come_at_once_all_find_the_one_address_that_answers)
{
    static const char *const two[] = {"127.0.0.1", "127.0.0.2", NULL};
    static const char *const three[] = {"127.0.0.1", "127.0.0.3", "127.0.0.2", NULL};
    static const char *const *const names[] = {two, three};

    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        check(scene_open(names[i]));
        check(users_are_served());
        check(users_are_served()); /* and again, from where the first ones got to */
        check(scene_close());
    }
}
