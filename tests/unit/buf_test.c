#include "core/buf.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/mem.h"
#include "tests/unit/test.h"

static const struct pool_limits roomy = {
    {4096, 4096, 64}
};

TEST(a_chunk_has_the_bytes_of_its_size_and_one_reference)
{
    struct pools *pools = pools_new(&roomy);
    const uint32_t sizes[POOL_COUNT] = {2048, 16384, 69632};

    check(pools);
    for (int i = 0; i < POOL_COUNT; i++) {
        struct chunk *chunk = chunk_take(pools, i);

        check(chunk && chunk->size == sizes[i] && chunk->references == 1 && chunk->used == 0);
        check(pools_busy(pools, i) == 1);
        memset(chunk->data, 0xa5, chunk->size);
        chunk_drop(chunk);
        check(pools_busy(pools, i) == 0);
    }
    pools_free(&pools);
    check(!pools);
}

TEST(the_chunk_given_back_last_is_taken_first)
{
    struct pools *pools = pools_new(&roomy);
    struct chunk *first = chunk_take(pools, POOL_MEDIUM), *second = chunk_take(pools, POOL_MEDIUM);
    struct chunk *again;

    check(first && second);
    chunk_drop(first);
    chunk_drop(second);
    again = chunk_take(pools, POOL_MEDIUM);
    check(again == second);
    chunk_drop(again);
    pools_free(&pools);
}

TEST(a_pool_at_its_limit_refuses_until_a_chunk_returns)
{
    struct pools *pools = pools_new(&(struct pool_limits){
        {2, 0, 1}
    });
    struct chunk *a = chunk_take(pools, POOL_SMALL), *b = chunk_take(pools, POOL_SMALL);

    check(a && b);
    check(!chunk_take(pools, POOL_SMALL));
    check(!chunk_take(pools, POOL_MEDIUM));
    chunk_drop(a);
    a = chunk_take(pools, POOL_SMALL);
    check(a);
    chunk_drop(a);
    chunk_drop(b);
    pools_free(&pools);
}

TEST(a_shared_chunk_returns_with_its_last_reference)
{
    struct pools *pools = pools_new(&roomy);
    struct piece *piece = piece_copy(pools, "hello", 5), *shared;

    check(piece);
    shared = piece_share(piece);
    check(shared && shared->chunk == piece->chunk);
    piece_free(piece);
    check(pools_busy(pools, POOL_SMALL) == 1);
    check(memcmp(piece_data(shared), "hello", 5) == 0);
    piece_free(shared);
    check(pools_busy(pools, POOL_SMALL) == 0);
    pools_free(&pools);
}

TEST(a_copy_takes_the_smallest_chunk_that_holds_it)
{
    static const uint8_t bytes[POOL_MEDIUM_SIZE];
    struct pools *pools = pools_new(&roomy);
    struct piece *small = piece_copy(pools, bytes, 2048), *medium = piece_copy(pools, bytes, 2049);
    struct piece *full = piece_copy(pools, bytes, POOL_MEDIUM_SIZE);

    check(small && small->chunk->size == 2048);
    check(medium && medium->chunk->size == 16384);
    check(full && full->length == 16384);
    piece_free(small);
    piece_free(medium);
    piece_free(full);
    pools_free(&pools);
}

TEST(idle_chunks_that_nobody_needed_are_freed_down_to_the_reserve)
{
    struct pools *pools = pools_new(&roomy);
    struct chunk *chunks[1000];
    uint32_t before;

    for (int i = 0; i < 1000; i++) {
        chunks[i] = chunk_take(pools, POOL_SMALL);
        check(chunks[i]);
    }
    for (int i = 0; i < 1000; i++)
        chunk_drop(chunks[i]);
    check(pools_idle(pools, POOL_SMALL) == 1000);
    pools_trim(pools); /* all were in use lately */
    check(pools_idle(pools, POOL_SMALL) == 1000);
    for (int i = 0; i < 20; i++) {
        before = pools_idle(pools, POOL_SMALL);
        pools_trim(pools);
        check(pools_idle(pools, POOL_SMALL) <= before);
    }
    check(pools_idle(pools, POOL_SMALL) == 64);
    pools_free(&pools);
}

/* The second number of statm: resident pages. */
static long resident_kb(void)
{
    FILE *file = fopen("/proc/self/statm", "r");
    char line[256] = "", *second;

    if (!file || !fgets(line, sizeof(line), file))
        return 0;
    fclose(file);
    second = strchr(line, ' ');
    return second ? strtol(second, NULL, 10) * (sysconf(_SC_PAGESIZE) / 1024) : 0;
}

TEST(what_is_trimmed_is_the_systems_again)
{
    struct pools *pools = pools_new(&roomy);
    struct chunk *chunks[2000];
    long before;

    for (int i = 0; i < 2000; i++) {
        chunks[i] = chunk_take(pools, POOL_MEDIUM);
        check(chunks[i]);
        memset(chunks[i]->data, 1, chunks[i]->size);
    }
    before = resident_kb();
    for (int i = 0; i < 2000; i++)
        chunk_drop(chunks[i]);
    check(pools_ample(pools));
    while (pools_ample(pools))
        pools_trim(pools);
    check(before - resident_kb() > 25000); /* of 32,000 */
    pools_free(&pools);
}

TEST(chunks_in_use_between_two_trims_are_not_freed)
{
    struct pools *pools = pools_new(&roomy);
    struct chunk *chunks[500];

    for (int round = 0; round < 10; round++) {
        for (int i = 0; i < 500; i++) {
            chunks[i] = chunk_take(pools, POOL_SMALL);
            check(chunks[i]);
        }
        for (int i = 0; i < 500; i++)
            chunk_drop(chunks[i]);
        pools_trim(pools);
        check(pools_idle(pools, POOL_SMALL) == 500);
    }
    pools_free(&pools);
}

TEST(a_busy_pool_trims_itself)
{
    struct pools *pools = pools_new(&roomy);
    struct chunk *chunks[1000];

    for (int i = 0; i < 1000; i++) {
        chunks[i] = chunk_take(pools, POOL_SMALL);
        check(chunks[i]);
    }
    for (int i = 0; i < 1000; i++)
        chunk_drop(chunks[i]);
    for (int i = 0; i < 500000; i++) {
        chunks[0] = chunk_take(pools, POOL_SMALL);
        chunk_drop(chunks[0]);
    }
    check(pools_idle(pools, POOL_SMALL) <= 65);
    pools_free(&pools);
}

TEST(the_steady_path_allocates_nothing)
{
    struct pools *pools = pools_new(&roomy);
    struct piece *piece = piece_copy(pools, "x", 1);
    int64_t before;

    check(piece);
    piece_free(piece);
    mem_count(true);
    before = mem_live();
    for (int i = 0; i < 100; i++) {
        piece = piece_copy(pools, "x", 1);
        check(piece);
#ifndef POOL_GUARD
        check(mem_live() == before);
#endif
        piece_free(piece);
    }
    check(mem_live() == before);
    mem_count(false);
    pools_free(&pools);
}

#ifdef POOL_GUARD
TEST(a_kernel_write_into_a_retired_chunk_is_efault)
{
    struct pools *pools = pools_new(&roomy);
    struct chunk *chunk = chunk_take(pools, POOL_MEDIUM);
    uint8_t *data = chunk->data;
    int ends[2];

    check(pipe(ends) == 0 && write(ends[1], "x", 1) == 1);
    chunk_drop(chunk);
    check(read(ends[0], data, 1) == -1 && errno == EFAULT);
    chunk = chunk_take(pools, POOL_MEDIUM);
    check(chunk && chunk->data == data);
    check(read(ends[0], data, 1) == 1);
    chunk_drop(chunk);
    close(ends[0]);
    close(ends[1]);
    pools_free(&pools);
}
#endif

/* ---- queues ---- */

TEST(queue_append_fills_the_last_chunk_only_while_it_is_the_queues_alone)
{
    struct pools *pools = pools_new(&roomy);
    struct queue queue;
    struct piece *shared;

    queue_init(&queue);
    check(queue_append(&queue, pools, POOL_SMALL, "abc", 3) == 0);
    check(queue_append(&queue, pools, POOL_SMALL, "def", 3) == 0);
    check(queue.first == queue.last && queue.length == 6);
    check(memcmp(piece_data(queue.first), "abcdef", 6) == 0);
    shared = piece_share(queue.first);
    check(shared);
    check(queue_append(&queue, pools, POOL_SMALL, "ghi", 3) == 0);
    check(queue.first != queue.last && queue.length == 9);
    check(shared->length == 6);
    piece_free(shared);
    queue_clear(&queue);
    check(queue_empty(&queue) && queue.length == 0);
    pools_free(&pools);
}

TEST(queue_pack_fills_the_last_chunk_only_while_it_is_the_queues_alone)
{
    struct pools *pools = pools_new(&roomy);
    struct piece *shared, *piece;
    struct queue queue;

    queue_init(&queue);
    for (int i = 0; i < 5000; i++) {
        piece = piece_copy(pools, &"abcdefg"[i % 7], 1);
        check(piece);
        queue_pack(&queue, piece);
    }
    check(queue.length == 5000 && pools_busy(pools, POOL_SMALL) == 3);
    check(memcmp(piece_data(queue.last), &"abcdefg"[4096 % 7], 1) == 0);
    shared = piece_share(queue.last);
    piece = piece_copy(pools, "x", 1);
    check(shared && piece);
    queue_pack(&queue, piece);
    check(queue.last == piece && pools_busy(pools, POOL_SMALL) == 4);
    piece_free(shared);
    queue_clear(&queue);
    check(pools_busy(pools, POOL_SMALL) == 0);
    pools_free(&pools);
}

TEST(queue_append_adds_all_or_nothing)
{
    static const uint8_t bytes[5 * 2048];
    struct pools *pools = pools_new(&(struct pool_limits){
        {3, 0, 0}
    });
    struct queue queue;

    queue_init(&queue);
    check(queue_append(&queue, pools, POOL_SMALL, bytes, 100) == 0);
    check(queue_append(&queue, pools, POOL_SMALL, bytes, sizeof(bytes)) == -ENOMEM);
    check(queue.length == 100 && pools_busy(pools, POOL_SMALL) == 1);
    check(queue_append(&queue, pools, POOL_SMALL, bytes, 3 * 2048 - 100) == 0);
    check(queue.length == 6144 && pools_busy(pools, POOL_SMALL) == 3);
    check(queue_append(&queue, pools, POOL_SMALL, bytes, 1) == -ENOMEM);
    queue_clear(&queue);
    pools_free(&pools);
}

TEST(queue_take_all_keeps_the_order_and_empties_the_other)
{
    struct pools *pools = pools_new(&roomy);
    struct queue to, from;
    struct piece *piece;

    queue_init(&to);
    queue_init(&from);
    queue_take_all(&to, &from);
    check(queue_empty(&to));
    for (int i = 0; i < 4; i++) {
        piece = piece_copy(pools, &"abcd"[i], 1);
        check(piece);
        queue_push(i < 2 ? &to : &from, piece);
    }
    queue_take_all(&to, &from);
    check(queue_empty(&from) && from.length == 0 && !from.last && to.length == 4);
    for (int i = 0; i < 4; i++) {
        piece = queue_pop(&to);
        check(piece && !piece->next && memcmp(piece_data(piece), &"abcd"[i], 1) == 0);
        piece_free(piece);
    }
    check(!queue_pop(&to) && !to.last);
    pools_free(&pools);
}

/* ---- against a model: a queue is a byte string ---- */

#define MODEL_SIZE ((size_t)1 << 20)
static struct {
    uint8_t bytes[MODEL_SIZE];
    size_t start, end;
    uint32_t random;
} model;

static uint32_t model_random(uint32_t below)
{
    model.random = model.random * 1664525u + 1013904223u;
    return (uint32_t)((uint64_t)model.random * below >> 32);
}

static const uint8_t *model_append(uint32_t length)
{
    uint8_t *bytes = model.bytes + model.end;

    for (uint32_t i = 0; i < length; i++)
        bytes[i] = (uint8_t)model_random(256);
    model.end += length;
    return bytes;
}

static bool model_equals(const struct queue *queue)
{
    size_t at = model.start;

    for (const struct piece *piece = queue->first; piece; piece = piece->next) {
        if (memcmp(piece_data(piece), model.bytes + at, piece->length) != 0)
            return false;
        if (!piece->next && piece != queue->last)
            return false;
        at += piece->length;
    }
    return at == model.end && queue->length == model.end - model.start;
}

static bool model_step(struct queue *queue, struct pools *pools)
{
    static const uint32_t sizes[] = {2, 100, 3000, 16385};
    uint32_t length = model_random(sizes[model_random(4)]);
    struct piece *piece;
    const uint8_t *bytes;

    switch (model_random(5)) {
    case 0:
        if (length > queue->length)
            length = (uint32_t)queue->length;
        queue_skip(queue, length);
        model.start += length;
        return true;
    case 1:
        piece = piece_copy(pools, model_append(length), length);
        if (piece)
            queue_push(queue, piece);
        return piece;
    case 2:
        piece = queue_pop(queue);
        if (piece) {
            model.start += piece->length;
            piece_free(piece);
        }
        return true;
    case 3:
        piece = piece_copy(pools, model_append(length), length);
        if (piece)
            queue_pack(queue, piece);
        return piece;
    default:
        bytes = model_append(length);
        return queue_append(queue, pools, model_random(2), bytes, length) == 0;
    }
}

TEST(a_queue_is_the_bytes_put_in_less_the_bytes_taken_out)
{
    for (uint32_t seed = 1; seed <= 50; seed++) {
        struct pools *pools = pools_new(&roomy);
        struct queue queue;

        model.random = seed;
        model.start = model.end = 0;
        queue_init(&queue);
        while (model.end < MODEL_SIZE - 20000 && model.random != 0) {
            check(model_step(&queue, pools));
            check(model_equals(&queue));
        }
        queue_clear(&queue);
        for (int i = 0; i < POOL_COUNT; i++)
            check(pools_busy(pools, i) == 0);
        pools_free(&pools);
    }
}

static bool scenario_of_allocations(void)
{
    static const uint8_t bytes[40000];
    struct pools *pools = pools_new(&roomy);
    struct queue queue;
    struct piece *piece, *shared = NULL;
    bool good = true;

    queue_init(&queue);
    if (!pools)
        return false;
    good &= queue_append(&queue, pools, POOL_MEDIUM, bytes, sizeof(bytes)) == 0;
    piece = piece_copy(pools, bytes, 100);
    if (piece) {
        shared = piece_share(piece);
        queue_push(&queue, piece);
    }
    good &= piece && shared;
    if (shared)
        piece_free(shared);
    queue_clear(&queue);
    for (int i = 0; i < POOL_COUNT; i++)
        good &= pools_busy(pools, i) == 0;
    pools_free(&pools);
    return good;
}

TEST(any_single_failed_allocation_loses_no_chunk)
{
    for (uint64_t n = 1;; n++) {
        bool good, failed;

        mem_count(true);
        mem_fail_at(n);
        good = scenario_of_allocations();
        failed = mem_failed();
        mem_fail_at(0);
        check(mem_live() == 0);
        check(good != failed);
        mem_count(false);
        if (good)
            break;
    }
}
