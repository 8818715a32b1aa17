#include "quic/message.h"

#include <errno.h>
#include <string.h>

#include "core/mem.h"
#include "tests/unit/test.h"

struct log {
    unsigned count, stop_at;
    size_t lengths[8];
    uint8_t last[64];
};

static int came(void *context, const uint8_t *data, size_t length)
{
    struct log *log = context;

    log->lengths[log->count++ % 8] = length;
    memcpy(log->last, data, length < 64 ? length : 64);
    return log->count == log->stop_at ? -EIO : 0;
}

static const uint8_t three[] = {1, 0, 0, 2, 'a', 'b', 2,   0,   0,  0,
                                3, 0, 0, 5, 'v', 'w', 'x', 'y', 'z'};

TEST(messages_come_whole_however_they_are_cut)
{
    for (size_t first = 0; first <= sizeof(three); first++)
        for (size_t second = first; second <= sizeof(three); second++) {
            struct message message = {0};
            struct log log = {0};

            check(message_feed(&message, three, first, came, &log) == 0);
            check(message_feed(&message, three + first, second - first, came, &log) == 0);
            check(message_feed(&message, three + second, sizeof(three) - second, came, &log) == 0);
            check(log.count == 3 && log.lengths[0] == 6 && log.lengths[1] == 4);
            check(log.lengths[2] == 9 && memcmp(log.last, three + 10, 9) == 0);
            message_release(&message);
        }
}

TEST(a_message_longer_than_the_limit_is_refused_before_it_takes_memory)
{
    static const uint8_t longest[] = {1, 0, 0xff, 0xfc}, longer[] = {1, 0, 0xff, 0xfd, 0};
    struct message message = {0};
    struct log log = {0};

    check(message_feed(&message, longest, sizeof(longest), came, &log) == 0);
    message_release(&message);
    check(message_feed(&message, longer, sizeof(longer), came, &log) == -EMSGSIZE);
    check(message.size <= 1024 && log.count == 0);
    message_release(&message);
}

TEST(what_the_receiver_returns_ends_the_feeding)
{
    struct message message = {0};
    struct log log = {.stop_at = 2};

    check(message_feed(&message, three, sizeof(three), came, &log) == -EIO && log.count == 2);
    message_release(&message);
}

TEST(want_of_memory_is_told)
{
    struct message message = {0};
    struct log log = {0};

    mem_fail_at(1);
    check(message_feed(&message, three, 3, came, &log) == -ENOMEM);
    mem_fail_at(0);
    message_release(&message);
}
