/* Users that ask at a fixed rate and wait for the answer, each on a connection that it keeps or on
 * a new one for each question.  What is due while an answer is still awaited waits for its user,
 * and its latency counts from when it was due. */
#include <stdio.h>
#include <string.h>

#include "bench/load/histogram.h"
#include "bench/load/load.h"
#include "core/mem.h"
#include "core/stream.h"
#include "core/tcp_end.h"

enum { REQUEST_MAX = 16 << 10, PATIENCE_NS = 2000000000 };
static const char http_request[] = "GET / HTTP/1.1\r\nHost: bench\r\n\r\n";
static const char http_visit[] = "GET / HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n";

struct crowd;
struct user {
    struct crowd *crowd;
    struct tcp_connect connect;
    struct stream *stream;
    struct timer timer;
    uint64_t due_ns;  /* of the request under way, or of the next one */
    uint32_t awaited; /* bytes of the answer still to come */
    bool connecting, asking;
};

struct crowd {
    struct load_worker load;
    const struct load_options *options;
    struct user *users;
    struct chunk *request;
    uint32_t request_length, answer_length; /* answer 0: not known yet */
    uint64_t interval_ns, start_ns, end_ns;
    uint32_t connecting, open, failed;
    bool running;
    uint64_t answered, lost;
    char head[REQUEST_MAX]; /* the first answer, until its length is known */
    uint32_t head_length;
    struct histogram histogram;
};

static uint64_t now_ns(void)
{
    return os_linux.clock_ns(&os_linux);
}

/* ---- asking ---- */
static void user_ask(struct user *user)
{
    struct crowd *crowd = user->crowd;
    struct piece *piece = piece_new(chunk_share(crowd->request), 0, crowd->request_length);

    must(piece && !user->asking);
    user->asking = true;
    user->awaited = crowd->answer_length;
    stream_write(user->stream, piece);
}

static void user_connected(struct tcp_connect *connect, struct stream *stream, enum reason reason);

static void user_connect(struct user *user)
{
    const struct tcp_options tcp = {.congestion = "cubic"};

    user->connecting = true;
    user->crowd->connecting++;
    tcp_connect_start(&user->connect, &user->crowd->load.worker, &user->crowd->options->addr, &tcp,
                      PATIENCE_NS, user_connected);
}

/* One that keeps its connection asks on it; a visitor's last one is gone before the next. */
static bool user_ready(const struct user *user)
{
    if (!user->crowd->running || user->connecting || user->asking)
        return false;
    return user->crowd->options->anew == !user->stream;
}

static void user_next(struct user *user)
{
    struct crowd *crowd = user->crowd;
    uint64_t now = now_ns();

    if (!user_ready(user))
        return;
    if (!crowd->interval_ns)
        user->due_ns = now;
    if (user->due_ns >= crowd->end_ns)
        return;
    if (user->due_ns > now)
        must(timer_set(&crowd->load.worker.timers, &user->timer, user->due_ns) == 0);
    else if (crowd->options->anew)
        user_connect(user);
    else
        user_ask(user);
}

static void user_due(struct timer *timer)
{
    user_next(container_of(timer, struct user, timer));
}

static void user_answered(struct user *user)
{
    struct crowd *crowd = user->crowd;

    user->asking = false;
    if (!crowd->running)
        return;
    histogram_add(&crowd->histogram, now_ns() - user->due_ns);
    crowd->answered++;
    user->due_ns += crowd->interval_ns;
    user_next(user);
}

/* The whole length of an HTTP answer once its head is there; 0 before. */
static uint32_t http_length(const char *head)
{
    const char *body = strstr(head, "\r\n\r\n"), *field = strcasestr(head, "content-length:");
    unsigned length;

    if (!body || !field || field > body || sscanf(field + 15, "%u", &length) != 1)
        return 0;
    return (uint32_t)(body + 4 - head) + length;
}

static void user_learn(struct user *user, const struct piece *piece)
{
    struct crowd *crowd = user->crowd;
    uint32_t room = REQUEST_MAX - 1 - crowd->head_length;
    uint32_t length = piece->length < room ? piece->length : room;

    memcpy(crowd->head + crowd->head_length, piece_data(piece), length);
    crowd->head_length += length;
    crowd->answer_length = http_length(crowd->head);
    if (crowd->answer_length && crowd->head_length >= crowd->answer_length)
        user_answered(user);
    else
        crowd->answer_length = 0;
}

/* ---- events ---- */
static void user_received(struct stream *stream, struct piece *piece)
{
    struct user *user = stream->owner;
    uint32_t length = piece->length;

    if (!user->crowd->answer_length) {
        user_learn(user, piece);
    } else if (user->asking) {
        user->awaited -= length < user->awaited ? length : user->awaited;
        if (!user->awaited)
            user_answered(user);
    }
    piece_free(piece);
    stream_consumed(stream, length);
}

static void user_ended(struct stream *stream)
{
    stream_finish(stream);
}

static void user_drained(struct stream *stream, uint64_t length)
{
}

/* A visitor whose question was not answered goes on with the next. */
static void user_missed(struct user *user)
{
    if (!user->crowd->options->anew)
        return;
    if (user->asking)
        user->due_ns += user->crowd->interval_ns;
    user->asking = false;
    user_next(user);
}

static void user_closed(struct stream *stream, enum reason reason)
{
    struct user *user = stream->owner;
    struct crowd *crowd = user->crowd;

    timer_stop(&crowd->load.worker.timers, &user->timer);
    crowd->open--;
    user->stream = NULL;
    stream_free(stream);
    if (crowd->running && (user->asking || !crowd->options->anew))
        crowd->lost++;
    user_missed(user);
}

static const struct stream_events user_events = {user_received, user_ended, user_drained,
                                                 user_closed};

static void user_connected(struct tcp_connect *connect, struct stream *stream, enum reason reason)
{
    struct user *user = container_of(connect, struct user, connect);
    struct crowd *crowd = user->crowd;

    user->connecting = false;
    crowd->connecting--;
    if (!stream) {
        crowd->failed++;
        user->asking = crowd->running; /* what was due is not answered */
        user_missed(user);
        return;
    }
    crowd->open++;
    user->stream = stream;
    stream->events = &user_events;
    stream->owner = user;
    stream->receive_limit = 256 << 10;
    stream_start(stream);
    if (crowd->running)
        user_ask(user);
}

/* ---- the crowd ---- */
static void crowd_word(struct crowd *crowd, const char *text)
{
    crowd->request_length = (uint32_t)strlen(text);
    memcpy(crowd->request->data, text, crowd->request_length);
}

static bool crowd_open(struct crowd *crowd, const struct load_options *options)
{
    if (!load_open(&crowd->load))
        return false;
    crowd->options = options;
    crowd->users = mem_new(options->connections * sizeof(*crowd->users));
    crowd->request = chunk_take(crowd->load.worker.pools, POOL_MEDIUM);
    if (!crowd->users || !crowd->request)
        return false;
    crowd->answer_length = options->http ? 0 : options->bytes;
    crowd->request_length = options->bytes;
    memset(crowd->request->data, 'x', options->bytes);
    if (options->http)
        crowd_word(crowd, options->anew ? http_visit : http_request);
    return true;
}

static void crowd_connect(struct crowd *crowd)
{
    for (uint32_t i = 0; i < crowd->options->connections; i++) {
        struct user *user = &crowd->users[i];

        user->crowd = crowd;
        timer_init(&user->timer, user_due);
        user_connect(user);
    }
    while (crowd->connecting)
        load_turn(&crowd->load, now_ns() + PATIENCE_NS);
}

/* Each asks once, unmeasured: that opens the way behind, and tells how long an answer is. */
static bool crowd_warm(struct crowd *crowd)
{
    uint64_t until = now_ns() + PATIENCE_NS;
    bool asking = true;

    for (uint32_t i = 0; i < crowd->options->connections; i++) {
        if (!crowd->users[i].stream)
            continue;
        user_ask(&crowd->users[i]);
        while (!crowd->answer_length && now_ns() < until && crowd->open)
            load_turn(&crowd->load, until);
    }
    while (asking && now_ns() < until) {
        asking = false;
        for (uint32_t i = 0; i < crowd->options->connections; i++)
            asking |= crowd->users[i].stream && crowd->users[i].asking;
        if (asking)
            load_turn(&crowd->load, now_ns() + 10000000);
    }
    return crowd->answer_length && !asking;
}

static void crowd_run(struct crowd *crowd)
{
    const struct load_options *options = crowd->options;
    uint64_t step_ns = options->rate > 0 ? (uint64_t)(1e9 / options->rate) : 0;

    crowd->start_ns = now_ns();
    crowd->end_ns = crowd->start_ns + (uint64_t)(options->seconds * 1e9);
    crowd->interval_ns = step_ns * options->connections;
    crowd->running = true;
    for (uint32_t i = 0; i < options->connections; i++) {
        crowd->users[i].due_ns = crowd->start_ns + i * step_ns;
        user_next(&crowd->users[i]);
    }
    while (now_ns() < crowd->end_ns && !load_signalled() && (crowd->open || options->anew))
        load_turn(&crowd->load, crowd->end_ns);
}

/* What was due and not answered took at least until now, a lost connection's too. */
static uint64_t crowd_count_unanswered(struct crowd *crowd)
{
    uint64_t now = now_ns(), unanswered = 0;

    crowd->running = false;
    for (uint32_t i = 0; i < crowd->options->connections; i++) {
        struct user *user = &crowd->users[i];

        if (!crowd->interval_ns)
            continue;
        for (; user->due_ns < crowd->end_ns; user->due_ns += crowd->interval_ns) {
            histogram_add(&crowd->histogram, now > user->due_ns ? now - user->due_ns : 0);
            unanswered++;
        }
    }
    return unanswered;
}

static void crowd_close(struct crowd *crowd)
{
    for (uint32_t i = 0; i < crowd->options->connections; i++) {
        if (crowd->users[i].connecting)
            tcp_connect_stop(&crowd->users[i].connect);
        else if (crowd->users[i].stream)
            stream_stop(crowd->users[i].stream, REASON_SHUTDOWN);
    }
    while (crowd->open || crowd->connecting)
        load_turn(&crowd->load, now_ns() + PATIENCE_NS);
    chunk_drop(crowd->request);
    mem_free(crowd->users);
    worker_release(&crowd->load.worker);
}

static void crowd_print(const struct crowd *crowd, uint64_t unanswered)
{
    const struct histogram *histogram = &crowd->histogram;

    printf("{\"per_s\": %.1f, \"answered\": %llu, \"unanswered\": %llu, \"lost\": %llu,"
           " \"failed\": %u",
           (double)crowd->answered / crowd->options->seconds, (unsigned long long)crowd->answered,
           (unsigned long long)unanswered, (unsigned long long)crowd->lost, crowd->failed);
    printf(", \"p50_us\": %.1f, \"p90_us\": %.1f, \"p99_us\": %.1f, \"p999_us\": %.1f,"
           " \"max_us\": %.1f, \"histogram\": ",
           (double)histogram_at(histogram, 0.5) / 1e3, (double)histogram_at(histogram, 0.9) / 1e3,
           (double)histogram_at(histogram, 0.99) / 1e3,
           (double)histogram_at(histogram, 0.999) / 1e3, (double)histogram->max_ns / 1e3);
    histogram_print(histogram);
    puts("}");
}

int load_requests(const struct load_options *options)
{
    static struct crowd crowd;
    bool warm;

    if (!crowd_open(&crowd, options))
        return 1;
    crowd_connect(&crowd);
    warm = crowd_warm(&crowd);
    if (warm) {
        crowd_run(&crowd);
        crowd_print(&crowd, crowd_count_unanswered(&crowd));
    } else {
        fprintf(stderr, "bench-load: no answers (%u of %u connections failed)\n", crowd.failed,
                options->connections);
    }
    crowd_close(&crowd);
    return !warm;
}
