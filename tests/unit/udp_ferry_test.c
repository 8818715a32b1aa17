/* Datagrams carried between two workers that turn in any order. */
#include "relay/udp_ferry.h"

#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "tests/unit/test.h"

/* ---- workers that are a mailbox and tasks ---- */

static struct counters counters;
static struct worker near, far;

void worker_post(struct worker *worker, struct mail *mail)
{
    mail->next = worker->mailbox;
    worker->mailbox = mail;
}

void worker_defer(struct worker *worker, struct task *task)
{
    if (list_empty(&task->link))
        list_append(&worker->tasks, &task->link);
}

static void worker_turns(struct worker *worker)
{
    struct mail *mail = worker->mailbox, *oldest = NULL, *next;
    struct list *link;

    worker->mailbox = NULL;
    for (; mail; mail = next) {
        next = mail->next;
        mail->next = oldest;
        oldest = mail;
    }
    for (; oldest; oldest = next) {
        next = oldest->next;
        oldest->run(oldest);
    }
    while ((link = list_pop(&worker->tasks)))
        container_of(link, struct task, link)->run(container_of(link, struct task, link));
}

/* ---- the two ends ---- */

static struct scene {
    struct datagram_end *user; /* the ferry */
    struct datagram_end service;
    bool refuses, open, user_closed;
    bool stopped; /* the service's end, whose closed() is to come */
    enum reason reason;
    uint32_t said[2], heard[2]; /* by the user and by the service; numbers of datagrams */
    bool disordered;
} scene;

static void hear(int who, const uint8_t *data, uint32_t length)
{
    uint32_t number;

    if (length < sizeof(number)) {
        scene.disordered = true;
        return;
    }
    memcpy(&number, data, sizeof(number));
    scene.disordered |= number != scene.heard[who]++;
}

static void service_send(struct datagram_end *end, const uint8_t *data, uint32_t length)
{
    hear(1, data, length);
}
static void service_stop(struct datagram_end *end, enum reason reason)
{
    scene.stopped = true;
}
static void service_free(struct datagram_end *end)
{
    scene.open = false;
}
static const struct datagram_ops service_ops = {service_send, service_stop, service_free};

static struct datagram_end *service_open(struct member *member, struct worker *worker,
                                         const struct datagram_request *request,
                                         enum reason *reason)
{
    must(worker == &far && !strcmp(request->service, "web"));
    *reason = REASON_NO_SERVICE;
    if (scene.refuses)
        return NULL;
    scene.service = (struct datagram_end){.ops = &service_ops};
    scene.open = true;
    return &scene.service;
}

static void user_received(struct datagram_end *end, const uint8_t *data, uint32_t length)
{
    hear(0, data, length);
}
static void user_closed(struct datagram_end *end, enum reason reason)
{
    scene.disordered |= scene.user_closed;
    scene.user_closed = true;
    scene.reason = reason;
    datagram_free(end);
}
static const struct datagram_events user_events = {user_received, user_closed};

static bool scene_open(bool refuses)
{
    const struct datagram_request request = {.service = "web"};

    scene = (struct scene){.refuses = refuses};
    near = far = (struct worker){.counters = &counters};
    counters = (struct counters){0};
    list_init(&near.tasks);
    list_init(&far.tasks);
    mem_count(true);
    scene.user = udp_ferry_new(&near, &far, NULL, &request, service_open);
    if (!scene.user)
        return false;
    scene.user->events = &user_events;
    return true;
}

static void say(int who, uint32_t length)
{
    uint8_t data[UINT16_MAX] = {0};

    memcpy(data, &scene.said[who], sizeof(uint32_t));
    if (who == 0 && !scene.user_closed)
        datagram_send(scene.user, data, length);
    else if (who == 1 && scene.open)
        scene.service.events->received(&scene.service, data, length);
    else
        return;
    scene.said[who]++;
}

static void service_closes(enum reason reason)
{
    if (scene.open)
        scene.service.events->closed(&scene.service, reason);
}

static bool scene_close(void)
{
    bool nothing;

    for (int i = 0; i < 8; i++) {
        worker_turns(&near);
        worker_turns(&far);
        if (scene.stopped)
            service_closes(REASON_DONE);
    }
    nothing = scene.user_closed && !scene.open && mem_live() == 0;
    mem_count(false);
    return nothing;
}

TEST(datagrams_of_every_size_arrive_in_order_both_ways)
{
    static const uint32_t sizes[] = {4, 5, 1200, 8190, 8191, 8192, 20000, 65507};

    check(scene_open(false));
    for (int turn = 0; turn < 3; turn++) {
        for (size_t i = 0; i < ARRAY_COUNT(sizes); i++) {
            say(0, sizes[i]);
            say(1, sizes[i]);
        }
        worker_turns(&near);
        worker_turns(&far);
        worker_turns(&near);
    }
    worker_turns(&far);
    check(scene.heard[0] == scene.said[1]);
    check(scene.heard[1] == scene.said[0] && scene.said[0] == 24 && scene.said[1] >= 16);
    check(!scene.disordered && !counter_read(&counters, COUNTER_LIMIT_HANDED));
    datagram_stop(scene.user, REASON_IDLE_TIMEOUT);
    check(scene_close() && scene.reason == REASON_IDLE_TIMEOUT);
}

TEST(datagrams_of_one_turn_are_one_message)
{
    uint32_t mails = 0;

    check(scene_open(false));
    worker_turns(&far);
    for (int i = 0; i < 6; i++)
        say(0, 1200);
    worker_turns(&near);
    for (struct mail *mail = far.mailbox; mail; mail = mail->next)
        mails++;
    check(mails == 1);
    datagram_stop(scene.user, REASON_IDLE_TIMEOUT);
    check(scene_close() && scene.heard[1] == 6);
}

TEST(what_is_on_its_way_is_bounded_and_the_rest_is_counted)
{
    uint64_t lost;

    check(scene_open(false));
    worker_turns(&far);
    for (int i = 0; i < 1000; i++)
        say(0, 1200);
    lost = counter_read(&counters, COUNTER_LIMIT_HANDED);
    check(lost > 700 && lost < 1000);
    worker_turns(&near);
    worker_turns(&far);
    check(scene.heard[1] == 1000 - lost);
    say(0, 1200); /* there is room again */
    check(counter_read(&counters, COUNTER_LIMIT_HANDED) == lost);
    datagram_stop(scene.user, REASON_IDLE_TIMEOUT);
    check(scene_close());
}

/* A message for each turn of the one worker, while the other does not turn at all. */
TEST(small_datagrams_for_a_worker_that_rests_cost_bounded_memory)
{
    enum { TURNS = 20000, MESSAGES_MAX = 600 };
    uint64_t lost;

    check(scene_open(false));
    worker_turns(&far);
    for (int i = 0; i < TURNS; i++) {
        say(0, 10);
        worker_turns(&near);
    }
    lost = counter_read(&counters, COUNTER_LIMIT_HANDED);
    check(mem_live() <= MESSAGES_MAX && lost < TURNS);
    worker_turns(&far);
    check(scene.heard[1] == TURNS - lost);
    datagram_stop(scene.user, REASON_IDLE_TIMEOUT);
    check(scene_close());
}

TEST(a_member_that_is_not_there_ends_the_session_with_its_reason)
{
    check(scene_open(true));
    say(0, 100);
    check(scene_close() && scene.reason == REASON_NO_SERVICE);
}

/* Whatever happens in whatever order, closed() comes once, and everything is freed. */
TEST(a_ferry_that_any_step_ends_leaves_nothing)
{
    for (unsigned seed = 1; seed <= 3000; seed++) {
        bool stopped = false;

        srand(seed);
        check(scene_open(rand() % 8 == 0));
        for (int step = 0; step < 40; step++) {
            switch (rand() % 9) {
            case 0:
            case 1:
                worker_turns(&near);
                break;
            case 2:
            case 3:
                worker_turns(&far);
                break;
            case 4:
            case 5:
                say(0, 4 + (uint32_t)rand() % 3000);
                break;
            case 6:
                say(1, 4 + (uint32_t)rand() % 3000);
                break;
            case 7:
                if (rand() % 8 == 0)
                    service_closes(REASON_TUNNEL_LOST);
                break;
            default:
                if (rand() % 8 == 0 && !scene.user_closed) {
                    stopped = true;
                    datagram_stop(scene.user, REASON_IDLE_TIMEOUT);
                }
            }
        }
        if (!stopped && !scene.user_closed)
            datagram_stop(scene.user, REASON_IDLE_TIMEOUT);
        check(scene_close() && !scene.disordered);
    }
}

TEST(any_single_failed_allocation_loses_a_datagram_or_the_session_and_nothing_else)
{
    for (uint64_t n = 1;; n++) {
        bool failed;

        mem_fail_at(n);
        if (scene_open(false)) {
            for (int i = 0; i < 3; i++) {
                say(0, 1000);
                worker_turns(&near);
                worker_turns(&far);
            }
            datagram_stop(scene.user, REASON_IDLE_TIMEOUT);
            check(scene_close());
        }
        failed = mem_failed();
        mem_fail_at(0);
        mem_count(false);
        if (!failed)
            break;
    }
}
