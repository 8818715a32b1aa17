#include "relay/splice.h"

#include <errno.h>
#include <signal.h>
#include <sys/socket.h>

#include "core/mem.h"
#include "core/tcp_end.h"
#include "tests/unit/real_worker.h"
#include "tests/unit/way.h"

/* A user and a service, each with a socket of the test's own, and the relay between them. */
struct scene {
    struct real_worker real;
    struct splice splice;
    struct pump_limits limits;
    int user, service;
    int client; /* the relay's end of the user's connection */
    int done;
    enum reason reason;
};

static void scene_done(struct pump *pump, enum reason reason)
{
    struct scene *scene = container_of(pump, struct scene, splice.pump);

    scene->done++;
    scene->reason = reason;
}

/* False: no memory for it. */
static bool scene_connect(struct scene *scene, enum zero_copy zero_copy)
{
    struct worker *worker = &scene->real.worker;
    struct stream *client, *backend;
    int ours;

    signal(SIGPIPE, SIG_IGN); /* as the program does */
    loopback_pair(&scene->client, &scene->user);
    client = tcp_end_new(worker, scene->client);
    loopback_pair(&ours, &scene->service);
    backend = tcp_end_new(worker, ours);
    if (!client || !backend)
        return false;
    client->receive_limit = backend->receive_limit = 256 << 10;
    pump_start(&scene->splice.pump, worker, client, backend, &scene->limits, scene_done);
    splice_start(&scene->splice, zero_copy);
    return true;
}

static bool scene_open(struct scene *scene, const char *without, enum zero_copy zero_copy)
{
    memset(scene, 0, sizeof(*scene));
    return real_worker_open(&scene->real, without) && scene_connect(scene, zero_copy);
}

static uint64_t counted(const struct scene *scene, enum counter counter)
{
    return counter_read(&scene->real.counters, counter);
}

static bool every_pipe_is_back(const struct scene *scene)
{
    return scene->real.worker.pipes.count == scene->real.worker.pipes.kept_count;
}

static bool scene_close(struct scene *scene)
{
    bool ended;

    close(scene->user);
    close(scene->service);
    ended = turn_until(&scene->real, scene->done);
    ended &= scene->done == 1 && every_pipe_is_back(scene);
    ended &= counted(scene, COUNTER_SPLICES_ENTERED) == counted(scene, COUNTER_SPLICES_LEFT);
    worker_release(&scene->real.worker);
    return ended;
}

/* One turn; at most `most` bytes enter. */
static void way_turn(struct scene *scene, struct way *way, size_t most)
{
    way_send(way, most);
    must(worker_turn(&scene->real.worker, scene->real.worker.now_ns + 1000000) == 0);
    way_receive(way);
}

static bool way_carry(struct scene *scene, struct way *way, uint64_t length)
{
    way->size += length;
    for (int turn = 0; turn < 100000 && way->got < way->size && !way->wrong; turn++)
        way_turn(scene, way, 256 << 10);
    return way->got == way->size && !way->wrong;
}

static bool pours(int fd)
{
    static const uint8_t bytes[256 << 10];

    return send(fd, bytes, sizeof(bytes), MSG_DONTWAIT | MSG_NOSIGNAL) > 0;
}

/* Neither reads any more, and each is sent as much as fits in between. */
static void scene_stall(struct scene *scene)
{
    for (int quiet = 0; quiet < 20; quiet++) {
        if (pours(scene->user) | pours(scene->service))
            quiet = 0;
        must(worker_turn(&scene->real.worker, scene->real.worker.now_ns + 1000000) == 0);
    }
}

static void reset_and_close(int *fd)
{
    sock_reset_on_close(&os_linux, *fd);
    close(*fd);
    *fd = -1;
}

static bool ends_when_both_die_stalled(const char *without, enum zero_copy zero_copy)
{
    struct scene scene;
    bool ended;

    if (!scene_open(&scene, without, zero_copy))
        return false;
    scene_stall(&scene);
    reset_and_close(&scene.service);
    turn_some(&scene.real);
    if (!scene.done)
        reset_and_close(&scene.user);
    ended = turn_until(&scene.real, scene.done) && scene.reason == REASON_RESET;
    return scene_close(&scene) && ended;
}

BOTH(a_relay_whose_ends_both_die_with_bytes_stuck_each_way_ends)
{
    for (enum zero_copy zero_copy = 0; zero_copy <= ZERO_COPY_NO; zero_copy++)
        check(ends_when_both_die_stalled(without, zero_copy));
}

BOTH(a_bulky_direction_moves_to_splice_and_back_once_it_is_small_with_every_byte_in_order)
{
    struct scene scene;
    struct way up;

    check(scene_open(&scene, without, ZERO_COPY_AUTO));
    up = (struct way){.from = scene.user, .to = scene.service};
    for (uint64_t round = 1; round <= 3; round++) {
        check(way_carry(&scene, &up, 16 << 20));
        check(counted(&scene, COUNTER_SPLICES_ENTERED) >= round);
        check(scene.splice.client.flow && !scene.splice.backend.flow);
        while (scene.splice.client.flow && up.size < 512 << 20) { /* small ones, no pause */
            up.size += 100;
            way_turn(&scene, &up, 100);
        }
        check(counted(&scene, COUNTER_SPLICES_LEFT) >= round);
        check(way_carry(&scene, &up, 1000));
        check(!scene.splice.client.flow);
    }
    check(counted(&scene, COUNTER_SPLICE_BYTES) > 24 << 20);
    check(scene.splice.pump.client_bytes == up.got && scene.splice.pump.backend_bytes == 0);
    check(scene_close(&scene));
}

BOTH(a_flow_of_small_messages_is_never_spliced)
{
    struct scene scene;
    struct way up;

    check(scene_open(&scene, without, ZERO_COPY_AUTO));
    up = (struct way){.from = scene.user, .to = scene.service, .size = 4 << 20};
    while (up.got < up.size)
        way_turn(&scene, &up, 4000);
    check(!up.wrong && counted(&scene, COUNTER_SPLICES_ENTERED) == 0);
    check(scene_close(&scene));
}

BOTH(zero_copy_no_splices_nothing_and_yes_the_first_byte)
{
    struct scene scene;
    struct way up;

    check(scene_open(&scene, without, ZERO_COPY_NO));
    up = (struct way){.from = scene.user, .to = scene.service};
    check(way_carry(&scene, &up, 8 << 20));
    check(counted(&scene, COUNTER_SPLICES_ENTERED) == 0 && scene_close(&scene));
    check(scene_open(&scene, without, ZERO_COPY_YES));
    up = (struct way){.from = scene.user, .to = scene.service};
    check(way_carry(&scene, &up, 1));
    check(turn_until(&scene.real, counted(&scene, COUNTER_SPLICES_ENTERED) == 1));
    check(way_carry(&scene, &up, 100));
    check(counted(&scene, COUNTER_SPLICE_BYTES) == 100);
    check(turn_until(&scene.real, counted(&scene, COUNTER_SPLICES_LEFT) == 1)); /* quiet */
    check(way_carry(&scene, &up, 100) && scene_close(&scene));
}

BOTH(both_directions_are_spliced_at_once_and_each_ends_in_order)
{
    struct scene scene;
    struct way up, down;

    check(scene_open(&scene, without, ZERO_COPY_YES));
    up = (struct way){.from = scene.user, .to = scene.service, .size = 8 << 20};
    down = (struct way){.from = scene.service, .to = scene.user, .size = 12 << 20};
    for (int turn = 0; turn < 100000 && (up.got < up.size || down.got < down.size); turn++) {
        way_send(&down, 256 << 10);
        way_turn(&scene, &up, 256 << 10);
        way_receive(&down);
    }
    check(up.got == up.size && !up.wrong && down.got == down.size && !down.wrong);
    check(counted(&scene, COUNTER_SPLICE_BYTES) > 16 << 20);
    check(scene.splice.pump.client_bytes == up.size);
    check(scene.splice.pump.backend_bytes == down.size);
    check(shutdown(scene.user, SHUT_WR) == 0 && shutdown(scene.service, SHUT_WR) == 0);
    check(turn_until(&scene.real, scene.done) && scene.reason == REASON_DONE);
    check(scene_close(&scene));
}

/* Until no more goes in: the service does not read. */
static void scene_clog(struct scene *scene, struct way *way)
{
    uint64_t before;

    way->size = UINT64_MAX;
    do {
        before = way->sent;
        for (int i = 0; i < 20; i++) {
            way_send(way, 256 << 10);
            must(worker_turn(&scene->real.worker, scene->real.worker.now_ns + 1000000) == 0);
        }
    } while (way->sent != before);
}

BOTH(an_end_travels_behind_the_last_byte_and_the_other_direction_goes_on)
{
    struct scene scene;
    struct way up, down;

    check(scene_open(&scene, without, ZERO_COPY_AUTO));
    up = (struct way){.from = scene.user, .to = scene.service};
    check(way_carry(&scene, &up, 16 << 20));
    scene_clog(&scene, &up);
    check(scene.splice.client.flow);
    up.size = up.sent;
    check(shutdown(scene.user, SHUT_WR) == 0);
    for (int turn = 0; turn < 100000 && !up.ended; turn++)
        way_turn(&scene, &up, 0);
    check(up.ended && up.got == up.size && !up.wrong);
    check(counted(&scene, COUNTER_SPLICES_LEFT) > 0 && scene.done == 0);
    down = (struct way){.from = scene.service, .to = scene.user};
    check(way_carry(&scene, &down, 24 << 20));
    check(scene.splice.backend.flow);
    check(shutdown(scene.service, SHUT_WR) == 0);
    check(turn_until(&scene.real, scene.done) && scene.reason == REASON_DONE);
    check(scene_close(&scene));
}

/* ---- patience ---- */

/* What a peer meets in the end: -errno, or 0 for an end. */
static int peer_meets(struct scene *scene, int fd)
{
    static char bytes[1 << 20];
    ssize_t got = 1;

    for (int turn = 0; turn < 2000 && (got > 0 || got == -EAGAIN); turn++) {
        must(worker_turn(&scene->real.worker, scene->real.worker.now_ns + 1000000) == 0);
        got = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);
        got = got < 0 ? -errno : got;
    }
    return (int)got;
}

/* What the relay waits for, of the user's bytes. */
static int least_awaited(const struct scene *scene)
{
    int least = 0;
    socklen_t size = sizeof(least);

    must(getsockopt(scene->client, SOL_SOCKET, SO_RCVLOWAT, &least, &size) == 0);
    return least;
}

/* As fast as it goes, until the relay waits for much at a time. */
static bool scene_hurry(struct scene *scene)
{
    static char bytes[256 << 10];
    uint64_t put = 0, got = 0;
    ssize_t count;

    for (int turn = 0; turn < 100000 && (least_awaited(scene) == 1 || got < put); turn++) {
        count = least_awaited(scene) > 1
                    ? 0
                    : send(scene->user, bytes, sizeof(bytes), MSG_DONTWAIT | MSG_NOSIGNAL);
        put += count > 0 ? (uint64_t)count : 0;
        must(worker_turn(&scene->real.worker, scene->real.worker.now_ns + 1000000) == 0);
        while ((count = recv(scene->service, bytes, sizeof(bytes), MSG_DONTWAIT)) > 0)
            got += (uint64_t)count;
    }
    return put && got == put;
}

BOTH(a_quick_flow_is_waited_for_a_moment_only_and_once_in_vain)
{
    struct scene scene;
    struct way up;

    check(scene_open(&scene, without, ZERO_COPY_AUTO));
    check(scene_hurry(&scene));
    up = (struct way){.from = scene.user, .to = scene.service};
    check(way_carry(&scene, &up, 1)); /* nothing comes behind it */
    check(least_awaited(&scene) == 1);
    check(way_carry(&scene, &up, 1) && scene_close(&scene));
}

BOTH(a_flow_that_is_answered_is_not_waited_for)
{
    struct scene scene;
    struct way up, down;

    check(scene_open(&scene, without, ZERO_COPY_YES));
    up = (struct way){.from = scene.user, .to = scene.service};
    down = (struct way){.from = scene.service, .to = scene.user};
    for (int round = 0; round < 32; round++) {
        check(way_carry(&scene, &up, 1 << 20) && least_awaited(&scene) == 1);
        check(way_carry(&scene, &down, 1));
    }
    check(counted(&scene, COUNTER_SPLICE_BYTES) > 0 && scene_close(&scene));
}

BOTH(an_end_is_met_while_much_is_waited_for)
{
    struct scene scene;

    check(scene_open(&scene, without, ZERO_COPY_AUTO));
    check(scene_hurry(&scene));
    check(shutdown(scene.user, SHUT_WR) == 0 && peer_meets(&scene, scene.service) == 0);
    check(shutdown(scene.service, SHUT_WR) == 0);
    check(turn_until(&scene.real, scene.done) && scene.reason == REASON_DONE);
    check(scene_close(&scene));
}

/* ---- resets ---- */

enum moment { COPYING, CLOGGED, SPLICED_AND_EMPTY, SPLICED_AND_FULL, MOMENTS };

static bool scene_reach(struct scene *scene, enum moment moment)
{
    struct way up = {.from = scene->user, .to = scene->service};

    if (moment == CLOGGED)
        scene_clog(scene, &up);
    if (moment == COPYING || moment == CLOGGED)
        return moment == CLOGGED || way_carry(scene, &up, 1000);
    if (!way_carry(scene, &up, 16 << 20))
        return false;
    if (moment == SPLICED_AND_FULL)
        scene_clog(scene, &up);
    return scene->splice.client.flow != NULL;
}

static bool reset_travels(const char *without, enum moment moment, bool from_user)
{
    struct scene scene;
    int *near, *far;

    if (!scene_open(&scene, without, moment == COPYING ? ZERO_COPY_NO : ZERO_COPY_AUTO) ||
        !scene_reach(&scene, moment))
        return false;
    near = from_user ? &scene.user : &scene.service;
    far = from_user ? &scene.service : &scene.user;
    sock_reset_on_close(&os_linux, *near);
    close(*near);
    *near = -1;
    if (peer_meets(&scene, *far) != -ECONNRESET || !turn_until(&scene.real, scene.done))
        return false;
    return scene.reason == REASON_RESET && scene_close(&scene);
}

BOTH(a_reset_of_either_side_travels_as_a_reset_whatever_moves_the_bytes)
{
    for (int moment = COPYING; moment < MOMENTS; moment++) {
        check(reset_travels(without, (enum moment)moment, true));
        check(reset_travels(without, (enum moment)moment, false));
    }
}

BOTH(stopping_resets_both_sides_whatever_moves_the_bytes)
{
    for (int moment = COPYING; moment < MOMENTS; moment++) {
        struct scene scene;

        check(scene_open(&scene, without, ZERO_COPY_AUTO));
        check(scene_reach(&scene, (enum moment)moment));
        pump_stop(&scene.splice.pump, REASON_SHUTDOWN);
        check(scene.done == 0);
        check(peer_meets(&scene, scene.user) == -ECONNRESET);
        check(peer_meets(&scene, scene.service) == -ECONNRESET);
        check(turn_until(&scene.real, scene.done) && scene.reason == REASON_SHUTDOWN);
        check(scene_close(&scene));
    }
}

BOTH(a_reader_that_stops_holds_a_pipe_and_gets_all_when_it_goes_on)
{
    struct scene scene;
    struct way up;
    uint64_t clogged_ns;

    check(scene_open(&scene, without, ZERO_COPY_AUTO));
    up = (struct way){.from = scene.user, .to = scene.service};
    check(way_carry(&scene, &up, 16 << 20));
    scene_clog(&scene, &up);
    clogged_ns = scene.real.worker.now_ns;
    while (scene.real.worker.now_ns < clogged_ns + 1500000000) /* longer than a quiet flow may */
        turn_some(&scene.real);
    check(scene.splice.client.flow);
    check(scene.splice.pump.client_bytes < up.sent); /* the rest waits with the user */
    up.size = up.sent;
    check(way_carry(&scene, &up, 16 << 20));
    check(scene_close(&scene));
}

/* ---- want ---- */

BOTH(without_a_pipe_a_bulky_flow_is_copied_and_counted)
{
    struct scene scene;
    struct way up;

    check(scene_open(&scene, without, ZERO_COPY_AUTO));
    up = (struct way){.from = scene.user, .to = scene.service};
    scene.real.worker.pipes.count += PIPES_MAX; /* as if others had them */
    check(way_carry(&scene, &up, 16 << 20));
    check(counted(&scene, COUNTER_SPLICE_NO_PIPE) > 0);
    check(counted(&scene, COUNTER_SPLICE_BYTES) == 0);
    scene.real.worker.pipes.count -= PIPES_MAX;
    check(way_carry(&scene, &up, 16 << 20));
    check(counted(&scene, COUNTER_SPLICE_BYTES) > 0);
    check(scene_close(&scene));
}

BOTH(bytes_through_a_pipe_keep_a_connection_alive_and_their_absence_does_not)
{
    struct scene scene;
    struct way up;
    uint64_t until_ns;

    memset(&scene, 0, sizeof(scene));
    scene.limits.idle_timeout_ns = 300000000;
    check(real_worker_open(&scene.real, without) && scene_connect(&scene, ZERO_COPY_YES));
    up = (struct way){.from = scene.user, .to = scene.service};
    until_ns = scene.real.worker.now_ns + 1000000000;
    while (scene.real.worker.now_ns < until_ns) {
        up.size += 10;
        way_turn(&scene, &up, 10);
    }
    check(scene.done == 0 && counted(&scene, COUNTER_SPLICE_BYTES) > 0);
    check(turn_until(&scene.real, scene.done) && scene.reason == REASON_IDLE_TIMEOUT);
    check(scene_close(&scene));
}

TEST(a_spliced_relay_survives_any_failed_allocation)
{
    for (unsigned n = 1;; n++) {
        struct scene scene;
        struct way up;
        bool failed;

        memset(&scene, 0, sizeof(scene));
        check(real_worker_open(&scene.real, NULL) && scene_connect(&scene, ZERO_COPY_YES));
        up = (struct way){.from = scene.user, .to = scene.service, .size = 200000};
        mem_fail_at(n);
        for (int turn = 0; turn < 100000 && up.got < up.size && !scene.done; turn++)
            way_turn(&scene, &up, 50000);
        failed = mem_failed();
        mem_fail_at(0);
        check(!up.wrong && (scene.done ? scene.reason == REASON_NO_MEMORY : up.got == up.size));
        check(scene_close(&scene));
        if (!failed)
            break;
    }
}
