#include "tests/unit/tcp_scene.h"

#include <errno.h>

struct owner *owner_of(struct stream *stream)
{
    struct owner *owner = stream->owner;

    owner->nested |= owner->inside;
    return owner;
}

void owner_received(struct stream *stream, struct piece *piece)
{
    struct owner *owner = owner_of(stream);

    owner->received += piece->length;
    queue_push(&owner->in, piece);
}

void owner_ended(struct stream *stream)
{
    owner_of(stream)->ended++;
}

void owner_drained(struct stream *stream, uint64_t length)
{
    owner_of(stream)->drained += length;
}

void owner_closed(struct stream *stream, enum reason reason)
{
    struct owner *owner = owner_of(stream);

    owner->closed++;
    owner->reason = reason;
    owner->stream = NULL;
    stream_free(stream);
}

const struct stream_events owner_events = {
    .received = owner_received,
    .ended = owner_ended,
    .drained = owner_drained,
    .closed = owner_closed,
};

void owner_take(struct owner *owner, struct stream *stream)
{
    *owner = (struct owner){.stream = stream};
    stream->events = &owner_events;
    stream->owner = owner;
    stream->receive_limit = 256 << 10;
    quietly(owner, stream_start(stream));
}

bool open_end(struct real_worker *real, struct owner *owner, int *theirs)
{
    int ours;
    struct stream *stream;

    loopback_pair(&ours, theirs);
    stream = tcp_end_new(&real->worker, ours);
    if (!stream)
        return false;
    owner_take(owner, stream);
    return true;
}

void owner_consume(struct owner *owner)
{
    uint64_t length = owner->in.length;

    queue_clear(&owner->in);
    if (owner->stream)
        quietly(owner, stream_consumed(owner->stream, length));
}

void owner_write(struct owner *owner, struct real_worker *real, const char *text)
{
    struct piece *piece = piece_copy(real->worker.pools, text, (uint32_t)strlen(text));

    must(piece);
    quietly(owner, stream_write(owner->stream, piece));
}

bool scene_open(struct scene *scene, const char *without)
{
    return real_worker_open(&scene->real, without) &&
           open_end(&scene->real, &scene->owner, &scene->theirs);
}

void scene_close(struct scene *scene)
{
    if (scene->theirs >= 0)
        peer_close(scene);
    worker_release(&scene->real.worker);
}

void peer_close(struct scene *scene)
{
    close(scene->theirs);
    scene->theirs = -1;
}

void peer_reset(struct scene *scene)
{
    sock_reset_on_close(&os_linux, scene->theirs);
    peer_close(scene);
}

ssize_t peer_sees(struct scene *scene, char *to, size_t size)
{
    struct worker *worker = &scene->real.worker;
    ssize_t got = -EAGAIN;

    for (int turn = 0; got == -EAGAIN && turn < 500; turn++) {
        must(worker_turn(worker, worker->now_ns + 10000000) == 0);
        got = recv(scene->theirs, to, size, MSG_DONTWAIT);
        got = got < 0 ? -errno : got;
    }
    return got;
}

ssize_t leaked(struct real_worker *real)
{
    return pools_busy(real->worker.pools, POOL_SMALL) +
           pools_busy(real->worker.pools, POOL_MEDIUM) - real->worker.tcp_group.published;
}
