#include "relay/health_words.h"

#include <string.h>

#include "tests/unit/test.h"

static enum health_verdict http(const char *answer)
{
    return health_judge_http((const uint8_t *)answer, strlen(answer));
}

TEST(a_get_names_path_and_host_and_asks_for_one_answer)
{
    char words[HEALTH_WORDS_MAX];
    size_t length = health_get("web.example:80", "/ready", words);

    check(length == strlen(words));
    check(strcmp(words, "GET /ready HTTP/1.0\r\nHost: web.example:80\r\n"
                        "User-Agent: qmux-uring\r\nConnection: close\r\n\r\n") == 0);
}

TEST(a_get_that_does_not_fit_is_not_cut)
{
    char path[HEALTH_WORDS_MAX], words[HEALTH_WORDS_MAX];

    memset(path, 'a', sizeof(path));
    path[0] = '/';
    path[sizeof(path) - 1] = 0;
    check(health_get("host", path, words) == 0);
}

TEST(statuses_from_200_to_399_are_good)
{
    check(http("HTTP/1.1 200 OK\r\n") == HEALTH_GOOD);
    check(http("HTTP/1.0 204") == HEALTH_GOOD);
    check(http("HTTP/1.1 399") == HEALTH_GOOD);
    check(http("HTTP/1.1 400") == HEALTH_BAD);
    check(http("HTTP/1.1 199") == HEALTH_BAD);
    check(http("HTTP/1.1 503") == HEALTH_BAD);
}

TEST(an_answer_is_awaited_as_long_as_it_may_become_a_good_one)
{
    static const char good[] = "HTTP/1.1 200";

    for (size_t length = 0; length < sizeof(good) - 1; length++)
        check(health_judge_http((const uint8_t *)good, length) == HEALTH_UNDECIDED);
    check(http("HTTX") == HEALTH_BAD);
    check(http("SSH-2.0-OpenSSH") == HEALTH_BAD);
    check(http("HTTP/1.1_200") == HEALTH_BAD);
    check(http("HTTP/1.1 2x0") == HEALTH_BAD);
    check(http("HTTP/1.x 200") == HEALTH_BAD);
}

/* Each length field says exactly what is behind it. */
static bool lengths_agree(const uint8_t *hello, size_t length)
{
    size_t record = (size_t)hello[3] << 8 | hello[4];
    size_t message = (size_t)hello[6] << 16 | (size_t)hello[7] << 8 | hello[8];
    size_t at = 9 + 2 + HEALTH_RANDOM + 1, ciphers = (size_t)hello[at] << 8 | hello[at + 1];
    size_t extensions;

    at += 2 + ciphers + 2;
    extensions = (size_t)hello[at] << 8 | hello[at + 1];
    at += 2;
    if (record + 5 != length || message + 9 != length || at + extensions != length)
        return false;
    while (at < length)
        at += 4 + ((size_t)hello[at + 2] << 8 | hello[at + 3]);
    return at == length;
}

TEST(a_hello_is_well_formed_with_and_without_a_name)
{
    uint8_t random[HEALTH_RANDOM] = {1, 2, 3}, hello[HEALTH_WORDS_MAX];
    char name[256];
    size_t length = health_hello("", random, hello), longer;

    check(length && hello[0] == 22 && hello[5] == 1 && lengths_agree(hello, length));
    check(memcmp(hello + 11, random, sizeof(random)) == 0);
    memset(name, 'n', sizeof(name));
    name[255] = 0;
    longer = health_hello(name, random, hello);
    check(longer == length + 9 + 255 && lengths_agree(hello, longer));
    check(memmem(hello, longer, name, 255) != NULL);
}

TEST(a_handshake_is_good_and_an_alert_is_not)
{
    check(health_judge_tls((const uint8_t *)"\x16\x03\x03\x00\x7a", 5) == HEALTH_GOOD);
    check(health_judge_tls((const uint8_t *)"\x16\x03", 2) == HEALTH_UNDECIDED);
    check(health_judge_tls((const uint8_t *)"", 0) == HEALTH_UNDECIDED);
    check(health_judge_tls((const uint8_t *)"\x15\x03\x03\x00\x02", 5) == HEALTH_BAD);
    check(health_judge_tls((const uint8_t *)"220 hello", 9) == HEALTH_BAD);
    check(health_judge_tls((const uint8_t *)"\x16\x02\x00\x00\x01", 5) == HEALTH_BAD);
}
