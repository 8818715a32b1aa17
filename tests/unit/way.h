/* tests/unit/way.h - bytes on their way from one socket to another: each is a function of its
 * place, so that what is lost, changed or out of order shows.  Owner: the test. */
#ifndef TESTS_UNIT_WAY_H
#define TESTS_UNIT_WAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

struct way {
    int from, to;
    uint64_t size, sent, got;
    bool wrong, ended;
};

static inline uint8_t way_byte(uint64_t place)
{
    return (uint8_t)((place * 2654435761u) >> 13);
}

/* As much as the socket takes of what is left, `most` bytes at most. */
static inline void way_send(struct way *way, size_t most)
{
    static uint8_t bytes[256 << 10];
    size_t length = way->size - way->sent < most ? way->size - way->sent : most;
    ssize_t put;

    length = length < sizeof(bytes) ? length : sizeof(bytes);
    for (size_t i = 0; i < length; i++)
        bytes[i] = way_byte(way->sent + i);
    put = length ? send(way->from, bytes, length, MSG_DONTWAIT | MSG_NOSIGNAL) : 0;
    way->sent += put > 0 ? (uint64_t)put : 0;
}

static inline void way_receive(struct way *way)
{
    static uint8_t bytes[256 << 10];
    ssize_t got = recv(way->to, bytes, sizeof(bytes), MSG_DONTWAIT);

    way->ended |= got == 0;
    for (ssize_t i = 0; i < got; i++)
        way->wrong |= bytes[i] != way_byte(way->got + (uint64_t)i);
    way->got += got > 0 ? (uint64_t)got : 0;
}

#endif
