#include "core/mem.h"

#include <string.h>

#include "tests/unit/test.h"

TEST(new_memory_is_zeroed_and_aligned_memory_is_aligned)
{
    static const uint8_t zeros[100];
    void *memory = mem_new(100), *aligned = mem_aligned(4096, 8192);

    check(memory && memcmp(memory, zeros, 100) == 0);
    check(aligned && (uintptr_t)aligned % 4096 == 0);
    mem_free(memory);
    mem_free(aligned);
    mem_free(NULL);
}

TEST(resized_memory_keeps_its_bytes_also_when_it_cannot_grow)
{
    char *text = mem_text("hello"), *more = mem_resize(text, 100);

    check(more && strcmp(more, "hello") == 0);
    mem_fail_at(1);
    check(!mem_resize(more, 200) && mem_failed());
    mem_fail_at(0);
    check(strcmp(more, "hello") == 0);
    mem_free(more);
}

TEST(only_the_nth_allocation_fails_whatever_its_kind)
{
    for (uint64_t n = 1; n <= 5; n++) {
        void *blocks[5];

        mem_fail_at(n);
        blocks[0] = mem_new(1);
        blocks[1] = mem_raw(1);
        blocks[2] = mem_aligned(64, 64);
        blocks[3] = mem_resize(NULL, 1);
        blocks[4] = mem_text("x");
        check(mem_failed());
        mem_fail_at(0);
        for (uint64_t i = 0; i < 5; i++) {
            check(!blocks[i] == (i + 1 == n));
            mem_free(blocks[i]);
        }
    }
}

TEST(a_failure_that_was_not_met_is_not_reported)
{
    mem_fail_at(2);
    mem_free(mem_new(1));
    check(!mem_failed());
    mem_fail_at(0);
    check(!mem_failed());
}

TEST(live_blocks_are_those_not_freed)
{
    void *a, *b;

    mem_count(true);
    a = mem_new(1);
    b = mem_raw(1);
    check(a && b && mem_live() == 2);
    b = mem_resize(b, 1000);
    check(b && mem_live() == 2);
    mem_fail_at(1);
    check(!mem_new(1) && mem_live() == 2);
    check(mem_failed());
    mem_fail_at(1);
    check(!mem_resize(b, 2000) && mem_live() == 2);
    mem_fail_at(0);
    mem_free(NULL);
    mem_free(a);
    mem_free(b);
    check(mem_live() == 0);
    mem_count(false);
}

TEST(a_tide_turns_once_when_it_has_ebbed_to_an_eighth)
{
    struct mem_tide tide = {0};

    for (uint32_t count = 1; count <= 4000; count++)
        check(!mem_tide_turns(&tide, count));
    check(!mem_tide_turns(&tide, 501));
    check(mem_tide_turns(&tide, 500));
    check(!mem_tide_turns(&tide, 1)); /* too low a tide to trouble the allocator */
}
