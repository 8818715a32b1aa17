#include "relay/health.h"

#include "core/mem.h"
#include "tests/unit/real_worker.h"

/* A service that the test plays by hand, and what was told of it. */
struct scene {
    struct real_worker real;
    int listening;
    struct addr addr;
    struct health_check *check;
    int told;
    enum reason reason;
};

static void scene_told(void *context, enum reason reason)
{
    struct scene *scene = context;

    scene->told++;
    scene->reason = reason;
    scene->check = NULL;
}

static void scene_open(struct scene *scene)
{
    *scene = (struct scene){0};
    must(real_worker_open(&scene->real, NULL));
    scene->listening = loopback_listen(&scene->addr);
}

static void scene_close(struct scene *scene)
{
    worker_release(&scene->real.worker);
    close(scene->listening);
}

static void scene_ask(struct scene *scene, enum health_kind kind, uint64_t timeout_ns)
{
    const struct health_question question = {.kind = kind,
                                             .addr = scene->addr,
                                             .host = "localhost",
                                             .path = "/health",
                                             .timeout_ns = timeout_ns,
                                             .told = scene_told,
                                             .context = scene};

    scene->told = 0;
    scene->check = health_ask(&scene->real.worker, &question);
    must(!scene->told); /* never from inside */
}

static int scene_accept(struct scene *scene)
{
    int theirs = -1;
    struct timeval patience = {.tv_sec = 5};

    turn_some(&scene->real);
    must(setsockopt(scene->listening, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) == 0);
    theirs = accept(scene->listening, NULL, NULL);
    must(theirs >= 0);
    return theirs;
}

TEST(silence_is_not_an_answer)
{
    struct scene scene;
    int theirs;

    scene_open(&scene);
    scene_ask(&scene, HEALTH_HTTP, 50000000);
    theirs = scene_accept(&scene);
    check(turn_until(&scene.real, scene.told));
    check(scene.told == 1 && scene.reason == REASON_HEALTH_SILENCE);
    close(theirs);
    scene_close(&scene);
}

TEST(an_end_before_the_status_is_no_good_answer)
{
    struct scene scene;
    char question[512];
    int theirs;

    scene_open(&scene);
    scene_ask(&scene, HEALTH_HTTP, 5000000000);
    theirs = scene_accept(&scene);
    check(recv(theirs, question, sizeof(question), 0) > 0);
    check(write(theirs, "HTTP/1.1 ", 9) == 9);
    close(theirs);
    check(turn_until(&scene.real, scene.told));
    check(scene.told == 1 && scene.reason == REASON_HEALTH_ANSWER);
    scene_close(&scene);
}

TEST(a_check_that_is_given_up_says_so_whatever_it_was_doing)
{
    static const enum health_kind kinds[] = {HEALTH_TCP, HEALTH_TLS, HEALTH_HTTP, HEALTH_UDP};
    struct scene scene;

    scene_open(&scene);
    for (size_t i = 0; i < ARRAY_COUNT(kinds); i++) {
        scene_ask(&scene, kinds[i], 5000000000);
        health_give_up(scene.check);
        check(!scene.told && turn_until(&scene.real, scene.told));
        check(scene.told == 1 && scene.reason == REASON_ABANDONED);
    }
    scene_close(&scene);
}

TEST(a_check_is_given_up_while_the_server_thinks)
{
    struct scene scene;
    int theirs;

    scene_open(&scene);
    scene_ask(&scene, HEALTH_HTTP, 5000000000);
    theirs = scene_accept(&scene);
    turn_some(&scene.real);
    health_give_up(scene.check);
    check(turn_until(&scene.real, scene.told) && scene.reason == REASON_ABANDONED);
    close(theirs);
    scene_close(&scene);
}

TEST(any_failed_allocation_is_told_as_our_own_fault)
{
    static const enum health_kind kinds[] = {HEALTH_TCP, HEALTH_TLS, HEALTH_HTTP, HEALTH_UDP};

    for (size_t i = 0; i < ARRAY_COUNT(kinds); i++) {
        bool met = true;

        for (uint64_t n = 1; met; n++) {
            struct scene scene;

            scene_open(&scene);
            mem_fail_at(n);
            scene_ask(&scene, kinds[i], 30000000);
            if (scene.check)
                check(turn_until(&scene.real, scene.told) && scene.told == 1);
            met = mem_failed();
            mem_fail_at(0);
            check(!met || !scene.told || reason_is_ours(scene.reason) ||
                  scene.reason == REASON_HEALTH_SILENCE || scene.reason == REASON_DONE);
            scene_close(&scene);
        }
    }
}
