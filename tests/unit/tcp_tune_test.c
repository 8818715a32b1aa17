#include <netinet/tcp.h>

#include "core/tcp_end.h"
#include "tests/unit/real_worker.h"

/* The kernel, and what it was asked to set; time passes only when a test says so. */
struct noting_os {
    struct os os;
    uint64_t now_ns;
    unsigned set, keepalive, nodelay;
};

static uint64_t noting_clock(struct os *os)
{
    return container_of(os, struct noting_os, os)->now_ns;
}

static int noting_set_option(struct os *os, int fd, int level, int name, const void *value,
                             socklen_t size)
{
    struct noting_os *noting = container_of(os, struct noting_os, os);

    noting->set++;
    noting->keepalive += level == SOL_SOCKET && name == SO_KEEPALIVE;
    noting->nodelay += level == IPPROTO_TCP && name == TCP_NODELAY;
    return os_linux.set_option(os, fd, level, name, value, size);
}

/* A connection of ours, with both its ends in the test's hands. */
struct attempt {
    struct real_worker real;
    struct noting_os noting;
    struct tcp_connect connect;
    struct stream *stream;
    uint64_t drained;
    bool closed;
    int listening, theirs;
};

static void attempt_received(struct stream *stream, struct piece *piece)
{
    piece_free(piece);
}
static void attempt_ended(struct stream *stream)
{
}
static void attempt_drained(struct stream *stream, uint64_t length)
{
    ((struct attempt *)stream->owner)->drained += length;
}
static void attempt_closed(struct stream *stream, enum reason reason)
{
    ((struct attempt *)stream->owner)->closed = true;
    stream_free(stream);
}
static const struct stream_events attempt_events = {
    .received = attempt_received,
    .ended = attempt_ended,
    .drained = attempt_drained,
    .closed = attempt_closed,
};

static void attempt_connected(struct tcp_connect *connect, struct stream *stream,
                              enum reason reason)
{
    struct attempt *attempt = container_of(connect, struct attempt, connect);

    must(stream);
    attempt->stream = stream;
    stream->events = &attempt_events;
    stream->owner = attempt;
    stream->receive_limit = 65536;
    stream_start(stream);
}

static void attempt_open(struct attempt *attempt)
{
    static const struct tcp_options options = {.congestion = "reno", .keepalive_s = 30};
    struct addr addr;

    *attempt = (struct attempt){.noting.os = os_linux};
    attempt->noting.os.set_option = noting_set_option;
    attempt->noting.os.clock_ns = noting_clock;
    must(real_worker_open(&attempt->real, NULL));
    attempt->noting.now_ns = attempt->real.worker.now_ns;
    attempt->real.worker.os = &attempt->noting.os;
    attempt->listening = loopback_listen(&addr);
    tcp_connect_start(&attempt->connect, &attempt->real.worker, &addr, &options, 1000000000,
                      attempt_connected);
    must(turn_until(&attempt->real, attempt->stream));
    attempt->theirs = accept(attempt->listening, NULL, NULL);
    must(attempt->theirs >= 0);
}

static void attempt_say(struct attempt *attempt)
{
    uint64_t before = attempt->drained;
    struct piece *piece = piece_copy(attempt->real.worker.pools, "word", 4);

    must(piece);
    stream_write(attempt->stream, piece);
    must(turn_until(&attempt->real, attempt->drained > before));
}

static void attempt_end(struct attempt *attempt)
{
    char said[16];

    stream_finish(attempt->stream);
    while (recv(attempt->theirs, said, sizeof(said), MSG_DONTWAIT) > 0)
        ;
    close(attempt->theirs);
    must(turn_until(&attempt->real, attempt->closed));
    worker_release(&attempt->real.worker);
    close(attempt->listening);
}

TEST(a_connection_that_ends_soon_is_spared_the_options_of_a_long_life)
{
    struct attempt attempt;

    attempt_open(&attempt);
    attempt_say(&attempt);
    attempt_end(&attempt);
    check(attempt.noting.set == 3);
    check(attempt.noting.nodelay == 1 && attempt.noting.keepalive == 0);
}

TEST(a_connection_is_kept_alive_from_some_milliseconds_on)
{
    struct attempt attempt;

    attempt_open(&attempt);
    attempt.noting.now_ns += 10000000;
    turn_some(&attempt.real);
    check(attempt.noting.keepalive == 0);
    attempt.noting.now_ns += 10000000;
    check(turn_until(&attempt.real, attempt.noting.keepalive == 1));
    attempt_end(&attempt);
}
