#include "relay/health.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "core/mem.h"
#include "core/tcp_end.h"
#include "relay/health_words.h"
#include "relay/proxy_send.h"

enum {
    ANSWER_KEPT = 12,   /* what tells lies in these first bytes */
    ANSWER_LIMIT = 4096 /* unread, at most, while an end goes away */
};

struct health_check {
    struct worker *worker;
    struct health_question question;
    char host[HEALTH_HOST_SIZE], path[256];
    enum reason reason; /* once decided */
    bool decided, connecting;
    struct timer timer;
    uint64_t until_ns;
    /* TCP. */
    struct tcp_connect connect;
    struct stream *stream;
    uint8_t answer[ANSWER_KEPT];
    uint32_t length;
    /* UDP. */
    int fd;
    struct msghdr nothing;
    struct op send_op, poll_op;
    struct task task;
};

static void health_tell(struct health_check *check)
{
    const struct health_question question = check->question;
    enum reason reason = check->reason;

    timer_stop(&check->worker->timers, &check->timer);
    task_cancel(&check->task);
    mem_free(check);
    question.told(question.context, reason);
}

/* ---- TCP, and what is said over it ---- */

static void health_decide(struct health_check *check, enum reason reason)
{
    if (check->decided)
        return;
    check->decided = true;
    check->reason = reason;
    timer_stop(&check->worker->timers, &check->timer);
    if (check->stream)
        stream_stop(check->stream, REASON_ABANDONED);
}

static enum health_verdict health_judge(const struct health_check *check)
{
    if (check->question.kind == HEALTH_HTTP)
        return health_judge_http(check->answer, check->length);
    return health_judge_tls(check->answer, check->length);
}

static void health_received(struct stream *stream, struct piece *piece)
{
    struct health_check *check = stream->owner;
    uint32_t room = ANSWER_KEPT - check->length, length = piece->length;
    uint32_t part = length < room ? length : room;
    enum health_verdict verdict;

    memcpy(check->answer + check->length, piece_data(piece), part);
    check->length += part;
    piece_free(piece);
    stream_consumed(stream, length);
    verdict = health_judge(check);
    if (verdict != HEALTH_UNDECIDED)
        health_decide(check, verdict == HEALTH_GOOD ? REASON_DONE : REASON_HEALTH_ANSWER);
}

static void health_ended(struct stream *stream)
{
    health_decide(stream->owner, REASON_HEALTH_ANSWER);
}

/* Where no answer is awaited: the PROXY header is on its way. */
static void health_drained(struct stream *stream, uint64_t length)
{
    struct health_check *check = stream->owner;

    if (check->question.kind == HEALTH_TCP)
        health_decide(check, REASON_DONE);
}

static void health_closed(struct stream *stream, enum reason reason)
{
    struct health_check *check = stream->owner;

    stream_free(stream);
    check->stream = NULL;
    health_decide(check, reason_is_ours(reason) ? reason : REASON_HEALTH_ANSWER);
    health_tell(check);
}

static const struct stream_events health_events = {
    .received = health_received,
    .ended = health_ended,
    .drained = health_drained,
    .closed = health_closed,
};

static size_t health_words(struct health_check *check, uint8_t words[HEALTH_WORDS_MAX])
{
    uint8_t random[HEALTH_RANDOM];

    if (check->question.kind == HEALTH_HTTP)
        return health_get(check->host, check->path, (char *)words);
    check->worker->os->random(check->worker->os, random, sizeof(random));
    return health_hello(check->host, random, words);
}

/* The header has no addresses: it is we who talk.  False: no memory. */
static bool health_say(struct health_check *check)
{
    static const struct addr nobody;
    uint8_t words[HEALTH_WORDS_MAX];
    struct piece *piece;
    size_t length;

    if (!proxy_send(check->worker, check->stream, check->question.send_proxy, &nobody, &nobody))
        return false;
    check->stream->preamble = 0; /* it is to be heard of, too */
    if (check->question.kind == HEALTH_TCP)
        return true;
    length = health_words(check, words);
    must(length);
    piece = piece_copy(check->worker->pools, words, (uint32_t)length);
    if (piece)
        stream_write(check->stream, piece);
    return piece;
}

static void health_connected(struct tcp_connect *connect, struct stream *stream, enum reason reason)
{
    struct health_check *check = container_of(connect, struct health_check, connect);

    check->connecting = false;
    if (!stream) {
        health_decide(check, reason);
        health_tell(check);
        return;
    }
    check->stream = stream;
    stream->events = &health_events;
    stream->owner = check;
    stream->receive_limit = ANSWER_LIMIT;
    stream_start(stream);
    if (check->decided)
        stream_stop(stream, REASON_ABANDONED);
    else if (check->question.kind == HEALTH_TCP && check->question.send_proxy == SEND_PROXY_NO)
        health_decide(check, REASON_DONE);
    else if (!health_say(check) ||
             timer_set(&check->worker->timers, &check->timer, check->until_ns))
        health_decide(check, REASON_NO_MEMORY);
}

static void health_ask_tcp(struct health_check *check)
{
    static const struct tcp_options options = {.keepalive_s = 0};

    check->connecting = true;
    tcp_connect_start(&check->connect, check->worker, &check->question.addr, &options,
                      check->question.timeout_ns, health_connected);
}

/* ---- UDP: an empty datagram, and what the kernel hears of it until the time is over ---- */

static void health_settle_udp(struct health_check *check)
{
    if (!check->decided || check->send_op.busy || check->poll_op.busy)
        return;
    if (check->fd >= 0)
        check->worker->os->close(check->worker->os, check->fd);
    health_tell(check);
}

static void health_decide_udp(struct health_check *check, enum reason reason)
{
    health_decide(check, reason);
    ring_cancel(check->worker->ring, &check->send_op);
    ring_cancel(check->worker->ring, &check->poll_op);
}

static void health_sent(struct op *op, struct op_result result)
{
    struct health_check *check = container_of(op, struct health_check, send_op);

    if (result.res < 0)
        health_decide_udp(check, reason_of_errno(result.res));
    health_settle_udp(check);
}

static void health_polled(struct op *op, struct op_result result)
{
    struct health_check *check = container_of(op, struct health_check, poll_op);
    struct os *os = check->worker->os;
    socklen_t size = sizeof(int);
    int error = 0;

    if (result.res < 0)
        error = result.res;
    else if (result.res & POLLERR)
        os->get_option(os, check->fd, SOL_SOCKET, SO_ERROR, &error, &size);
    health_decide_udp(check, reason_of_errno(error));
    health_settle_udp(check);
}

static void health_task(struct task *task)
{
    health_settle_udp(container_of(task, struct health_check, task));
}

static void health_ask_udp(struct health_check *check)
{
    struct worker *worker = check->worker;

    check->fd = sock_udp_connect(worker->os, &check->question.addr);
    if (check->fd < 0 || timer_set(&worker->timers, &check->timer, check->until_ns)) {
        health_decide_udp(check, check->fd < 0 ? reason_of_errno(check->fd) : REASON_NO_MEMORY);
        worker_defer(worker, &check->task);
        return;
    }
    sock_udp_hear_errors(worker->os, check->fd);
    ring_sendmsg(worker->ring, &check->send_op, check->fd, &check->nothing, MSG_NOSIGNAL);
    ring_poll(worker->ring, &check->poll_op, check->fd, POLLIN);
}

/* ---- both ---- */

static void health_late(struct timer *timer)
{
    struct health_check *check = container_of(timer, struct health_check, timer);

    if (check->question.kind == HEALTH_UDP)
        health_decide_udp(check, REASON_DONE);
    else
        health_decide(check, REASON_HEALTH_SILENCE);
}

struct health_check *health_ask(struct worker *worker, const struct health_question *question)
{
    struct health_check *check = mem_new(sizeof(*check));

    if (!check)
        return NULL;
    must(question->kind != HEALTH_NONE);
    check->worker = worker;
    check->question = *question;
    check->fd = -1;
    snprintf(check->host, sizeof(check->host), "%s", question->host);
    snprintf(check->path, sizeof(check->path), "%s", question->path);
    timer_init(&check->timer, health_late);
    task_init(&check->task, health_task);
    op_init(&check->send_op, health_sent);
    op_init(&check->poll_op, health_polled);
    check->until_ns = worker->now_ns + question->timeout_ns;
    if (question->kind == HEALTH_UDP)
        health_ask_udp(check);
    else
        health_ask_tcp(check);
    return check;
}

void health_give_up(struct health_check *check)
{
    if (check->question.kind == HEALTH_UDP) {
        health_decide_udp(check, REASON_ABANDONED);
        worker_defer(check->worker, &check->task);
        return;
    }
    health_decide(check, REASON_ABANDONED);
    if (check->connecting)
        tcp_connect_stop(&check->connect);
}
