#include "quic/ahead.h"

#define NEAR_NS   (5 * NGTCP2_MILLISECONDS)
#define PERIOD_NS NGTCP2_MILLISECONDS
#define FAR_NS    NGTCP2_SECONDS

/* On a near path most of the round trip is our own queue, and more in it would only be late; on a
 * far one the queue is shared with others, and who counted less than they would get nothing. */
static uint64_t ahead_path_ns(const ngtcp2_conn_info *info)
{
    uint64_t trip = info->smoothed_rtt < NEAR_NS ? info->min_rtt : info->smoothed_rtt;

    return trip < FAR_NS ? trip : FAR_NS;
}

void ahead_acknowledged(struct ahead *ahead, uint64_t length)
{
    ahead->acknowledged += length;
}

/* What was once measured is forgotten by halves: a pause says nothing of the path. */
void ahead_turn(struct ahead *ahead, const ngtcp2_conn_info *info, uint64_t most, uint64_t now_ns)
{
    uint64_t passed = now_ns - ahead->since_ns;
    uint64_t measured;

    if (passed < info->smoothed_rtt || passed < PERIOD_NS)
        return;
    measured =
        (uint64_t)((double)ahead->acknowledged * (double)ahead_path_ns(info) * 2 / (double)passed);
    ahead->room = measured > ahead->room / 2 ? measured : ahead->room / 2;
    if (ahead->room > most)
        ahead->room = most;
    ahead->since_ns = now_ns;
    ahead->acknowledged = 0;
}

uint64_t ahead_room(const struct ahead *ahead, uint64_t lent)
{
    uint64_t others = ahead->lent - lent;

    return ahead->room > others ? ahead->room - others : 0;
}

void ahead_lend(struct ahead *ahead, uint64_t before, uint64_t lent)
{
    ahead->lent += lent - before;
}
