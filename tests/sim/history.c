#include <string.h>

#include "tests/sim/kernel.h"

static uint64_t mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

uint64_t history_key(uint64_t seed, uint32_t connection, bool up)
{
    return mix(seed ^ mix(connection * UINT64_C(2) + up + 1));
}

/* Eight bytes at a time: word n of a stream is mix(key + n). */
void history_fill(uint64_t key, uint64_t offset, uint8_t *to, size_t length)
{
    while (length) {
        uint64_t word = mix(key + offset / 8);
        size_t skip = offset % 8, take = 8 - skip < length ? 8 - skip : length;

        memcpy(to, (uint8_t *)&word + skip, take);
        to += take;
        offset += take;
        length -= take;
    }
}

enum { MAGIC = 0x71786d75 };

bool history_parse(const uint8_t bytes[HISTORY_HEAD], struct history_head *head)
{
    memcpy(head, bytes, sizeof(*head));
    return head->magic == MAGIC;
}

void history_bytes(const struct sim_user *user, bool up, uint64_t offset, uint8_t *to,
                   size_t length)
{
    const struct history_head head = {MAGIC, user->id, user->script.down};

    if (up && offset < HISTORY_HEAD) {
        size_t take = HISTORY_HEAD - offset < length ? HISTORY_HEAD - offset : length;

        memcpy(to, (const uint8_t *)&head + offset, take);
        offset += take;
        to += take;
        length -= take;
    }
    history_fill(history_key(user->sim->options.seed, user->id, up), offset, to, length);
}

bool history_check(const struct sim_user *user, bool up, uint64_t offset, const uint8_t *data,
                   size_t length)
{
    uint8_t expected[4096];

    while (length) {
        size_t take = length < sizeof(expected) ? length : sizeof(expected);

        history_bytes(user, up, offset, expected, take);
        if (memcmp(expected, data, take) != 0)
            return false;
        data += take;
        offset += take;
        length -= take;
    }
    return true;
}
