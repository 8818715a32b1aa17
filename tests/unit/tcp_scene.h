/* tests/unit/tcp_scene.h - one end of a TCP connection on a real worker, and an owner who remembers
 * what it was told; the other end is a socket that the test drives.  Owner: the test. */
#ifndef TESTS_UNIT_TCP_SCENE_H
#define TESTS_UNIT_TCP_SCENE_H

#include "core/tcp_end.h"
#include "tests/unit/real_worker.h"

/* Of one stream; bytes are kept until the test consumes them. */
struct owner {
    struct stream *stream; /* NULL once closed */
    struct queue in;
    uint64_t received, drained;
    int ended, closed;
    int fd; /* of one that left */
    enum reason reason;
    bool inside; /* a call on the stream is running: no event may come */
    bool nested; /* one came */
};

struct scene {
    struct real_worker real;
    struct owner owner;
    int theirs; /* -1 once closed */
};

extern const struct stream_events owner_events;
struct owner *owner_of(struct stream *stream);
void owner_received(struct stream *stream, struct piece *piece);
void owner_ended(struct stream *stream);
void owner_drained(struct stream *stream, uint64_t length);
void owner_closed(struct stream *stream, enum reason reason);

/* A call on the owner's stream, from inside which no event may come. */
#define quietly(owner, call)                                                                       \
    do {                                                                                           \
        (owner)->inside = true;                                                                    \
        call;                                                                                      \
        (owner)->inside = false;                                                                   \
    } while (0)

/* Starts the stream, which is the owner's from now on. */
void owner_take(struct owner *owner, struct stream *stream);
void owner_consume(struct owner *owner); /* all that is kept */
void owner_write(struct owner *owner, struct real_worker *real, const char *text);

/* False: no memory.  A worker may have many ends, one after another or at once. */
bool open_end(struct real_worker *real, struct owner *owner, int *theirs);
bool scene_open(struct scene *scene, const char *without);
/* The stream is closed by then. */
void scene_close(struct scene *scene);

void peer_close(struct scene *scene);
void peer_reset(struct scene *scene);
/* What the peer sees next: bytes, 0 at an end, -errno; -EAGAIN when nothing came. */
ssize_t peer_sees(struct scene *scene, char *to, size_t size);

/* Buffers that nobody gave back. */
ssize_t leaked(struct real_worker *real);

#endif
