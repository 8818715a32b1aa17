/* UDP sessions counted by several threads at once. */
#include "relay/udp_source.h"

#include <pthread.h>
#include <stdlib.h>

#include "core/mem.h"
#include "tests/unit/test.h"

enum { THREADS = 4, TURNS = 20000, HELD_MAX = 64, SESSIONS_MAX = 50, PER_SOURCE = 10, HOSTS = 8 };

static struct udp_sources *sources;
static struct counters counters[THREADS];
static _Atomic int32_t open_by_host[HOSTS], open_in_all;
static _Atomic uint32_t wrong;

static void host_addr(struct addr *addr, unsigned host, uint16_t port)
{
    char text[32];

    snprintf(text, sizeof(text), "192.0.2.%u", host + 1);
    must(addr_from_host(addr, text, port) == 0);
}

static struct udp_source *take(unsigned thread, unsigned host, uint16_t port)
{
    const struct udp_limits limits = {SESSIONS_MAX, PER_SOURCE};
    struct udp_source *source;
    enum reason reason;
    struct addr addr;

    host_addr(&addr, host, port);
    source = udp_source_take(sources, &addr, &limits, &counters[thread], &reason);
    if (!source && reason != REASON_LIMIT)
        wrong++;
    return source;
}

/* What is counted here is counted after it was taken and before it is given back, so it is never
 * more than what the sources count. */
static void *take_and_give(void *argument)
{
    unsigned thread = (unsigned)(uintptr_t)argument, seed = thread, held = 0;
    struct udp_source *own[HELD_MAX];
    unsigned hosts[HELD_MAX];

    for (uint32_t turn = 0; turn < TURNS || held; turn++) {
        if (turn < TURNS && held < HELD_MAX && rand_r(&seed) % 2) {
            hosts[held] = (unsigned)rand_r(&seed) % HOSTS;
            own[held] = take(thread, hosts[held], (uint16_t)turn);
            if (!own[held])
                continue;
            if (++open_by_host[hosts[held]] > PER_SOURCE || ++open_in_all > SESSIONS_MAX)
                wrong++;
            held++;
        } else if (held) {
            held--;
            open_by_host[hosts[held]]--;
            open_in_all--;
            udp_source_give(sources, own[held]);
        }
    }
    return NULL;
}

TEST(threads_that_begin_and_end_sessions_at_once_never_pass_a_limit)
{
    pthread_t threads[THREADS];
    uint64_t limited = 0;

    sources = udp_sources_new(7);
    check(sources);
    for (uintptr_t i = 0; i < THREADS; i++)
        check(pthread_create(&threads[i], NULL, take_and_give, (void *)i) == 0);
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        limited += counter_read(&counters[i], COUNTER_LIMIT_UDP_SESSIONS) +
                   counter_read(&counters[i], COUNTER_LIMIT_SESSIONS_PER_SOURCE);
    }
    check(!wrong && limited && !open_in_all);
    udp_sources_free(&sources);
}

TEST(a_limit_is_reached_exactly_and_what_is_given_back_is_there_again)
{
    struct udp_source *own[SESSIONS_MAX];
    unsigned count = 0;

    sources = udp_sources_new(7);
    check(sources);
    for (; count < PER_SOURCE; count++) {
        own[count] = take(0, 0, (uint16_t)count);
        check(own[count]);
    }
    check(!take(0, 0, 9999));
    for (; count < SESSIONS_MAX; count++) {
        own[count] = take(0, 1 + count % (HOSTS - 1), (uint16_t)count);
        check(own[count]);
    }
    check(!take(0, HOSTS - 1, 9999));
    udp_source_give(sources, own[--count]);
    own[count] = take(0, HOSTS - 1, 9999);
    check(own[count++]);
    while (count)
        udp_source_give(sources, own[--count]);
    udp_sources_free(&sources);
}

TEST(sources_of_one_64_are_one)
{
    const struct udp_limits limits = {10, 1};
    struct udp_source *source;
    enum reason reason;
    struct addr one, near, far;

    sources = udp_sources_new(7);
    check(sources && addr_from_host(&one, "2001:db8::1", 1) == 0);
    check(addr_from_host(&near, "2001:db8::ffff:1", 2) == 0);
    check(addr_from_host(&far, "2001:db8:0:1::1", 1) == 0);
    source = udp_source_take(sources, &one, &limits, &counters[0], &reason);
    check(source && !udp_source_take(sources, &near, &limits, &counters[0], &reason));
    udp_source_give(sources, source);
    source = udp_source_take(sources, &far, &limits, &counters[0], &reason);
    check(source);
    udp_source_give(sources, source);
    udp_sources_free(&sources);
}
