/* Claims about the further connections of a tunnel client, with a clock that makes minutes cheap.
 */
#include "relay/relay.h"
#include "relay/status.h"
#include "tests/sim/tunnel.h"
#include "tests/unit/test.h"

enum { FOUR_WORKERS = 2 /* a seed whose hosts have so many */, WORKERS = 4 };

static const struct sim_options calm = {.seed = FOUR_WORKERS, .calm = true};

/* The client's connections, as the server's workers tell. */
static uint32_t connections(const struct tunnel *tunnel)
{
    struct status status = {0};
    uint32_t count;

    for (uint32_t i = 0; i < tunnel->server.count; i++)
        must(relay_status(tunnel->server.relays[i].relay, &status) == 0);
    count = status.client_count;
    status_release(&status);
    return count;
}

static void users_come(struct tunnel *tunnel, uint32_t count)
{
    while (count--)
        visitors_send(&tunnel->visitors, tunnel->users, "10.0.0.1", &tunnel_doors[0]);
}

TEST(further_connections_that_nobody_uses_for_five_minutes_are_ended_and_the_first_stays)
{
    struct tunnel tunnel;

    tunnel_build(&tunnel, &calm, 1);
    sim_run(tunnel.sim, 2 * SIM_SECOND);
    check(connections(&tunnel) == WORKERS);
    sim_run(tunnel.sim, 290 * SIM_SECOND);
    check(connections(&tunnel) == WORKERS);
    sim_run(tunnel.sim, 30 * SIM_SECOND);
    check(connections(&tunnel) == 1);
    check(tunnel_end(&tunnel).faults == 0);
}

TEST(a_connection_that_was_ended_is_made_again_when_users_come_and_none_of_them_is_lost)
{
    struct tunnel tunnel;

    tunnel_build(&tunnel, &calm, 1);
    sim_run(tunnel.sim, 330 * SIM_SECOND);
    check(connections(&tunnel) == 1);
    users_come(&tunnel, 40);
    sim_run(tunnel.sim, 10 * SIM_SECOND);
    check(connections(&tunnel) == WORKERS);
    users_come(&tunnel, 20);
    check(tunnel_end(&tunnel).faults == 0);
}

/* Users arrive at the moment at which connections are about to end, too. */
TEST(users_who_come_while_connections_end_are_served)
{
    struct tunnel tunnel;

    tunnel_build(&tunnel, &calm, 1);
    sim_run(tunnel.sim, 298 * SIM_SECOND);
    for (int i = 0; i < 60; i++) {
        users_come(&tunnel, 1);
        sim_run(tunnel.sim, 250 * SIM_MS);
    }
    check(tunnel_end(&tunnel).faults == 0);
}
