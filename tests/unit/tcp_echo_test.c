/* An end whose owner writes back all that comes: every byte in order, at any size and in any want.
 */
#include <dirent.h>
#include <unistd.h>

#include "core/mem.h"
#include "core/tcp_end.h"
#include "tests/unit/tcp_scene.h"
#include "tests/unit/way.h"

static void echo_received(struct stream *stream, struct piece *piece)
{
    struct owner *owner = owner_of(stream);

    owner->received += piece->length;
    stream_write(stream, piece);
}

static void echo_ended(struct stream *stream)
{
    owner_of(stream)->ended++;
    stream_finish(stream);
}

static void echo_drained(struct stream *stream, uint64_t length)
{
    owner_of(stream)->drained += length;
    stream_consumed(stream, length);
}

static const struct stream_events echo_events = {
    .received = echo_received,
    .ended = echo_ended,
    .drained = echo_drained,
    .closed = owner_closed,
};

static bool echoes(struct real_worker *real, uint64_t size)
{
    struct way way = {.size = size};
    struct owner owner;

    if (!open_end(real, &owner, &way.from))
        return false;
    way.to = way.from;
    owner.stream->events = &echo_events;
    while (!way.ended) {
        way_send(&way, 64 << 10);
        if (way.sent == size)
            shutdown(way.from, SHUT_WR);
        way_receive(&way);
        must(worker_turn(&real->worker, 1) == 0);
    }
    close(way.from);
    return turn_until(real, owner.closed) && !way.wrong && way.got == size &&
           owner.reason == REASON_DONE && owner.drained == size;
}

BOTH(every_byte_comes_back_in_order_whatever_the_size)
{
    static const uint64_t sizes[] = {0, 1, 5, 2047, 2048, 16383, 16384, 16385, 65536, 20000000};
    struct real_worker real;

    check(real_worker_open(&real, without));
    for (size_t i = 0; i < ARRAY_COUNT(sizes); i++)
        check(echoes(&real, sizes[i]));
    check(leaked(&real) == 0);
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
    check(leaked(&real) == 0);
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

TEST(a_relay_survives_any_failed_allocation)
{
    for (unsigned n = 1;; n++) {
        struct real_worker real;
        struct owner owner = {0};
        int theirs = -1;

        check(real_worker_open(&real, NULL));
        mem_fail_at(n);
        if (open_end(&real, &owner, &theirs)) {
            owner.stream->events = &echo_events;
            check(write(theirs, "hello", 5) == 5 && shutdown(theirs, SHUT_WR) == 0);
            check(turn_until(&real, owner.closed));
            check(!mem_failed() || owner.reason == REASON_NO_MEMORY || owner.drained == 5);
        }
        close(theirs);
        check(leaked(&real) == 0);
        worker_release(&real.worker);
        if (!mem_failed())
            break;
    }
    mem_fail_at(0);
}
