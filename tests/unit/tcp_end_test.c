#include "core/tcp_end.h"

#include <dirent.h>
#include <errno.h>

#include "core/mem.h"
#include "tests/unit/real_worker.h"

/* A stream whose events are recorded; bytes are kept until the test consumes them. */
struct listener {
    struct stream *stream;
    struct queue in;
    uint64_t received, drained;
    int ended, closed;
    int fd; /* of one that left */
    enum reason reason;
    bool inside; /* a call on the stream is running: no event may come */
    bool nested; /* one came */
};

static struct listener *listener_of(struct stream *stream)
{
    struct listener *listener = stream->owner;

    listener->nested |= listener->inside;
    return listener;
}

static void listener_received(struct stream *stream, struct piece *piece)
{
    struct listener *listener = listener_of(stream);

    listener->received += piece->length;
    queue_push(&listener->in, piece);
}

static void listener_ended(struct stream *stream)
{
    listener_of(stream)->ended++;
}

static void listener_drained(struct stream *stream, uint64_t length)
{
    listener_of(stream)->drained += length;
}

static void listener_closed(struct stream *stream, enum reason reason)
{
    struct listener *listener = listener_of(stream);

    listener->closed++;
    listener->reason = reason;
    listener->stream = NULL;
    stream_free(stream);
}

static const struct stream_events listener_events = {
    .received = listener_received,
    .ended = listener_ended,
    .drained = listener_drained,
    .closed = listener_closed,
};

#define quietly(listener, call)                                                                    \
    do {                                                                                           \
        (listener)->inside = true;                                                                 \
        call;                                                                                      \
        (listener)->inside = false;                                                                \
    } while (0)

static void listen_to(struct listener *listener, struct stream *stream)
{
    *listener = (struct listener){.stream = stream};
    stream->events = &listener_events;
    stream->owner = listener;
    stream->receive_limit = 256 << 10;
    quietly(listener, stream_start(stream));
}

static bool open_end(struct real_worker *real, struct listener *listener, int *theirs)
{
    int ours;
    struct stream *stream;

    loopback_pair(&ours, theirs);
    stream = tcp_end_new(&real->worker, ours);
    if (!stream)
        return false;
    listen_to(listener, stream);
    return true;
}

static void listener_consume(struct listener *listener)
{
    uint64_t length = listener->in.length;

    queue_clear(&listener->in);
    if (listener->stream)
        quietly(listener, stream_consumed(listener->stream, length));
}

static void listener_write(struct real_worker *real, struct listener *listener, const char *text)
{
    struct piece *piece = piece_copy(real->worker.pools, text, (uint32_t)strlen(text));

    must(piece);
    quietly(listener, stream_write(listener->stream, piece));
}

/* What the peer sees next: bytes, 0 at an end, -errno; -EAGAIN when nothing came. */
static ssize_t peer_sees(struct real_worker *real, int fd, char *to, size_t size)
{
    ssize_t got = -EAGAIN;

    for (int turn = 0; got == -EAGAIN && turn < 500; turn++) {
        must(worker_turn(&real->worker, real->worker.now_ns + 10000000) == 0);
        got = recv(fd, to, size, MSG_DONTWAIT);
        got = got < 0 ? -errno : got;
    }
    return got;
}

static ssize_t nothing_leaks(struct real_worker *real)
{
    return pools_busy(real->worker.pools, POOL_SMALL) +
           pools_busy(real->worker.pools, POOL_MEDIUM) - real->worker.tcp_group.published;
}

BOTH(bytes_cross_both_ways_and_each_side_may_finish_first)
{
    struct real_worker real;
    struct listener listener;
    char bytes[16];
    int theirs;

    check(real_worker_open(&real, without));
    check(open_end(&real, &listener, &theirs));
    check(write(theirs, "ping", 4) == 4 && shutdown(theirs, SHUT_WR) == 0);
    check(turn_until(&real, listener.ended));
    check(listener.received == 4 && !memcmp(piece_data(listener.in.first), "ping", 4));
    listener_write(&real, &listener, "pong");
    check(peer_sees(&real, theirs, bytes, sizeof(bytes)) == 4 && !memcmp(bytes, "pong", 4));
    turn_some(&real);
    check(!listener.closed && listener.drained == 4);
    quietly(&listener, stream_finish(listener.stream));
    check(peer_sees(&real, theirs, bytes, sizeof(bytes)) == 0);
    check(turn_until(&real, listener.closed));
    check(listener.closed == 1 && listener.reason == REASON_DONE && listener.ended == 1);
    listener_consume(&listener);
    check(!listener.nested && nothing_leaks(&real) == 0);
    close(theirs);
    worker_release(&real.worker);
}

/* Leaves the connection to a next end, on the same worker here. */
static void leaver_closed(struct stream *stream, enum reason reason)
{
    struct listener *listener = listener_of(stream);

    listener->closed++;
    listener->reason = reason;
    listener->fd = tcp_end_take(stream);
    listener->stream = NULL;
    stream_free(stream);
}

static const struct stream_events leaver_events = {
    .received = listener_received,
    .ended = listener_ended,
    .drained = listener_drained,
    .closed = leaver_closed,
};

BOTH(a_connection_that_leaves_its_end_loses_nothing_to_the_next)
{
    struct real_worker real;
    struct listener first, next;
    struct stream *stream;
    char bytes[16];
    int theirs;

    check(real_worker_open(&real, without));
    check(open_end(&real, &first, &theirs));
    check(write(theirs, "ping", 4) == 4);
    check(turn_until(&real, first.received == 4));
    first.stream->events = &leaver_events;
    check(write(theirs, "more", 4) == 4);
    quietly(&first, tcp_end_leave(first.stream));
    check(turn_until(&real, first.closed));
    check(first.reason == REASON_DONE && first.fd >= 0 && !first.ended && !first.nested);
    check(shutdown(theirs, SHUT_WR) == 0);
    stream = tcp_end_new(&real.worker, first.fd);
    check(stream != NULL);
    tcp_end_inherit(stream, first.received);
    listen_to(&next, stream);
    check(turn_until(&real, next.ended));
    check(first.received + next.received == 8);
    quietly(&next, stream_consumed(next.stream, first.received));
    listener_write(&real, &next, "pong");
    check(peer_sees(&real, theirs, bytes, sizeof(bytes)) == 4 && !memcmp(bytes, "pong", 4));
    quietly(&next, stream_finish(next.stream));
    check(turn_until(&real, next.closed) && next.reason == REASON_DONE);
    queue_clear(&first.in);
    listener_consume(&next);
    check(nothing_leaks(&real) == 0);
    close(theirs);
    worker_release(&real.worker);
}

/* Its receive is asked for in the same breath as its end, so that it meets the FIN. */
BOTH(a_connection_that_leaves_as_its_peer_has_said_all_leaves_nonetheless)
{
    struct real_worker real;
    struct listener first, next;
    struct stream *stream;
    int theirs;

    check(real_worker_open(&real, without));
    check(open_end(&real, &first, &theirs));
    check(shutdown(theirs, SHUT_WR) == 0);
    check(worker_turn(&real.worker, real.worker.now_ns) == 0);
    check(!first.ended);
    first.stream->events = &leaver_events;
    quietly(&first, tcp_end_leave(first.stream));
    check(turn_until(&real, first.closed));
    check(first.reason == REASON_DONE && first.fd >= 0 && !first.ended);
    stream = tcp_end_new(&real.worker, first.fd);
    check(stream != NULL);
    listen_to(&next, stream);
    check(turn_until(&real, next.ended));
    quietly(&next, stream_finish(next.stream));
    check(turn_until(&real, next.closed) && next.reason == REASON_DONE);
    close(theirs);
    worker_release(&real.worker);
}

BOTH(a_connection_that_fails_while_it_leaves_has_no_descriptor_to_give)
{
    struct real_worker real;
    struct listener listener;
    int theirs;

    check(real_worker_open(&real, without));
    check(open_end(&real, &listener, &theirs));
    turn_some(&real);
    listener.stream->events = &leaver_events;
    quietly(&listener, tcp_end_leave(listener.stream));
    quietly(&listener, stream_stop(listener.stream, REASON_ABANDONED));
    check(turn_until(&real, listener.closed));
    check(listener.reason == REASON_ABANDONED && listener.fd == -1);
    close(theirs);
    worker_release(&real.worker);
}

BOTH(an_end_that_finished_goes_on_receiving)
{
    struct real_worker real;
    struct listener listener;
    char bytes[16];
    int theirs;

    check(real_worker_open(&real, without));
    check(open_end(&real, &listener, &theirs));
    listener_write(&real, &listener, "last");
    quietly(&listener, stream_finish(listener.stream));
    check(peer_sees(&real, theirs, bytes, sizeof(bytes)) == 4);
    check(peer_sees(&real, theirs, bytes, sizeof(bytes)) == 0);
    check(write(theirs, "late", 4) == 4);
    check(turn_until(&real, listener.received == 4));
    close(theirs);
    check(turn_until(&real, listener.closed));
    check(listener.reason == REASON_DONE && listener.ended == 1);
    listener_consume(&listener);
    worker_release(&real.worker);
}

BOTH(a_reset_from_the_peer_closes_with_that_reason)
{
    struct real_worker real;
    struct listener listener;
    int theirs;

    check(real_worker_open(&real, without));
    check(open_end(&real, &listener, &theirs));
    turn_some(&real);
    sock_reset_on_close(&os_linux, theirs);
    close(theirs);
    check(turn_until(&real, listener.closed));
    check(listener.reason == REASON_RESET && listener.ended == 0 && !listener.nested);
    worker_release(&real.worker);
}

BOTH(a_reset_after_the_peers_end_is_noticed_while_nothing_is_sent)
{
    struct real_worker real;
    struct listener listener;
    int theirs;

    check(real_worker_open(&real, without));
    check(open_end(&real, &listener, &theirs));
    check(shutdown(theirs, SHUT_WR) == 0);
    check(turn_until(&real, listener.ended));
    turn_some(&real);
    check(!listener.closed);
    sock_reset_on_close(&os_linux, theirs);
    close(theirs);
    check(turn_until(&real, listener.closed));
    check(listener.reason == REASON_RESET);
    worker_release(&real.worker);
}

BOTH(stop_resets_the_peer_drops_what_was_unsent_and_closes_once)
{
    struct real_worker real;
    struct listener listener;
    char bytes[16];
    int theirs;

    check(real_worker_open(&real, without));
    check(open_end(&real, &listener, &theirs));
    turn_some(&real);
    listener_write(&real, &listener, "never sent");
    quietly(&listener, stream_stop(listener.stream, REASON_IDLE_TIMEOUT));
    quietly(&listener, stream_stop(listener.stream, REASON_SHUTDOWN));
    check(listener.closed == 0);
    check(turn_until(&real, listener.closed));
    check(listener.closed == 1 && listener.reason == REASON_IDLE_TIMEOUT);
    check(peer_sees(&real, theirs, bytes, sizeof(bytes)) == -ECONNRESET);
    check(!listener.nested && nothing_leaks(&real) == 0);
    close(theirs);
    worker_release(&real.worker);
}

static bool stop_with_a_send_in_flight(struct real_worker *real)
{
    struct listener listener;
    int theirs, count = 0;

    if (!open_end(real, &listener, &theirs))
        return false;
    while (count < 800) { /* 12 MB: more than the sockets' buffers take */
        struct chunk *chunk = chunk_take(real->worker.pools, POOL_MEDIUM);

        must(chunk);
        memset(chunk->data, 'x', chunk->size);
        stream_write(listener.stream, piece_new(chunk, 0, chunk->size));
        count++;
    }
    turn_some(real);
    if (listener.drained == 0 || listener.drained >= 800u << 14)
        return false;
    stream_stop(listener.stream, REASON_SHUTDOWN);
    if (pools_busy(real->worker.pools, POOL_MEDIUM) <= real->worker.tcp_group.count)
        return false; /* the kernel still reads from them */
    if (!turn_until(real, listener.closed))
        return false;
    close(theirs);
    return true;
}

BOTH(memory_of_a_send_in_flight_is_kept_until_the_kernel_let_go)
{
    struct real_worker real;

    check(real_worker_open(&real, without));
    check(stop_with_a_send_in_flight(&real));
    check(nothing_leaks(&real) == 0);
    worker_release(&real.worker);
}

BOTH(a_slow_reader_bounds_what_is_received_and_consuming_resumes)
{
    static char bytes[1 << 20];
    struct real_worker real;
    struct listener listener;
    uint64_t sent = 0, limit;
    ssize_t put;
    int theirs;

    check(real_worker_open(&real, without));
    check(open_end(&real, &listener, &theirs));
    limit = listener.stream->receive_limit;
    for (int i = 0; i < 50; i++) {
        put = send(theirs, bytes, sizeof(bytes), MSG_DONTWAIT);
        sent += put > 0 ? (uint64_t)put : 0;
        turn_some(&real);
        check(listener.received - 0 <= limit + POOL_MEDIUM_SIZE);
    }
    check(listener.received >= limit && sent > 2 * limit);
    while (listener.received < sent) {
        listener_consume(&listener);
        check(worker_turn(&real.worker, UINT64_MAX) == 0);
        check(listener.in.length <= limit + POOL_MEDIUM_SIZE);
    }
    check(listener.received == sent);
    listener_consume(&listener);
    close(theirs);
    check(turn_until(&real, listener.ended));
    stream_stop(listener.stream, REASON_SHUTDOWN);
    check(turn_until(&real, listener.closed));
    check(nothing_leaks(&real) == 0);
    worker_release(&real.worker);
}

BOTH(a_small_receive_does_not_hold_a_large_chunk)
{
    struct real_worker real;
    struct listener listener;
    int theirs;

    check(real_worker_open(&real, without));
    check(open_end(&real, &listener, &theirs));
    check(write(theirs, "tiny", 4) == 4);
    check(turn_until(&real, listener.received == 4));
    check(listener.in.first->chunk->size == POOL_SMALL_SIZE);
    check(pools_busy(real.worker.pools, POOL_MEDIUM) == real.worker.tcp_group.published);
    listener_consume(&listener);
    stream_stop(listener.stream, REASON_SHUTDOWN);
    check(turn_until(&real, listener.closed));
    close(theirs);
    worker_release(&real.worker);
}

static bool gets_the_answer_before_the_reset(struct real_worker *real)
{
    static char answer[40000]; /* all of it in flight before the reset */
    struct listener listener;
    int theirs;

    if (!open_end(real, &listener, &theirs))
        return false;
    listener.stream->receive_limit = 4096; /* rests with most of the answer in the socket */
    listener_write(real, &listener, "question");
    turn_some(real);
    must(write(theirs, answer, sizeof(answer)) == sizeof(answer));
    close(theirs); /* with the question unread: a reset */
    listener_write(real, &listener, "more");
    turn_some(real);
    listener_write(real, &listener, "and more");
    turn_some(real);
    while (!listener.closed) {
        listener_consume(&listener);
        must(worker_turn(&real->worker, real->worker.now_ns + 10000000) == 0);
    }
    listener_consume(&listener);
    return listener.received == sizeof(answer) && listener.reason == REASON_RESET &&
           !listener.ended;
}

BOTH(an_answer_sent_before_a_reset_is_delivered_and_never_looks_complete)
{
    struct real_worker real;

    check(real_worker_open(&real, without));
    check(gets_the_answer_before_the_reset(&real));
    check(nothing_leaks(&real) == 0);
    worker_release(&real.worker);
}

/* ---- an echo that carries every byte in order, for relays of all sizes ---- */

static void echo_received(struct stream *stream, struct piece *piece)
{
    struct listener *listener = listener_of(stream);

    listener->received += piece->length;
    stream_write(stream, piece);
}

static void echo_ended(struct stream *stream)
{
    listener_of(stream)->ended++;
    stream_finish(stream);
}

static void echo_drained(struct stream *stream, uint64_t length)
{
    listener_of(stream)->drained += length;
    stream_consumed(stream, length);
}

static const struct stream_events echo_events = {
    .received = echo_received,
    .ended = echo_ended,
    .drained = echo_drained,
    .closed = listener_closed,
};

static uint8_t pattern(uint64_t offset)
{
    return (uint8_t)(offset * 2654435761u >> 13);
}

struct exchange {
    uint64_t size, sent, got;
    bool wrong, ended;
};

static void exchange_send(struct exchange *exchange, int fd)
{
    uint8_t bytes[65536];
    size_t length = 0;
    ssize_t put;

    while (length < sizeof(bytes) && exchange->sent + length < exchange->size) {
        bytes[length] = pattern(exchange->sent + length);
        length++;
    }
    put = length ? send(fd, bytes, length, MSG_DONTWAIT) : 0;
    if (put > 0)
        exchange->sent += (uint64_t)put;
    if (exchange->sent == exchange->size)
        shutdown(fd, SHUT_WR);
}

static void exchange_receive(struct exchange *exchange, int fd)
{
    uint8_t bytes[65536];
    ssize_t got = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);

    for (ssize_t i = 0; i < got; i++)
        exchange->wrong |= bytes[i] != pattern(exchange->got + (uint64_t)i);
    if (got > 0)
        exchange->got += (uint64_t)got;
    exchange->ended |= got == 0;
}

static bool echoes(struct real_worker *real, uint64_t size)
{
    struct exchange exchange = {.size = size};
    struct listener listener;
    int theirs;

    if (!open_end(real, &listener, &theirs))
        return false;
    listener.stream->events = &echo_events;
    while (!exchange.ended) {
        if (exchange.sent < size || size == 0)
            exchange_send(&exchange, theirs);
        exchange_receive(&exchange, theirs);
        must(worker_turn(&real->worker, 1) == 0);
    }
    close(theirs);
    return turn_until(real, listener.closed) && !exchange.wrong && exchange.got == size &&
           listener.reason == REASON_DONE && listener.drained == size;
}

BOTH(every_byte_comes_back_in_order_whatever_the_size)
{
    static const uint64_t sizes[] = {0, 1, 5, 2047, 2048, 16383, 16384, 16385, 65536, 20000000};
    struct real_worker real;

    check(real_worker_open(&real, without));
    for (size_t i = 0; i < ARRAY_COUNT(sizes); i++)
        check(echoes(&real, sizes[i]));
    check(nothing_leaks(&real) == 0);
    worker_release(&real.worker);
}

BOTH(a_flow_goes_on_when_the_buffer_pool_is_nearly_empty)
{
    struct real_worker real;

    check(real_worker_open_with(&real, without,
                                (struct pool_limits){
                                    {2, 3, 16}
    }));
    check(echoes(&real, 3000000));
    check(nothing_leaks(&real) == 0);
    worker_release(&real.worker);
}

static int kernel_workers(void)
{
    DIR *tasks = opendir("/proc/self/task");
    struct dirent *task;
    int count = 0;

    must(tasks);
    while ((task = readdir(tasks))) {
        char path[300], name[32] = "";
        FILE *file;

        snprintf(path, sizeof(path), "/proc/self/task/%s/comm", task->d_name);
        file = fopen(path, "re");
        if (file && fgets(name, sizeof(name), file))
            count += strncmp(name, "iou-wrk", 7) == 0;
        if (file)
            fclose(file);
    }
    closedir(tasks);
    return count;
}

BOTH(nothing_that_a_stream_does_needs_a_thread_of_the_kernel)
{
    struct real_worker real;

    check(real_worker_open(&real, without));
    check(echoes(&real, 5000000));
    check(kernel_workers() == 0);
    worker_release(&real.worker);
}

/* ---- connecting ---- */

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
    struct listener listener;
    struct addr addr;
    int server;

    check(real_worker_open(&real, without));
    server = loopback_listen(&addr);
    tcp_connect_start(&attempt.connect, &real.worker, &addr, &cubic, 1000000000, attempt_done);
    check(attempt.count == 0);
    check(turn_until(&real, attempt.count));
    check(attempt.reason == REASON_DONE && attempt.stream);
    listen_to(&listener, attempt.stream);
    close(server); /* resets what it had not accepted */
    check(turn_until(&real, listener.closed));
    check(listener.reason == REASON_RESET);
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

/* A listening socket whose queue is full answers nothing. */
static int silent_listen(struct addr *addr, int fillers[3])
{
    struct addr any = loopback_addr();
    int fd = sock_tcp_listen(&os_linux, &any, 0);

    must(fd >= 0 && os_linux.local_addr(&os_linux, fd, addr) == 0);
    for (int i = 0; i < 3; i++) {
        fillers[i] = sock_tcp(&os_linux, AF_INET);
        must(connect(fillers[i], &addr->sa, addr->length) == 0 || errno == EINPROGRESS);
    }
    return fd;
}

BOTH(a_silent_peer_times_the_connection_out_and_stop_abandons_it)
{
    struct real_worker real;
    struct attempt attempt = {0}, stopped = {0};
    struct addr addr;
    int server, fillers[3];

    check(real_worker_open(&real, without));
    server = silent_listen(&addr, fillers);
    tcp_connect_start(&attempt.connect, &real.worker, &addr, &cubic, 30000000, attempt_done);
    tcp_connect_start(&stopped.connect, &real.worker, &addr, &cubic, 1000000000, attempt_done);
    turn_some(&real);
    tcp_connect_stop(&stopped.connect);
    check(stopped.count == 0);
    check(turn_until(&real, attempt.count && stopped.count));
    check(attempt.reason == REASON_CONNECT_TIMEOUT && !attempt.stream && attempt.count == 1);
    check(stopped.reason == REASON_ABANDONED && !stopped.stream && stopped.count == 1);
    for (int i = 0; i < 3; i++)
        close(fillers[i]);
    close(server);
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
    check(!attempt.stream && attempt.reason == REASON_SYSTEM);
    worker_release(&real.worker);
}

TEST(a_relay_survives_any_failed_allocation)
{
    for (unsigned n = 1;; n++) {
        struct real_worker real;
        struct listener listener = {0};
        int theirs = -1;

        check(real_worker_open(&real, NULL));
        mem_fail_at(n);
        if (open_end(&real, &listener, &theirs)) {
            listener.stream->events = &echo_events;
            check(write(theirs, "hello", 5) == 5 && shutdown(theirs, SHUT_WR) == 0);
            check(turn_until(&real, listener.closed));
            check(!mem_failed() || listener.reason == REASON_NO_MEMORY || listener.drained == 5);
        }
        close(theirs);
        check(nothing_leaks(&real) == 0);
        worker_release(&real.worker);
        if (!mem_failed())
            break;
    }
    mem_fail_at(0);
}
