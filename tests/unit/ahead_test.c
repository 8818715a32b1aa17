#include "quic/ahead.h"

#include "tests/unit/test.h"

#define MS   NGTCP2_MILLISECONDS
#define MOST (16u << 20)

static const ngtcp2_conn_info far_path = {.smoothed_rtt = 30 * MS, .min_rtt = 20 * MS};
static const ngtcp2_conn_info near_path = {.smoothed_rtt = 2 * MS, .min_rtt = MS / 10};

/* So much was acknowledged in that time. */
static void ahead_pass(struct ahead *ahead, const ngtcp2_conn_info *path, uint64_t acknowledged,
                       uint64_t passed_ns)
{
    ahead_acknowledged(ahead, acknowledged);
    ahead_turn(ahead, path, MOST, ahead->since_ns + passed_ns);
}

TEST(nothing_is_lent_before_a_round_trip_was_measured)
{
    struct ahead ahead = {0};

    ahead_pass(&ahead, &far_path, 1 << 20, 29 * MS);
    check(ahead_room(&ahead, 0) == 0);
}

TEST(twice_what_a_round_trip_acknowledges_is_lent)
{
    struct ahead ahead = {0};

    ahead_pass(&ahead, &far_path, 1 << 20, 30 * MS);
    check(ahead_room(&ahead, 0) == 2 << 20);
    ahead_pass(&ahead, &far_path, 4 << 20, 60 * MS);
    check(ahead_room(&ahead, 0) == 4 << 20);
}

TEST(on_a_near_path_the_least_round_trip_counts)
{
    struct ahead ahead = {0};

    ahead_pass(&ahead, &near_path, 1000000, 10 * MS);
    check(ahead_room(&ahead, 0) == 20000);
}

TEST(no_more_is_lent_than_the_window_allows)
{
    struct ahead ahead = {0};

    ahead_pass(&ahead, &far_path, 1 << 30, 30 * MS);
    check(ahead_room(&ahead, 0) == MOST);
}

TEST(a_pause_halves_what_is_lent)
{
    struct ahead ahead = {0};

    ahead_pass(&ahead, &far_path, 1 << 20, 30 * MS);
    ahead_pass(&ahead, &far_path, 100, 3600 * NGTCP2_SECONDS);
    check(ahead_room(&ahead, 0) == 1 << 20);
    ahead_pass(&ahead, &far_path, 0, 30 * MS);
    check(ahead_room(&ahead, 0) == 1 << 19);
}

TEST(streams_share_what_is_lent)
{
    struct ahead ahead = {.room = 1000};

    ahead_lend(&ahead, 0, 700);
    check(ahead_room(&ahead, 0) == 300);
    check(ahead_room(&ahead, 700) == 1000);
    ahead_lend(&ahead, 0, 500); /* it was given before the room shrank */
    check(ahead_room(&ahead, 0) == 0);
    ahead_lend(&ahead, 700, 0);
    check(ahead_room(&ahead, 500) == 1000);
}
