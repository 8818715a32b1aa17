#include "core/sock.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <stdlib.h>

#include "tests/unit/real_worker.h"

static int int_option(int fd, int level, int name)
{
    int value = -1;
    socklen_t size = sizeof(value);

    must(os_linux.get_option(&os_linux, fd, level, name, &value, &size) == 0);
    return value;
}

TEST(tuning_sets_congestion_control_nodelay_and_keepalive_on_accepted_sockets_too)
{
    static const struct tcp_options options = {.congestion = "reno", .keepalive_s = 30};
    char name[16] = "";
    socklen_t size = sizeof(name);
    int ours, theirs;

    loopback_pair(&ours, &theirs);
    sock_tcp_tune(&os_linux, ours, &options);
    check(os_linux.get_option(&os_linux, ours, IPPROTO_TCP, TCP_CONGESTION, name, &size) == 0);
    check(strcmp(name, "reno") == 0);
    check(int_option(ours, IPPROTO_TCP, TCP_NODELAY) == 1);
    check(int_option(ours, SOL_SOCKET, SO_KEEPALIVE) == 1);
    check(int_option(ours, IPPROTO_TCP, TCP_KEEPIDLE) == 30);
    close(ours);
    close(theirs);
}

TEST(a_connection_has_what_its_listening_socket_was_tuned_to)
{
    static const struct tcp_options options = {.congestion = "reno", .keepalive_s = 30};
    char name[16] = "";
    socklen_t size = sizeof(name);
    struct addr addr;
    int listening = loopback_listen(&addr), theirs = socket(AF_INET, SOCK_STREAM, 0), ours;

    sock_tcp_tune(&os_linux, listening, &options);
    check(connect(theirs, &addr.sa, addr.length) == 0);
    ours = accept(listening, NULL, NULL);
    check(os_linux.get_option(&os_linux, ours, IPPROTO_TCP, TCP_CONGESTION, name, &size) == 0);
    check(strcmp(name, "reno") == 0);
    check(int_option(ours, IPPROTO_TCP, TCP_NODELAY) == 1);
    check(int_option(ours, SOL_SOCKET, SO_OOBINLINE) == 1);
    check(int_option(ours, SOL_SOCKET, SO_KEEPALIVE) == 1);
    check(int_option(ours, IPPROTO_TCP, TCP_KEEPIDLE) == 30);
    close(ours);
    close(theirs);
    close(listening);
}

TEST(a_port_that_is_taken_is_an_error)
{
    struct addr addr;
    int fd = loopback_listen(&addr);
    int udp = sock_udp_bind(&os_linux, &addr, false, false);

    check(sock_tcp_listen(&os_linux, &addr, 8) == -EADDRINUSE);
    check(udp >= 0);
    check(sock_udp_bind(&os_linux, &addr, false, false) == -EADDRINUSE);
    close(udp);
    close(fd);
}

TEST(udp_sockets_that_share_a_port_say_so_when_bound)
{
    struct addr any = loopback_addr(), addr;
    int first = sock_udp_bind(&os_linux, &any, false, true), second;

    check(first >= 0 && os_linux.local_addr(&os_linux, first, &addr) == 0);
    second = sock_udp_bind(&os_linux, &addr, false, true);
    check(second >= 0);
    close(first);
    close(second);
}

TEST(udp_sockets_coalesce_do_not_fragment_and_have_large_buffers)
{
    struct addr peer = loopback_addr();
    int fd;

    addr_set_port(&peer, 9);
    fd = sock_udp_connect(&os_linux, &peer);
    check(fd >= 0);
    check(int_option(fd, SOL_UDP, UDP_GRO) == 1);
    check(int_option(fd, IPPROTO_IP, IP_MTU_DISCOVER) == IP_PMTUDISC_PROBE);
    check(int_option(fd, SOL_SOCKET, SO_RCVBUF) > 212992);
    close(fd);
}

TEST(a_unix_socket_listens_and_a_path_in_use_is_an_error)
{
    char directory[] = "/tmp/sock_test.XXXXXX", path[64];
    struct addr addr, seen;
    int fd, user;

    check(mkdtemp(directory));
    snprintf(path, sizeof(path), "%s/s", directory);
    check(addr_from_path(&addr, path) == 0);
    fd = sock_tcp_listen(&os_linux, &addr, 8);
    check(fd >= 0 && sock_tcp_listen(&os_linux, &addr, 8) == -EADDRINUSE);
    user = sock_tcp(&os_linux, AF_UNIX);
    check(user >= 0 && os_linux.connect(&os_linux, user, &addr) == 0);
    check(os_linux.peer_addr(&os_linux, user, &seen) == 0 && addr_equal(&seen, &addr));
    close(user);
    close(fd);
    unlink(path);
    rmdir(directory);
}

TEST(the_clock_never_goes_back_and_random_bytes_differ)
{
    uint8_t first[32], second[32];
    uint64_t before = os_linux.clock_ns(&os_linux);

    os_linux.random(&os_linux, first, sizeof(first));
    os_linux.random(&os_linux, second, sizeof(second));
    check(memcmp(first, second, sizeof(first)) != 0);
    check(os_linux.clock_ns(&os_linux) >= before);
    check(os_linux.wall_ms(&os_linux) > 1600000000000u);
}

TEST(a_refused_call_returns_its_errno)
{
    struct addr addr = loopback_addr();

    check(os_linux.socket(&os_linux, 1000, SOCK_STREAM) == -EAFNOSUPPORT);
    check(os_linux.bind(&os_linux, -1, &addr) == -EBADF);
    check(os_linux.shutdown(&os_linux, -1, SHUT_WR) == -EBADF);
    check(os_linux.peer_addr(&os_linux, -1, &addr) == -EBADF);
}
