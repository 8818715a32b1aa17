#include "relay/proxy_guard.h"

#include <string.h>

#include "relay/proxy_in.h"
#include "tests/unit/real_worker.h"

/* A user's stream that a test speaks through, and the relay behind the guard. */
static struct scene {
    struct real_worker real;
    struct stream inner, *outer;
    char heard[64];
    uint32_t heard_length, ends;
    uint64_t limit;
    bool freed, closed;
    enum reason stopped_for, closed_for;
} scene;

static void inner_start(struct stream *stream)
{
    scene.limit = stream->receive_limit;
}
static void inner_write(struct stream *stream, struct piece *piece)
{
    piece_free(piece);
}
static void inner_consumed(struct stream *stream, uint64_t length)
{
    scene.limit = stream->receive_limit;
}
static void inner_finish(struct stream *stream)
{
}
static void inner_stop(struct stream *stream, enum reason reason)
{
    scene.stopped_for = reason;
}
static void inner_free(struct stream *stream)
{
    scene.freed = true;
}
static const struct stream_ops inner_ops = {.start = inner_start,
                                            .write = inner_write,
                                            .consumed = inner_consumed,
                                            .finish = inner_finish,
                                            .stop = inner_stop,
                                            .free = inner_free};

static void relay_received(struct stream *stream, struct piece *piece)
{
    memcpy(scene.heard + scene.heard_length, piece_data(piece), piece->length);
    scene.heard_length += piece->length;
    piece_free(piece);
}
static void relay_ended(struct stream *stream)
{
    scene.ends++;
}
static void relay_drained(struct stream *stream, uint64_t length)
{
}
static void relay_closed(struct stream *stream, enum reason reason)
{
    scene.closed = true;
    scene.closed_for = reason;
    stream_free(stream);
}
static const struct stream_events relay_events = {.received = relay_received,
                                                  .ended = relay_ended,
                                                  .drained = relay_drained,
                                                  .closed = relay_closed};

static bool scene_open(void)
{
    memset(&scene, 0, sizeof(scene));
    scene.inner = (struct stream){.ops = &inner_ops, .receive_limit = 7};
    scene.outer = &scene.inner;
    if (!real_worker_open(&scene.real, NULL) || proxy_guard_put(&scene.real.worker, &scene.outer))
        return false;
    scene.outer->events = &relay_events;
    stream_start(scene.outer);
    return scene.limit == 7;
}

static bool scene_close(enum reason reason)
{
    if (!scene.closed)
        scene.inner.events->closed(&scene.inner, reason);
    worker_release(&scene.real.worker);
    return scene.closed && scene.freed;
}

static void user_says(const char *text)
{
    struct piece *piece = piece_copy(scene.real.worker.pools, text, (uint32_t)strlen(text));

    must(piece);
    scene.inner.events->received(&scene.inner, piece);
}

static bool relay_heard(const char *text)
{
    return scene.heard_length == strlen(text) && memcmp(scene.heard, text, scene.heard_length) == 0;
}

TEST(bytes_that_are_no_header_pass_at_once)
{
    check(scene_open());
    user_says("G");
    check(relay_heard("G"));
    user_says("PROXY ");
    check(relay_heard("GPROXY "));
    check(scene_close(REASON_DONE) && scene.closed_for == REASON_DONE);
}

TEST(the_beginning_of_a_header_is_held_back_until_it_tells)
{
    check(scene_open());
    user_says("PRO");
    user_says("X");
    check(relay_heard(""));
    user_says("imity");
    check(relay_heard("PROXimity"));
    check(scene_close(REASON_DONE));
}

TEST(a_header_is_refused_and_none_of_it_passes)
{
    check(scene_open());
    user_says("PROX");
    user_says("Y TCP4");
    check(scene.stopped_for == REASON_PROXY_SPOOFED && relay_heard(""));
    user_says(" more");
    scene.inner.events->ended(&scene.inner);
    check(relay_heard("") && !scene.ends);
    check(counter_read(&scene.real.counters, COUNTER_PROXY_REFUSED) == 1);
    check(scene_close(REASON_RESET) && scene.closed_for == REASON_PROXY_SPOOFED);
}

TEST(an_end_lets_what_was_held_back_go)
{
    check(scene_open());
    user_says("PROXY");
    scene.inner.events->ended(&scene.inner);
    check(relay_heard("PROXY") && scene.ends == 1);
    check(scene_close(REASON_DONE));
}

TEST(a_guard_that_is_stopped_leaks_nothing_that_it_held)
{
    check(scene_open());
    user_says("PROXY");
    stream_stop(scene.outer, REASON_SHUTDOWN);
    check(scene.stopped_for == REASON_SHUTDOWN);
    check(scene_close(REASON_SHUTDOWN) && relay_heard(""));
}

TEST(the_receive_limit_is_handed_on_when_it_changes)
{
    check(scene_open());
    scene.outer->receive_limit = 99;
    stream_consumed(scene.outer, 1);
    check(scene.limit == 99);
    check(scene_close(REASON_DONE));
}
