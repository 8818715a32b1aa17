/* Claims about the simulated kernel, seen through a ring and through actors. */
#include <errno.h>
#include <netinet/udp.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "core/mem.h"
#include "tests/sim/kernel.h"
#include "tests/unit/test.h"

/* Two hosts, a ring with its groups on the first. */
struct world {
    struct sim *sim;
    struct sim_host *near, *far;
    struct worker *worker;
};

static struct world world_open(const struct sim_options *options)
{
    struct world world = {.sim = sim_open_with(options)};

    world.near = sim_host(world.sim, "near", "10.0.0.1");
    world.far = sim_host(world.sim, "far", "10.0.0.2");
    world.worker = sim_worker(world.near);
    return world;
}

static struct addr at(const char *address, uint16_t port)
{
    struct addr addr;

    must(addr_from_host(&addr, address, port) == 0);
    return addr;
}

/* An operation that remembers how it ended. */
struct asked {
    struct op op;
    int res;
    uint32_t count;
    bool final;
};

static void asked_done(struct op *op, struct op_result result)
{
    struct asked *asked = container_of(op, struct asked, op);

    asked->res = result.res;
    asked->final = result.final;
    asked->count++;
    if (result.chunk)
        chunk_drop(result.chunk);
}

static struct asked ask(void)
{
    struct asked asked = {0};

    op_init(&asked.op, asked_done);
    return asked;
}

static int connected_to(struct world *world, uint16_t port, struct asked *asked)
{
    struct os *os = sim_os(world->near);
    struct addr peer = at("10.0.0.2", port);
    int fd = os->socket(os, AF_INET, SOCK_STREAM);

    ring_connect(world->worker->ring, &asked->op, fd, &peer);
    sim_run(world->sim, 5 * SIM_SECOND);
    return fd;
}

static void close_fd(struct world *world, int fd)
{
    struct os *os = sim_os(world->near);

    os->close(os, fd);
}

TEST(a_connect_succeeds_where_somebody_listens_and_is_refused_elsewhere)
{
    struct world world = world_open(&(struct sim_options){.seed = 1});
    struct asked first = ask(), second = ask();
    int fds[2];

    sim_service(world.far, SIM_SILENT, 80);
    fds[0] = connected_to(&world, 80, &first);
    fds[1] = connected_to(&world, 81, &second);
    close_fd(&world, fds[0]);
    close_fd(&world, fds[1]);
    check(sim_close(&world.sim).faults == 0);
    check(first.final && first.res == 0);
    check(second.final && second.res == -ECONNREFUSED);
}

TEST(an_unknown_address_is_unreachable_and_a_black_hole_times_out)
{
    struct world world = world_open(&(struct sim_options){.seed = 1});
    struct os *os = sim_os(world.near);
    struct addr nobody = at("10.9.9.9", 80), hole = at("10.0.0.2", 80);
    struct asked first = ask(), second = ask();
    int fds[] = {os->socket(os, AF_INET, SOCK_STREAM), os->socket(os, AF_INET, SOCK_STREAM)};

    sim_service(world.far, SIM_BLACK_HOLE, 80);
    ring_connect(world.worker->ring, &first.op, fds[0], &nobody);
    ring_connect(world.worker->ring, &second.op, fds[1], &hole);
    sim_run(world.sim, 200 * SIM_SECOND);
    close_fd(&world, fds[0]);
    close_fd(&world, fds[1]);
    check(sim_close(&world.sim).faults == 0);
    check(first.res == -EHOSTUNREACH);
    check(second.res == -ETIMEDOUT);
}

TEST(a_send_without_waitall_may_be_short_and_with_it_waits_for_room)
{
    struct world world = world_open(&(struct sim_options){.seed = 1, .calm = true});
    static uint8_t bytes[1 << 20];
    struct asked connect = ask(), first = ask(), second = ask();
    struct iovec part = {bytes, sizeof(bytes)};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    int fd;

    sim_service(world.far, SIM_SILENT, 80);
    fd = connected_to(&world, 80, &connect);
    ring_sendmsg(world.worker->ring, &first.op, fd, &message, MSG_NOSIGNAL);
    sim_run(world.sim, SIM_SECOND);
    check(first.final && first.res > 0 && first.res < (int)sizeof(bytes));
    ring_sendmsg(world.worker->ring, &second.op, fd, &message, MSG_NOSIGNAL | MSG_WAITALL);
    sim_run(world.sim, SIM_SECOND);
    check(!second.final);
    ring_cancel(world.worker->ring, &second.op);
    sim_run(world.sim, SIM_SECOND);
    check(second.final && second.res == -ECANCELED);
    close_fd(&world, fd);
    check(sim_close(&world.sim).faults == 0);
}

TEST(bytes_changed_under_a_busy_send_are_a_violation)
{
    struct world world = world_open(&(struct sim_options){.seed = 1, .calm = true});
    static uint8_t bytes[1 << 20];
    struct asked connect = ask(), send = ask();
    struct iovec part = {bytes, sizeof(bytes)};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    int fd;

    sim_service(world.far, SIM_SILENT, 80);
    fd = connected_to(&world, 80, &connect);
    ring_sendmsg(world.worker->ring, &send.op, fd, &message, MSG_WAITALL);
    sim_run(world.sim, SIM_SECOND);
    bytes[77777] ^= 1;
    ring_cancel(world.worker->ring, &send.op);
    sim_run(world.sim, SIM_SECOND);
    close_fd(&world, fd);
    check(sim_close(&world.sim).faults == 1);
}

TEST(a_reset_is_an_error_and_not_an_end)
{
    struct world world = world_open(&(struct sim_options){.seed = 1});
    struct asked connect = ask(), send = ask(), receive = ask();
    uint8_t byte = 1;
    struct iovec part = {&byte, 1};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    int fd;

    sim_service(world.far, SIM_CLOSE, 80);
    fd = connected_to(&world, 80, &connect);
    ring_recv(world.worker->ring, &receive.op, fd, &world.worker->tcp_group);
    sim_run(world.sim, SIM_SECOND);
    check(receive.final && receive.res == 0);
    ring_sendmsg(world.worker->ring, &send.op, fd, &message, 0);
    sim_run(world.sim, SIM_SECOND);
    check(send.res == 1);
    ring_recv(world.worker->ring, &receive.op, fd, &world.worker->tcp_group);
    sim_run(world.sim, SIM_SECOND);
    check(receive.res == -EPIPE);
    close_fd(&world, fd);
    check(sim_close(&world.sim).faults == 0);
}

TEST(a_host_out_of_descriptors_leaves_connections_in_the_queue)
{
    struct world world = world_open(&(struct sim_options){.seed = 1});
    struct os *os = sim_os(world.near);
    struct addr here = at("10.0.0.1", 80);
    struct asked accept = ask();
    int listener = os->socket(os, AF_INET, SOCK_STREAM);
    const struct sim_user_script script = {.up = 5, .patience_ns = 20 * SIM_SECOND};

    check(os->bind(os, listener, &here) == 0 && os->listen(os, listener, 8) == 0);
    ring_accept_multi(world.worker->ring, &accept.op, listener);
    sim_host_descriptors(world.near, 2); /* the worker's event and the listener */
    sim_user(world.far, &here, &script);
    sim_run(world.sim, SIM_SECOND);
    check(accept.final && accept.res == -EMFILE);
    sim_host_descriptors(world.near, 3);
    ring_accept_multi(world.worker->ring, &accept.op, listener);
    sim_run(world.sim, SIM_SECOND);
    check(!accept.final && accept.res >= 0);
    close_fd(&world, accept.res);
    ring_cancel(world.worker->ring, &accept.op);
    sim_run(world.sim, SIM_SECOND);
    close_fd(&world, listener);
    check(sim_close(&world.sim).faults == 0);
}

TEST(a_descriptor_left_open_is_a_violation)
{
    struct world world = world_open(&(struct sim_options){.seed = 1});
    struct os *os = sim_os(world.near);

    check(os->socket(os, AF_INET, SOCK_DGRAM) >= 0);
    check(sim_close(&world.sim).faults == 1);
}

/* ---- UDP, between actors ---- */
struct udp_pair {
    struct sim_socket *from, *to;
};

static struct udp_pair udp_pair(struct world *world)
{
    struct udp_pair pair = {sim_actor_socket(world->near, SIM_UDP, AF_INET, NULL, NULL),
                            sim_actor_socket(world->far, SIM_UDP, AF_INET, NULL, NULL)};
    struct addr peer = at("10.0.0.2", 4433);

    must(sim_bind(pair.to, &peer) == 0 && sim_udp_connect(pair.from, &peer) == 0);
    return pair;
}

static int send_segments(struct sim_socket *socket, size_t length, uint16_t segment)
{
    static uint8_t bytes[65536];
    union {
        struct cmsghdr head;
        uint8_t room[CMSG_SPACE(sizeof(uint16_t))];
    } control = {
        .head = {.cmsg_len = CMSG_LEN(sizeof(segment)),
                 .cmsg_level = SOL_UDP,
                 .cmsg_type = UDP_SEGMENT}
    };
    struct iovec part = {bytes, length};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = segment ? &control : NULL,
                             .msg_controllen = segment ? sizeof(control) : 0};

    memcpy(CMSG_DATA(&control.head), &segment, sizeof(segment));
    return sim_udp_send(socket, &message);
}

TEST(a_batch_is_cut_into_segments_and_joined_again_by_gro)
{
    struct world world = world_open(&(struct sim_options){.seed = 1, .calm = true});
    static uint8_t data[65536];
    struct udp_pair pair = udp_pair(&world);
    struct sim_received in;

    pair.to->gro = true;
    check(send_segments(pair.from, 10 * 1200 + 7, 1200) == 10 * 1200 + 7);
    sim_run(world.sim, SIM_SECOND);
    check(sim_udp_recv(pair.to, data, sizeof(data), &in) == 10 * 1200 + 7);
    check(in.segment == 1200 && !in.truncated);
    pair.to->gro = false;
    check(send_segments(pair.from, 2400, 1200) == 2400);
    sim_run(world.sim, SIM_SECOND);
    check(sim_udp_recv(pair.to, data, sizeof(data), &in) == 1200);
    check(sim_udp_recv(pair.to, data, sizeof(data), &in) == 1200);
    check(sim_udp_recv(pair.to, data, sizeof(data), &in) == -EAGAIN);
    check(sim_close(&world.sim).faults == 0);
}

TEST(what_the_kernel_refuses_to_send_is_refused)
{
    struct world world = world_open(&(struct sim_options){.seed = 1});
    struct udp_pair pair = udp_pair(&world);

    check(send_segments(pair.from, 1473, 0) == -EMSGSIZE);
    check(send_segments(pair.from, 1472, 0) == 1472);
    check(send_segments(pair.from, 65 * 100, 100) == -EINVAL);
    sim_socket_close(pair.to);
    sim_run(world.sim, SIM_SECOND);
    check(send_segments(pair.from, 100, 0) == -ECONNREFUSED);
    check(send_segments(pair.from, 100, 0) == 100);
    check(sim_close(&world.sim).faults == 0);
}

TEST(rebinding_shows_a_new_address_and_drops_answers_to_the_old_one)
{
    struct world world = world_open(&(struct sim_options){.seed = 1, .calm = true});
    struct udp_pair pair = udp_pair(&world);
    struct sim_received first, second;
    uint8_t data[100];
    struct iovec part = {data, sizeof(data)};
    struct msghdr answer = {.msg_iov = &part, .msg_iovlen = 1, .msg_name = &first.from.sa};

    sim_nat(world.near, "192.0.2.1");
    send_segments(pair.from, 100, 0);
    sim_run(world.sim, SIM_SECOND);
    check(sim_udp_recv(pair.to, data, sizeof(data), &first) == 100);
    sim_nat_rebind(world.near);
    send_segments(pair.from, 100, 0);
    sim_run(world.sim, SIM_SECOND);
    check(sim_udp_recv(pair.to, data, sizeof(data), &second) == 100);
    check(!addr_equal(&first.from, &second.from));
    answer.msg_namelen = first.from.length;
    sim_udp_send(pair.to, &answer);
    sim_run(world.sim, SIM_SECOND);
    check(sim_udp_recv(pair.from, data, sizeof(data), &first) == -EAGAIN);
    answer.msg_name = &second.from.sa;
    sim_udp_send(pair.to, &answer);
    sim_run(world.sim, SIM_SECOND);
    check(sim_udp_recv(pair.from, data, sizeof(data), &first) == 100);
    check(sim_close(&world.sim).faults == 0);
}

TEST(weather_loses_doubles_and_reorders)
{
    struct world world = world_open(&(struct sim_options){.seed = 1});
    const struct sim_weather weather = {.loss = 300,
                                        .duplication = 300,
                                        .reorder = 300,
                                        .latency_ns = SIM_MS,
                                        .jitter_ns = SIM_MS,
                                        .mtu = 1500};
    struct udp_pair pair = udp_pair(&world);
    struct sim_received in;
    uint8_t data[1500];
    int last = 0, got = 0, back = 0;

    sim_weather(world.near, world.far, &weather);
    for (int i = 1; i <= 1000; i++) {
        send_segments(pair.from, (size_t)i, 0);
        sim_run(world.sim, SIM_MS / 10);
    }
    sim_run(world.sim, SIM_SECOND);
    for (int length; (length = sim_udp_recv(pair.to, data, sizeof(data), &in)) > 0; got++) {
        back += length < last;
        last = length;
    }
    check(got > 700 && got < 1100 && back > 50);
    check(sim_close(&world.sim).faults == 0);
}

/* ---- actors ---- */
TEST(users_and_services_agree_over_any_weather)
{
    static const enum sim_service_kind kinds[] = {SIM_OBEY, SIM_ECHO, SIM_SLOW};

    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct sim *sim = sim_open(.seed = seed, .weather = {.loss = 50, .jitter_ns = SIM_MS});
        struct sim_host *users = sim_host(sim, "users", "10.0.0.1");
        struct sim_host *far = sim_host(sim, "far", "10.0.0.2");
        struct addr server = at("10.0.0.2", 80);
        const struct sim_user_script script = {
            .up = sim_random(sim, 100000), .down = 50000, .echo = kinds[seed % 3] == SIM_ECHO};

        sim_service(far, kinds[seed % 3], 80);
        sim_user(users, &server, &script);
        sim_run_until(sim, 100 * SIM_SECOND, sim_users_ended, sim);
        check(sim_users_complete(sim) == 1);
        check(sim_close(&sim).faults == 0);
    }
}

TEST(a_service_that_cuts_short_never_looks_complete)
{
    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct sim *sim = sim_open(.seed = seed);
        struct sim_host *users = sim_host(sim, "users", "10.0.0.1");
        struct sim_host *far = sim_host(sim, "far", "10.0.0.2");
        struct addr server = at("10.0.0.2", 80);
        const struct sim_user_script script = {.up = 500, .down = 50000};

        sim_service(far, seed % 2 ? SIM_CUT : SIM_RESET, 80);
        sim_user(users, &server, &script);
        sim_run_until(sim, 100 * SIM_SECOND, sim_users_ended, sim);
        check(sim_users_complete(sim) == 0);
        check(sim_close(&sim).faults == 0);
    }
}

TEST(the_same_seed_gives_the_same_hash_and_another_gives_another)
{
    uint64_t hashes[3];

    for (uint64_t i = 0; i < 3; i++) {
        struct world world = world_open(&(struct sim_options){.seed = i == 2 ? 8 : 7});
        struct addr server = at("10.0.0.2", 80);
        const struct sim_user_script script = {.up = 5000, .down = 5000};

        sim_service(world.far, SIM_OBEY, 80);
        sim_user(world.near, &server, &script);
        sim_run(world.sim, 10 * SIM_SECOND);
        hashes[i] = sim_close(&world.sim).hash;
    }
    check(hashes[0] == hashes[1] && hashes[0] != hashes[2]);
}
