/* One end of a TCP connection: its bytes, ends and resets, and the memory that it holds. */
#include "core/tcp_end.h"

#include <errno.h>

#include "tests/unit/tcp_scene.h"

BOTH(bytes_cross_both_ways_and_each_side_may_finish_first)
{
    struct scene scene;
    char bytes[16];

    check(scene_open(&scene, without));
    check(write(scene.theirs, "ping", 4) == 4 && shutdown(scene.theirs, SHUT_WR) == 0);
    check(turn_until(&scene.real, scene.owner.ended));
    check(scene.owner.received == 4 && !memcmp(piece_data(scene.owner.in.first), "ping", 4));
    owner_write(&scene.owner, &scene.real, "pong");
    check(peer_sees(&scene, bytes, sizeof(bytes)) == 4 && !memcmp(bytes, "pong", 4));
    turn_some(&scene.real);
    check(!scene.owner.closed && scene.owner.drained == 4);
    quietly(&scene.owner, stream_finish(scene.owner.stream));
    check(peer_sees(&scene, bytes, sizeof(bytes)) == 0);
    check(turn_until(&scene.real, scene.owner.closed));
    check(scene.owner.closed == 1 && scene.owner.reason == REASON_DONE && scene.owner.ended == 1);
    owner_consume(&scene.owner);
    check(!scene.owner.nested && leaked(&scene.real) == 0);
    scene_close(&scene);
}

/* ---- leaving: the connection goes on with another end, on the same worker here ---- */

static void leaver_closed(struct stream *stream, enum reason reason)
{
    struct owner *owner = owner_of(stream);

    owner->closed++;
    owner->reason = reason;
    owner->fd = tcp_end_take(stream);
    owner->stream = NULL;
    stream_free(stream);
}

static const struct stream_events leaver_events = {
    .received = owner_received,
    .ended = owner_ended,
    .drained = owner_drained,
    .closed = leaver_closed,
};

static void leave(struct owner *owner)
{
    owner->stream->events = &leaver_events;
    quietly(owner, tcp_end_leave(owner->stream));
}

/* The end that the connection goes on with. */
static bool next_end(struct scene *scene, struct owner *next)
{
    struct stream *stream = tcp_end_new(&scene->real.worker, scene->owner.fd);

    if (!stream)
        return false;
    tcp_end_inherit(stream, scene->owner.received);
    owner_take(next, stream);
    return true;
}

BOTH(a_connection_that_leaves_its_end_loses_nothing_to_the_next)
{
    struct scene scene;
    struct owner *first = &scene.owner, next;
    char bytes[16];

    check(scene_open(&scene, without));
    check(write(scene.theirs, "ping", 4) == 4);
    check(turn_until(&scene.real, first->received == 4));
    check(write(scene.theirs, "more", 4) == 4);
    leave(first);
    check(turn_until(&scene.real, first->closed));
    check(first->reason == REASON_DONE && first->fd >= 0 && !first->ended && !first->nested);
    check(shutdown(scene.theirs, SHUT_WR) == 0);
    check(next_end(&scene, &next));
    check(turn_until(&scene.real, next.ended));
    check(first->received + next.received == 8);
    quietly(&next, stream_consumed(next.stream, first->received));
    owner_write(&next, &scene.real, "pong");
    check(peer_sees(&scene, bytes, sizeof(bytes)) == 4 && !memcmp(bytes, "pong", 4));
    quietly(&next, stream_finish(next.stream));
    check(turn_until(&scene.real, next.closed) && next.reason == REASON_DONE);
    queue_clear(&first->in);
    owner_consume(&next);
    check(leaked(&scene.real) == 0);
    scene_close(&scene);
}

/* Its receive is asked for in the same breath as its end, so that it meets the FIN. */
BOTH(a_connection_that_leaves_as_its_peer_has_said_all_leaves_nonetheless)
{
    struct scene scene;
    struct owner *first = &scene.owner, next;

    check(scene_open(&scene, without));
    check(shutdown(scene.theirs, SHUT_WR) == 0);
    check(worker_turn(&scene.real.worker, scene.real.worker.now_ns) == 0);
    check(!first->ended);
    leave(first);
    check(turn_until(&scene.real, first->closed));
    check(first->reason == REASON_DONE && first->fd >= 0 && !first->ended);
    check(next_end(&scene, &next));
    check(turn_until(&scene.real, next.ended));
    quietly(&next, stream_finish(next.stream));
    check(turn_until(&scene.real, next.closed) && next.reason == REASON_DONE);
    scene_close(&scene);
}

BOTH(a_connection_that_fails_while_it_leaves_has_no_descriptor_to_give)
{
    struct scene scene;

    check(scene_open(&scene, without));
    turn_some(&scene.real);
    leave(&scene.owner);
    quietly(&scene.owner, stream_stop(scene.owner.stream, REASON_ABANDONED));
    check(turn_until(&scene.real, scene.owner.closed));
    check(scene.owner.reason == REASON_ABANDONED && scene.owner.fd == -1);
    scene_close(&scene);
}

/* ---- ends and resets ---- */

BOTH(an_end_that_finished_goes_on_receiving)
{
    struct scene scene;
    char bytes[16];

    check(scene_open(&scene, without));
    owner_write(&scene.owner, &scene.real, "last");
    quietly(&scene.owner, stream_finish(scene.owner.stream));
    check(peer_sees(&scene, bytes, sizeof(bytes)) == 4);
    check(peer_sees(&scene, bytes, sizeof(bytes)) == 0);
    check(write(scene.theirs, "late", 4) == 4);
    check(turn_until(&scene.real, scene.owner.received == 4));
    peer_close(&scene);
    check(turn_until(&scene.real, scene.owner.closed));
    check(scene.owner.reason == REASON_DONE && scene.owner.ended == 1);
    owner_consume(&scene.owner);
    scene_close(&scene);
}

BOTH(a_reset_from_the_peer_closes_with_that_reason)
{
    struct scene scene;

    check(scene_open(&scene, without));
    turn_some(&scene.real);
    peer_reset(&scene);
    check(turn_until(&scene.real, scene.owner.closed));
    check(scene.owner.reason == REASON_RESET && scene.owner.ended == 0 && !scene.owner.nested);
    scene_close(&scene);
}

BOTH(a_reset_after_the_peers_end_is_noticed_while_nothing_is_sent)
{
    struct scene scene;

    check(scene_open(&scene, without));
    check(shutdown(scene.theirs, SHUT_WR) == 0);
    check(turn_until(&scene.real, scene.owner.ended));
    turn_some(&scene.real);
    check(!scene.owner.closed);
    peer_reset(&scene);
    check(turn_until(&scene.real, scene.owner.closed));
    check(scene.owner.reason == REASON_RESET);
    scene_close(&scene);
}

BOTH(stop_resets_the_peer_drops_what_was_unsent_and_closes_once)
{
    struct scene scene;
    char bytes[16];

    check(scene_open(&scene, without));
    turn_some(&scene.real);
    owner_write(&scene.owner, &scene.real, "never sent");
    quietly(&scene.owner, stream_stop(scene.owner.stream, REASON_IDLE_TIMEOUT));
    quietly(&scene.owner, stream_stop(scene.owner.stream, REASON_SHUTDOWN));
    check(scene.owner.closed == 0);
    check(turn_until(&scene.real, scene.owner.closed));
    check(scene.owner.closed == 1 && scene.owner.reason == REASON_IDLE_TIMEOUT);
    check(peer_sees(&scene, bytes, sizeof(bytes)) == -ECONNRESET);
    check(!scene.owner.nested && leaked(&scene.real) == 0);
    scene_close(&scene);
}

/* ---- memory ---- */

enum { MUCH = 800 }; /* chunks, 12 MB: more than the sockets' buffers take */

static void write_much(struct scene *scene)
{
    for (int count = 0; count < MUCH; count++) {
        struct chunk *chunk = chunk_take(scene->real.worker.pools, POOL_MEDIUM);

        must(chunk);
        memset(chunk->data, 'x', chunk->size);
        stream_write(scene->owner.stream, piece_new(chunk, 0, chunk->size));
    }
}

BOTH(memory_of_a_send_in_flight_is_kept_until_the_kernel_let_go)
{
    struct scene scene;

    check(scene_open(&scene, without));
    write_much(&scene);
    turn_some(&scene.real);
    check(scene.owner.drained > 0 && scene.owner.drained < MUCH * POOL_MEDIUM_SIZE);
    stream_stop(scene.owner.stream, REASON_SHUTDOWN);
    check(pools_busy(scene.real.worker.pools, POOL_MEDIUM) > scene.real.worker.tcp_group.count);
    check(turn_until(&scene.real, scene.owner.closed));
    check(leaked(&scene.real) == 0);
    scene_close(&scene);
}

BOTH(a_slow_reader_bounds_what_is_received_and_consuming_resumes)
{
    static char bytes[1 << 20];
    struct scene scene;
    uint64_t sent = 0, limit;
    ssize_t put;

    check(scene_open(&scene, without));
    limit = scene.owner.stream->receive_limit;
    for (int i = 0; i < 50; i++) {
        put = send(scene.theirs, bytes, sizeof(bytes), MSG_DONTWAIT);
        sent += put > 0 ? (uint64_t)put : 0;
        turn_some(&scene.real);
        check(scene.owner.received <= limit + POOL_MEDIUM_SIZE);
    }
    check(scene.owner.received >= limit && sent > 2 * limit);
    while (scene.owner.received < sent) {
        owner_consume(&scene.owner);
        check(worker_turn(&scene.real.worker, UINT64_MAX) == 0);
        check(scene.owner.in.length <= limit + POOL_MEDIUM_SIZE);
    }
    check(scene.owner.received == sent);
    owner_consume(&scene.owner);
    peer_close(&scene);
    check(turn_until(&scene.real, scene.owner.ended));
    stream_stop(scene.owner.stream, REASON_SHUTDOWN);
    check(turn_until(&scene.real, scene.owner.closed));
    check(leaked(&scene.real) == 0);
    scene_close(&scene);
}

BOTH(a_small_receive_does_not_hold_a_large_chunk)
{
    struct scene scene;

    check(scene_open(&scene, without));
    check(write(scene.theirs, "tiny", 4) == 4);
    check(turn_until(&scene.real, scene.owner.received == 4));
    check(scene.owner.in.first->chunk->size == POOL_SMALL_SIZE);
    check(pools_busy(scene.real.worker.pools, POOL_MEDIUM) ==
          scene.real.worker.tcp_group.published);
    owner_consume(&scene.owner);
    stream_stop(scene.owner.stream, REASON_SHUTDOWN);
    check(turn_until(&scene.real, scene.owner.closed));
    scene_close(&scene);
}

BOTH(single_bytes_for_a_peer_that_does_not_read_cost_no_chunk_each)
{
    enum { BYTES = 20000 };
    static char full[16 << 10];
    struct scene scene;
    struct piece *piece;

    check(scene_open(&scene, without));
    for (uint64_t before = 1; scene.owner.drained != before;) { /* until the kernel takes no more */
        before = scene.owner.drained;
        for (int i = 0; i < 16; i++) {
            piece = piece_copy(scene.real.worker.pools, full, sizeof(full));
            check(piece);
            quietly(&scene.owner, stream_write(scene.owner.stream, piece));
        }
        turn_some(&scene.real);
    }
    for (int i = 0; i < BYTES; i++) {
        owner_write(&scene.owner, &scene.real, "x");
        if (i % 100 == 0)
            check(worker_turn(&scene.real.worker, scene.real.worker.now_ns) == 0);
    }
    check(pools_busy(scene.real.worker.pools, POOL_SMALL) <= BYTES / POOL_SMALL_SIZE + 1);
    stream_stop(scene.owner.stream, REASON_SHUTDOWN);
    check(turn_until(&scene.real, scene.owner.closed));
    check(leaked(&scene.real) == 0);
    scene_close(&scene);
}

BOTH(an_answer_sent_before_a_reset_is_delivered_and_never_looks_complete)
{
    static char answer[40000]; /* all of it in flight before the reset */
    struct scene scene;

    check(scene_open(&scene, without));
    scene.owner.stream->receive_limit = 4096; /* rests with most of the answer in the socket */
    owner_write(&scene.owner, &scene.real, "question");
    turn_some(&scene.real);
    check(write(scene.theirs, answer, sizeof(answer)) == sizeof(answer));
    peer_close(&scene); /* with the question unread: a reset */
    owner_write(&scene.owner, &scene.real, "more");
    turn_some(&scene.real);
    owner_write(&scene.owner, &scene.real, "and more");
    turn_some(&scene.real);
    check(turn_until(&scene.real, (owner_consume(&scene.owner), scene.owner.closed)));
    owner_consume(&scene.owner);
    check(scene.owner.received == sizeof(answer) && scene.owner.reason == REASON_RESET);
    check(!scene.owner.ended && leaked(&scene.real) == 0);
    scene_close(&scene);
}
