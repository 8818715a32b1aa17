#include <errno.h>
#include <stdlib.h>

#include "core/tcp_end.h"
#include "tests/unit/tcp_scene.h"

struct attempt {
    struct tcp_connect connect;
    struct stream *stream;
    enum reason reason;
    int count;
};

static void attempt_done(struct tcp_connect *connect, struct stream *stream, enum reason reason)
{
    struct attempt *attempt = container_of(connect, struct attempt, connect);

    attempt->stream = stream;
    attempt->reason = reason;
    attempt->count++;
}

static const struct tcp_options cubic = {.congestion = "cubic", .keepalive_s = 60};

BOTH(a_connection_is_made_and_is_a_stream)
{
    struct real_worker real;
    struct attempt attempt = {0};
    struct owner owner;
    struct addr addr;
    int server;

    check(real_worker_open(&real, without));
    server = loopback_listen(&addr);
    tcp_connect_start(&attempt.connect, &real.worker, &addr, &cubic, 1000000000, attempt_done);
    check(attempt.count == 0);
    check(turn_until(&real, attempt.count));
    check(attempt.reason == REASON_DONE && attempt.stream);
    owner_take(&owner, attempt.stream);
    close(server); /* resets what it had not accepted */
    check(turn_until(&real, owner.closed));
    check(owner.reason == REASON_RESET);
    worker_release(&real.worker);
}

BOTH(a_refused_connection_says_so)
{
    struct real_worker real;
    struct attempt attempt = {0};
    struct addr addr;

    check(real_worker_open(&real, without));
    close(loopback_listen(&addr));
    tcp_connect_start(&attempt.connect, &real.worker, &addr, &cubic, 1000000000, attempt_done);
    check(turn_until(&real, attempt.count));
    check(attempt.reason == REASON_REFUSED && !attempt.stream && attempt.count == 1);
    worker_release(&real.worker);
}

BOTH(a_silent_peer_times_the_connection_out_and_stop_abandons_it)
{
    struct real_worker real;
    struct attempt attempt = {0}, stopped = {0};
    struct addr addr;
    int silent[SILENT_FDS];

    check(real_worker_open(&real, without));
    silent_listen(&addr, silent);
    tcp_connect_start(&attempt.connect, &real.worker, &addr, &cubic, 30000000, attempt_done);
    tcp_connect_start(&stopped.connect, &real.worker, &addr, &cubic, 1000000000, attempt_done);
    turn_some(&real);
    tcp_connect_stop(&stopped.connect);
    check(stopped.count == 0);
    check(turn_until(&real, attempt.count && stopped.count));
    check(attempt.reason == REASON_CONNECT_TIMEOUT && !attempt.stream && attempt.count == 1);
    check(stopped.reason == REASON_ABANDONED && !stopped.stream && stopped.count == 1);
    silent_close(silent);
    worker_release(&real.worker);
}

BOTH(an_address_that_no_socket_can_be_made_for_fails_later_not_inside)
{
    struct real_worker real;
    struct attempt attempt = {0};
    struct addr addr = loopback_addr();

    check(real_worker_open(&real, without));
    addr.sa.sa_family = AF_UNIX + 1000;
    tcp_connect_start(&attempt.connect, &real.worker, &addr, &cubic, 1000000000, attempt_done);
    check(attempt.count == 0);
    check(turn_until(&real, attempt.count));
    check(!attempt.stream && attempt.reason == REASON_UNREACHABLE);
    worker_release(&real.worker);
}

/* Listens at a path of its own, for one connection at a time. */
static int path_listen(struct addr *addr, char folder[])
{
    char path[64];
    int fd;

    must(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/s", folder);
    must(addr_from_path(addr, path) == 0);
    fd = sock_unix_listen(&os_linux, addr, 0, 0);
    must(fd >= 0);
    return fd;
}

static int connected(const struct attempt *attempts, int count)
{
    int streams = 0;

    for (int i = 0; i < count; i++)
        streams += attempts[i].stream != NULL;
    return streams;
}

/* A path whose listener has all the connections that may wait: connect(2) answers EAGAIN. */
BOTH(a_server_at_a_path_that_is_busy_accepting_is_waited_for)
{
    char folder[] = "/tmp/tcp_connect_test.XXXXXX";
    struct attempt attempts[3] = {0}, late = {0}, stopped = {0};
    struct owner owners[3];
    struct real_worker real;
    struct addr addr;
    int server = path_listen(&addr, folder), taken;

    check(real_worker_open(&real, without));
    for (int i = 0; i < 3; i++)
        tcp_connect_start(&attempts[i].connect, &real.worker, &addr, &cubic, 2000000000,
                          attempt_done);
    tcp_connect_start(&late.connect, &real.worker, &addr, &cubic, 50000000, attempt_done);
    tcp_connect_start(&stopped.connect, &real.worker, &addr, &cubic, 2000000000, attempt_done);
    turn_some(&real);
    tcp_connect_stop(&stopped.connect);
    check(turn_until(&real, late.count && stopped.count));
    check(late.reason == REASON_CONNECT_TIMEOUT && stopped.reason == REASON_ABANDONED);
    check(attempts[0].stream && !attempts[2].count);
    for (int served = 0; served < 3; served++) {
        check(turn_until(&real, connected(attempts, 3) > served));
        taken = accept(server, NULL, NULL);
        check(taken >= 0);
        close(taken);
    }
    for (int i = 0; i < 3; i++) {
        owner_take(&owners[i], attempts[i].stream);
        stream_stop(owners[i].stream, REASON_SHUTDOWN);
        check(turn_until(&real, owners[i].closed));
    }
    close(server);
    sock_unix_remove(&os_linux, &addr);
    rmdir(folder);
    worker_release(&real.worker);
}
