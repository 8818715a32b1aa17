/* Tunnel clients as members: registration, silence, replay, replacement, over a QUIC in memory and
 * with a clock of the test's own. */
#include <errno.h>

#include "core/mem.h"
#include "tests/unit/fake_quic.h"
#include "tests/unit/member_scene.h"

TEST(a_client_without_a_version_in_common_is_refused_in_words)
{
    struct raw_client raw;

    check(scene_open(REPLAY_UNSEEN));
    raw_register(&raw, 1, 9);
    check(raw.heard.type == WIRE_REFUSED && raw.heard.refused.code == WIRE_CODE_VERSION);
    check(strstr(raw.heard.refused.text, "9 to 9"));
    check(members() == 0 && raw.quic);
    hand_worker_pass(&scene.hand, 1100);
    check(!raw.quic);
    check(scene_close());
}

TEST(more_clients_than_max_clients_are_refused_and_counted)
{
    struct raw_client raw[3];

    check(scene_open(REPLAY_UNSEEN));
    for (uint8_t i = 0; i < 3; i++)
        raw_register(&raw[i], i, 1);
    check(members() == 2 && raw[2].heard.refused.code == WIRE_CODE_MAX_CLIENTS);
    check(counter_read(&scene.hand.counters, COUNTER_LIMIT_MAX_CLIENTS) == 1);
    check(scene_close());
}

TEST(an_instance_has_eight_connections_at_most)
{
    struct raw_client raw[9];

    check(scene_open(REPLAY_UNSEEN));
    for (uint8_t slot = 0; slot < 9; slot++)
        raw_register_slot(&raw[slot], 1, 1, slot);
    check(members() == 1 && raw[7].heard.type == WIRE_REGISTERED);
    check(raw[8].heard.type == WIRE_REFUSED && raw[8].heard.refused.code == WIRE_CODE_LIMIT);
    hand_worker_pass(&scene.hand, 1100);
    check(raw[7].quic && !raw[8].quic);
    check(scene_close());
}

TEST(a_client_that_never_registers_is_closed)
{
    struct raw_client raw;

    check(scene_open(REPLAY_UNSEEN));
    raw_dial(&raw);
    check(raw.quic);
    hand_worker_pass(&scene.hand, 5100);
    check(!raw.quic && raw.closing.code == WIRE_CODE_REGISTER_TIMEOUT);
    check(scene_close());
}

TEST(a_new_connection_of_an_instance_replaces_the_old_one_and_stays_one_member)
{
    struct raw_client old, new;

    check(scene_open(REPLAY_UNSEEN));
    raw_register(&old, 1, 1);
    raw_register(&new, 1, 1);
    check(!old.quic && old.closing.code == WIRE_CODE_REPLACED);
    check(new.quic &&members() == 1);
    check(scene_close());
}

TEST(early_bytes_are_drained_without_the_header_and_an_answer_confirms)
{
    struct raw_client raw;
    struct user user;

    check(scene_open(REPLAY_UNSEEN));
    raw_register(&raw, 1, 1);
    user_open(&user);
    check(raw.opened && raw.opened_bytes > 5 && user.drained == 5);
    raw_answer(&raw, "\x01");
    check(!user.confirmed);
    raw_answer(&raw, "\x02hi");
    check(user.confirmed == 1 && !user.failed);
    check(scene_close());
}

TEST(an_explicit_refusal_may_be_replayed_under_either_option)
{
    for (int replay = REPLAY_UNSEEN; replay <= REPLAY_REFUSED; replay++) {
        struct raw_client raw;
        struct user user;

        check(scene_open((enum tunnel_replay)replay));
        raw_register(&raw, 1, 1);
        user_open(&user);
        raw_answer(&raw, "\x01\x10");
        check(user.failed == 1 && user.reason == REASON_REFUSED && user.may_replay);
        check(scene_close());
    }
}

TEST(a_silent_client_is_suspect_after_open_timeout_and_dead_two_seconds_later)
{
    struct raw_client raw;
    struct user user;

    check(scene_open(REPLAY_UNSEEN));
    raw_register(&raw, 1, 1);
    fake_quic_cut(raw.quic, true);
    user_open(&user);
    hand_worker_pass(&scene.hand, 290);
    check(!user.failed && member_at(0)->state == MEMBER_FIT);
    hand_worker_pass(&scene.hand, 30);
    check(user.failed == 1 && user.reason == REASON_OPEN_TIMEOUT && user.may_replay);
    check(member_at(0)->state == MEMBER_SUSPECT);
    hand_worker_pass(&scene.hand, 1900);
    check(members() == 1);
    hand_worker_pass(&scene.hand, 200);
    check(members() == 0);
    fake_quic_cut(raw.quic, false);
    quic_close(raw.quic, REASON_DONE, 0, "");
    hand_worker_turn(&scene.hand);
    check(scene_close());
}

TEST(silence_is_not_replayed_where_only_refusals_are)
{
    struct raw_client raw;
    struct user user;

    check(scene_open(REPLAY_REFUSED));
    raw_register(&raw, 1, 1);
    fake_quic_cut(raw.quic, true);
    user_open(&user);
    hand_worker_pass(&scene.hand, 320);
    check(user.failed == 1 && !user.may_replay);
    fake_quic_cut(raw.quic, false);
    hand_worker_pass(&scene.hand, 10);
    quic_ping(raw.quic);
    hand_worker_pass(&scene.hand, 100);
    check(member_at(0)->state == MEMBER_FIT);
    check(scene_close());
}

TEST(an_acknowledged_open_waits_on_and_is_never_replayed)
{
    struct raw_client raw;
    struct user user;

    check(scene_open(REPLAY_UNSEEN));
    raw_register(&raw, 1, 1);
    user_open(&user);
    hand_worker_pass(&scene.hand, 5000);
    check(!user.failed && member_at(0)->state == MEMBER_FIT);
    quic_close(raw.quic, REASON_DONE, 0, "");
    hand_worker_turn(&scene.hand);
    check(user.failed == 1 && user.reason == REASON_TUNNEL_LOST && !user.may_replay);
    check(scene_close());
}

TEST(a_client_that_drains_leaves_the_pool_and_keeps_its_connection)
{
    struct wire_message drain = {.type = WIRE_DRAIN};
    struct raw_client raw;
    uint8_t data[16];

    check(scene_open(REPLAY_UNSEEN));
    raw_register(&raw, 1, 1);
    raw_write(raw.control, data, wire_encode(&drain, data, sizeof(data)));
    check(members() == 0 && raw.quic);
    check(scene_close());
}

TEST(opens_above_max_streams_fail_with_a_limit_and_are_counted)
{
    struct raw_client raw;
    struct user users[4];

    check(scene_open(REPLAY_UNSEEN));
    raw_register(&raw, 1, 1);
    for (int i = 0; i < 4; i++)
        user_open(&users[i]);
    check(!users[2].failed && users[3].failed && users[3].reason == REASON_LIMIT);
    check(counter_read(&scene.hand.counters, COUNTER_LIMIT_MAX_STREAMS) == 1);
    check(scene_close());
}

TEST(an_open_survives_the_failure_of_any_one_allocation)
{
    bool met = true;

    for (uint64_t n = 1; met; n++) {
        struct raw_client raw;
        struct user user = {
            .request = {.events = &user_events, .service = "web"}
        };
        int rc;

        check(scene_open(REPLAY_UNSEEN));
        raw_register(&raw, 1, 1);
        mem_fail_at(n);
        rc = member_at(0)->ops->open(member_at(0), &scene.hand.worker, &user.request);
        hand_worker_turn(&scene.hand);
        met = mem_failed();
        mem_fail_at(0);
        if (rc == 0 && !user.failed)
            raw_answer(&raw, "\x02");
        check(rc == -ENOMEM || user.failed + user.confirmed == 1);
        check(rc == 0 || !user.failed);
        check(scene_close());
    }
}
