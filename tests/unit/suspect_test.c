/* A client of several connections that falls silent on one. */
#include "tests/unit/fake_quic.h"
#include "tests/unit/member_scene.h"

TEST(a_client_that_loses_a_silent_connection_is_fit_again_once_another_is_heard)
{
    struct raw_client first, second;
    struct user user;

    check(scene_open(REPLAY_UNSEEN));
    raw_register_slot(&first, 1, 1, 0);
    raw_register_slot(&second, 1, 1, 1);
    fake_quic_cut(second.quic, true);
    user_open(&user);
    hand_worker_pass(&scene.hand, 320);
    check(user.failed == 1 && member_at(0)->state == MEMBER_SUSPECT);
    hand_worker_pass(&scene.hand, 1900);
    check(member_at(0)->state == MEMBER_SUSPECT);
    hand_worker_pass(&scene.hand, 250); /* the silent one is given up, and the other asked */
    check(members() == 1 && member_at(0)->state == MEMBER_FIT && first.quic);
    fake_quic_cut(second.quic, false);
    quic_close(second.quic, REASON_DONE, 0, "");
    hand_worker_turn(&scene.hand);
    check(scene_close());
}

TEST(a_client_whose_connections_are_all_silent_is_given_up_with_each)
{
    struct raw_client first, second;
    struct user user;

    check(scene_open(REPLAY_UNSEEN));
    raw_register_slot(&first, 1, 1, 0);
    raw_register_slot(&second, 1, 1, 1);
    fake_quic_cut(first.quic, true);
    fake_quic_cut(second.quic, true);
    user_open(&user);
    hand_worker_pass(&scene.hand, 2450);
    check(members() == 1 && member_at(0)->state == MEMBER_SUSPECT);
    hand_worker_pass(&scene.hand, 2100);
    check(members() == 0);
    fake_quic_cut(first.quic, false);
    fake_quic_cut(second.quic, false);
    quic_close(first.quic, REASON_DONE, 0, "");
    quic_close(second.quic, REASON_DONE, 0, "");
    hand_worker_turn(&scene.hand);
    check(scene_close());
}
