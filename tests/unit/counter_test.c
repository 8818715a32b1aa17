#include "core/counter.h"

#include <pthread.h>
#include <string.h>

#include "tests/unit/test.h"

TEST(every_counter_has_a_text_and_a_name_of_its_own)
{
    for (int i = 0; i < COUNTER_COUNT; i++) {
        const char *name = counter_name(i);

        check(*counter_text(i));
        check(*name && strspn(name, "abcdefghijklmnopqrstuvwxyz_") == strlen(name));
        for (int j = 0; j < i; j++)
            check(strcmp(counter_name(j), name) != 0);
    }
    check(strcmp(counter_name(COUNTER_LIMIT_MAX_STREAMS), "limit_max_streams") == 0);
}

TEST(no_name_was_cut)
{
#define LONGEST(name, text) check(strlen(counter_name(COUNTER_##name)) == strlen(#name));
    COUNTERS(LONGEST)
#undef LONGEST
}

TEST(a_cell_is_the_sum_of_what_was_added_to_it_alone)
{
    static struct counters counters;

    counter_add(&counters, COUNTER_BYTES_IN, 5);
    counter_add(&counters, COUNTER_BYTES_IN, UINT64_C(1) << 40);
    check(counter_read(&counters, COUNTER_BYTES_IN) == (UINT64_C(1) << 40) + 5);
    check(counter_read(&counters, COUNTER_BYTES_OUT) == 0);
}

static struct counters shared;

static void *add_many(void *unused)
{
    for (int i = 0; i < 1000000; i++)
        counter_add(&shared, COUNTER_ACCEPTED, 3);
    return NULL;
}

TEST(a_reader_on_another_thread_sees_whole_values_that_only_grow)
{
    uint64_t last = 0, now;
    pthread_t writer;

    check(pthread_create(&writer, NULL, add_many, NULL) == 0);
    do {
        now = counter_read(&shared, COUNTER_ACCEPTED);
        check(now >= last && now % 3 == 0);
        last = now;
    } while (now < 3000000);
    pthread_join(writer, NULL);
    check(counter_read(&shared, COUNTER_ACCEPTED) == 3000000);
}
