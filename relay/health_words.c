#include "relay/health_words.h"

#include <stdio.h>
#include <string.h>

#include "relay/wire_bytes.h"

/* ---- HTTP ---- */

/* HTTP/1.0: the server closes behind its answer, and sends it in one piece. */
size_t health_get(const char *host, const char *path, char to[HEALTH_WORDS_MAX])
{
    int length = snprintf(to, HEALTH_WORDS_MAX,
                          "GET %s HTTP/1.0\r\nHost: %s\r\nUser-Agent: qmux-uring\r\n"
                          "Connection: close\r\n\r\n",
                          path, host);

    return length < HEALTH_WORDS_MAX ? (size_t)length : 0;
}

static bool is_digit(uint8_t byte)
{
    return byte >= '0' && byte <= '9';
}

enum health_verdict health_judge_http(const uint8_t *answer, size_t length)
{
    static const char start[] = "HTTP/1.", shape[] = "HTTP/1.x nnn";
    size_t known = length < sizeof(start) - 1 ? length : sizeof(start) - 1;

    if (memcmp(answer, start, known) != 0)
        return HEALTH_BAD;
    if (length < sizeof(shape) - 1)
        return HEALTH_UNDECIDED;
    if (!is_digit(answer[7]) || answer[8] != ' ' || !is_digit(answer[10]) || !is_digit(answer[11]))
        return HEALTH_BAD;
    return answer[9] == '2' || answer[9] == '3' ? HEALTH_GOOD : HEALTH_BAD;
}

/* ---- TLS ---- */

enum {
    TLS_HANDSHAKE = 22,
    TLS_CLIENT_HELLO = 1,
    TLS_MAJOR = 3,
    TLS_RECORD_HEADER = 5,
};

/* Filled in when what it counts is there. */
struct length_field {
    uint8_t *at;
    unsigned width;
};

static struct length_field length_begin(struct byte_writer *writer, unsigned width)
{
    bytes_put_number(writer, 0, width);
    return (struct length_field){writer->at - width, width};
}

static void length_end(struct byte_writer *writer, struct length_field field)
{
    size_t length = (size_t)(writer->at - field.at) - field.width;

    for (unsigned i = 0; i < field.width && !writer->full; i++)
        field.at[i] = (uint8_t)(length >> 8 * (field.width - 1 - i));
}

static void put_server_name(struct byte_writer *writer, const char *host)
{
    struct length_field extension, list, name;

    bytes_put_number(writer, 0, 2);
    extension = length_begin(writer, 2);
    list = length_begin(writer, 2);
    bytes_put_number(writer, 0, 1); /* a host name */
    name = length_begin(writer, 2);
    bytes_put(writer, host, strlen(host));
    length_end(writer, name);
    length_end(writer, list);
    length_end(writer, extension);
}

static void put_extensions(struct byte_writer *writer, const char *host)
{
    /* supported_versions 1.3 1.2; groups x25519 P-256 P-384 P-521; no key shares, so that 1.3 asks
     * again; signature algorithms of RSA, ECDSA and Ed25519. */
    static const uint8_t constant[] = {
        0, 43, 0, 5,  4, 3,  4, 3,  3,                   /* versions */
        0, 10, 0, 10, 0, 8,  0, 29, 0, 23, 0, 24, 0, 25, /* groups */
        0, 51, 0, 2,  0, 0,                              /* key shares */
        0, 13, 0, 24, 0, 22, 4, 3,  8, 4,  4, 1,  5, 3,
        8, 5,  5, 1,  8, 6,  8, 7,  6, 3,  6, 1,  2, 1, /* signatures */
        0, 11, 0, 2,  1, 0,                             /* point formats */
    };
    struct length_field all = length_begin(writer, 2);

    if (*host)
        put_server_name(writer, host);
    bytes_put(writer, constant, sizeof(constant));
    length_end(writer, all);
}

size_t health_hello(const char *host, const uint8_t random[HEALTH_RANDOM],
                    uint8_t to[HEALTH_WORDS_MAX])
{
    /* Of 1.3, then of 1.2 with forward secrecy, then those that old servers have. */
    static const uint8_t ciphers[] = {0x13, 1,    0x13, 2,    0x13, 3,    0xc0, 0x2b, 0xc0,
                                      0x2f, 0xc0, 0x2c, 0xc0, 0x30, 0xcc, 0xa9, 0xcc, 0xa8,
                                      0xc0, 0x09, 0xc0, 0x0a, 0xc0, 0x13, 0xc0, 0x14, 0,
                                      0x9c, 0,    0x9d, 0,    0x2f, 0,    0x35};
    struct byte_writer writer = byte_writer(to, HEALTH_WORDS_MAX);
    struct length_field record, message;

    bytes_put_number(&writer, TLS_HANDSHAKE, 1);
    bytes_put_number(&writer, TLS_MAJOR << 8 | 1, 2);
    record = length_begin(&writer, 2);
    bytes_put_number(&writer, TLS_CLIENT_HELLO, 1);
    message = length_begin(&writer, 3);
    bytes_put_number(&writer, TLS_MAJOR << 8 | 3, 2);
    bytes_put(&writer, random, HEALTH_RANDOM);
    bytes_put_number(&writer, 0, 1); /* no session */
    bytes_put_number(&writer, sizeof(ciphers), 2);
    bytes_put(&writer, ciphers, sizeof(ciphers));
    bytes_put_number(&writer, 1 << 8, 2); /* one compression: none */
    put_extensions(&writer, host);
    length_end(&writer, message);
    length_end(&writer, record);
    return writer.full ? 0 : (size_t)(writer.at - to);
}

enum health_verdict health_judge_tls(const uint8_t *answer, size_t length)
{
    if (length && answer[0] != TLS_HANDSHAKE)
        return HEALTH_BAD;
    if (length < TLS_RECORD_HEADER)
        return HEALTH_UNDECIDED;
    return answer[1] == TLS_MAJOR ? HEALTH_GOOD : HEALTH_BAD;
}
