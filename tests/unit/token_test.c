#include "quic/token.h"

#include <string.h>

#include "quic/limit.h"
#include "tests/unit/test.h"

static const uint8_t secret[32] = {9};

struct scene {
    struct token_keys keys;
    struct addr peer;
    ngtcp2_cid given;
    struct token_retry retry;
    uint8_t token[TOKEN_MAX];
    int length;
};

static bool scene_open(struct scene *scene)
{
    *scene = (struct scene){0};
    if (token_keys_init(&scene->keys, secret) < 0 || addr_parse(&scene->peer, "192.0.2.7:4433") < 0)
        return false;
    ngtcp2_cid_init(&scene->given, (const uint8_t *)"0123456789abcdefg", 17);
    scene->retry = (struct token_retry){.peer = &scene->peer,
                                        .version = NGTCP2_PROTO_VER_V1,
                                        .given = &scene->given,
                                        .wall_ms = 1000000};
    ngtcp2_cid_init(&scene->retry.chosen, (const uint8_t *)"chosen by client!!", 18);
    scene->length = token_make_retry(&scene->keys, &scene->retry, scene->token);
    return scene->length > 0;
}

static bool scene_accepts(struct scene *scene)
{
    return token_check_retry(&scene->keys, &scene->retry, scene->token, (size_t)scene->length);
}

TEST(a_retry_token_gives_back_the_id_that_the_client_chose)
{
    struct scene scene;

    check(scene_open(&scene));
    memset(&scene.retry.chosen, 0, sizeof(scene.retry.chosen));
    check(scene_accepts(&scene));
    check(scene.retry.chosen.datalen == 18);
    check(!memcmp(scene.retry.chosen.data, "chosen by client!!", 18));
}

TEST(a_retry_token_is_for_one_address_and_ten_seconds)
{
    struct scene scene;

    check(scene_open(&scene));
    scene.retry.wall_ms += TOKEN_LIFE_MS - 1;
    check(scene_accepts(&scene));
    scene.retry.wall_ms += 2;
    check(!scene_accepts(&scene));
    scene.retry.wall_ms = 1000000;
    check(addr_parse(&scene.peer, "192.0.2.8:4433") == 0);
    check(!scene_accepts(&scene));
}

TEST(a_changed_or_empty_token_is_refused)
{
    struct scene scene;
    unsigned accepted = 0;

    check(scene_open(&scene));
    for (int i = 0; i < scene.length; i++) {
        scene.token[i] ^= 1;
        accepted += scene_accepts(&scene);
        scene.token[i] ^= 1;
    }
    check(accepted == 0);
    scene.length = 0;
    check(!scene_accepts(&scene));
}

TEST(reset_tokens_are_the_same_after_a_restart_and_differ_by_id)
{
    struct scene scene, again;
    uint8_t one[16], two[16];

    check(scene_open(&scene) && scene_open(&again));
    check(token_of_reset(&scene.keys, &scene.given, one) == 0);
    check(token_of_reset(&again.keys, &again.given, two) == 0);
    check(!memcmp(one, two, sizeof(one)));
    again.given.data[16] ^= 1;
    check(token_of_reset(&again.keys, &again.given, two) == 0);
    check(memcmp(one, two, sizeof(one)));
}

TEST(a_bucket_gives_its_burst_then_its_rate)
{
    struct bucket bucket = {0};
    uint64_t now_ns = 1000000000;
    unsigned given = 0;

    for (int i = 0; i < 100; i++)
        given += bucket_take(&bucket, 10, 20, now_ns);
    check(given == 20);
    for (int i = 0; i < 100; i++)
        given += bucket_take(&bucket, 10, 20, now_ns += 10000000);
    check(given == 30);
}
