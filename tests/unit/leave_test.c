/* UDP ports that leave: numbered as in their listener's settings, open until no worker uses them.
 */
#include "relay/listener_leave.h"

#include <string.h>

#include "tests/unit/test.h"

static struct listener_settings settings;
static struct bind binds[2];

static struct udp_leave *leave_new(void)
{
    must(addr_parse_range(&binds[0].addr, &binds[0].last_port, "127.0.0.1:1000-1002") == 0 &&
         addr_parse_range(&binds[1].addr, &binds[1].last_port, "[::1]:53") == 0);
    settings.bind = (struct bind_list){binds, 2};
    return udp_leave_new(&settings, NULL);
}

static bool offers(const struct udp_leave *leave, const char *text)
{
    struct addr addr;

    must(addr_parse(&addr, text) == 0);
    return udp_leave_offers(leave, &addr);
}

TEST(numbers_and_addresses_of_ports_are_each_others_reverse)
{
    struct udp_leave *leave = leave_new();
    struct addr addr;

    check(leave && leave->count == 4);
    for (uint32_t i = 0; i < leave->count; i++) {
        bind_list_at(&settings.bind, i, &addr);
        check(bind_list_find(&settings.bind, &addr) == i);
    }
    check(addr_port(&addr) == 53);
    addr_set_port(&addr, 54);
    check(bind_list_find(&settings.bind, &addr) == BIND_NONE);
    udp_leave_free(&leave);
}

TEST(a_port_that_leaves_is_closed_once_no_worker_uses_it)
{
    struct udp_leave *leave = leave_new();

    leave->ports[1].state = leave->ports[3].state = UDP_LEAVES;
    leave->ports[1].used = 2;
    udp_leave_look(leave);
    udp_leave_look(leave); /* however often: it takes a sweep to close one */
    check(leave->ports[1].state == UDP_LEAVES && leave->ports[3].state == UDP_CLOSES);
    leave->ports[1].used = 0;
    check(!udp_leave_sweep(leave));
    check(leave->ports[1].state == UDP_CLOSES && leave->ports[3].state == UDP_CLOSED);
    check(udp_leave_sweep(leave) && leave->ports[0].state == UDP_STAYS);
    udp_leave_free(&leave);
}

TEST(a_port_may_be_taken_over_until_workers_close_it)
{
    struct udp_leave *leave = leave_new();

    leave->ports[2].state = leave->ports[3].state = UDP_LEAVES;
    check(offers(leave, "127.0.0.1:1002") && offers(leave, "[::1]:53"));
    check(!offers(leave, "127.0.0.1:1001") && !offers(leave, "127.0.0.1:53"));
    check(!udp_leave_sweep(leave) && offers(leave, "[::1]:53"));
    udp_leave_taken(leave, 2);
    check(udp_leave_sweep(leave) && leave->ports[2].state == UDP_STAYS);
    check(!offers(leave, "[::1]:53") && !offers(leave, "127.0.0.1:1002"));
    udp_leave_taken(leave, 3);
    check(leave->ports[3].state == UDP_CLOSED);
    udp_leave_free(&leave);
}
