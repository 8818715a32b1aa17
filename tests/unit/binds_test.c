/* What listeners bind: never twice, never what leads to themselves, and with how many descriptors.
 */
#include <stdlib.h>
#include <string.h>

#include "tests/unit/settings_text.h"
#include "tests/unit/test.h"

/* ---- a file is refused exactly when a search port by port finds one that is bound twice ---- */

enum { BINDS_MAX = 5, PORTS = 24, FIRST_PORT = 1000, ADDRESSES = 5, PROTOCOLS = 3, FILES = 4000 };

static const struct {
    const char *text;
    int family;
    bool wildcard;
} addresses[ADDRESSES] = {
    {"127.0.0.1", 4, false},
    {"127.0.0.2", 4, false},
    {"0.0.0.0",   4, true },
    {"[::1]",     6, false},
    {"[::]",      6, true },
};
static const struct {
    const char *text;
    bool tcp, udp;
} protocols[PROTOCOLS] = {
    {"tcp",  true,  false},
    {"udp",  false, true },
    {"both", true,  true },
};

struct run {
    uint32_t address, protocol, first, last;
};

static bool share_an_address(const struct run *a, const struct run *b)
{
    if (addresses[a->address].family != addresses[b->address].family)
        return false;
    return a->address == b->address || addresses[a->address].wildcard ||
           addresses[b->address].wildcard;
}

static bool share_a_port(const struct run *a, const struct run *b)
{
    for (uint32_t port = a->first; port <= a->last; port++)
        if (port >= b->first && port <= b->last)
            return true;
    return false;
}

static bool collide(const struct run *a, const struct run *b)
{
    bool protocol = (protocols[a->protocol].tcp && protocols[b->protocol].tcp) ||
                    (protocols[a->protocol].udp && protocols[b->protocol].udp);

    return protocol && share_an_address(a, b) && share_a_port(a, b);
}

static bool any_collide(const struct run *runs, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        for (uint32_t k = 0; k < i; k++)
            if (collide(&runs[i], &runs[k]))
                return true;
    return false;
}

static struct run some_run(void)
{
    struct run run = {.address = (uint32_t)rand() % ADDRESSES,
                      .protocol = (uint32_t)rand() % PROTOCOLS,
                      .first = FIRST_PORT + (uint32_t)rand() % PORTS};

    run.last = run.first + (rand() % 2 ? 0 : (uint32_t)rand() % 8);
    return run;
}

/* One listener each, so that each may have its protocol. */
static void compose_runs(const struct run *runs, uint32_t count, char *text, size_t size)
{
    size_t length = (size_t)snprintf(text, size, "[backend b]\nserver = 192.0.2.1:9\n");

    for (uint32_t i = 0; i < count; i++)
        length += (size_t)snprintf(text + length, size - length,
                                   "[listener l%u]\nbackend = b\nprotocol = %s\nbind = %s:%u-%u\n",
                                   i, protocols[runs[i].protocol].text,
                                   addresses[runs[i].address].text, runs[i].first, runs[i].last);
}

static bool is_taken(const char *text)
{
    struct settings *settings = parse(text);
    bool taken = settings;

    settings_free(&settings);
    return taken;
}

TEST(runs_are_refused_exactly_when_they_share_a_port)
{
    uint32_t refused = 0;
    char text[2048];

    srand(7);
    for (int file = 0; file < FILES; file++) {
        struct run runs[BINDS_MAX];
        uint32_t count = 1 + (uint32_t)rand() % BINDS_MAX;
        bool wrong;

        for (uint32_t i = 0; i < count; i++)
            runs[i] = some_run();
        wrong = any_collide(runs, count);
        compose_runs(runs, count, text, sizeof(text));
        if (is_taken(text) == wrong)
            printf("%s", text);
        check(is_taken(text) != wrong);
        refused += wrong;
    }
    check(refused > FILES / 10 && refused < FILES * 9 / 10);
}

/* ---- by example ---- */

#define BACKEND  "[backend b]\nserver = 10.0.0.1:1\n"
#define LISTENER "[listener a]\nbackend = b\n"

TEST(no_address_is_bound_twice)
{
    check(refuses(BACKEND LISTENER "bind = 127.0.0.1:5\nbind = 127.0.0.1:5\n",
                  "t.ini:6: 127.0.0.1:5 is bound already, at t.ini:5"));
    check(refuses(BACKEND LISTENER "bind = 127.0.0.1:5\nbind = 0.0.0.0:5\n",
                  "t.ini:6: 0.0.0.0:5 is bound already, at t.ini:5"));
    check(refuses(BACKEND LISTENER "bind = [::1]:5\nbind = [::]:5\n",
                  "t.ini:6: [::]:5 is bound already, at t.ini:5"));
    check(accepts(BACKEND LISTENER "bind = 127.0.0.1:5\nbind = 127.0.0.2:5\nbind = [::]:5\n"));
    check(accepts(BACKEND LISTENER "bind = 127.0.0.1:0\nbind = 127.0.0.1:0\n"));
    check(accepts(BACKEND LISTENER "bind = 127.0.0.1:5\nprotocol = udp\n"
                                   "[listener c]\nbackend = b\nbind = 127.0.0.1:5\n"));
    check(refuses(BACKEND LISTENER "bind = 127.0.0.1:5\nprotocol = both\n"
                                   "[listener c]\nbackend = b\nbind = 127.0.0.1:5\n",
                  "t.ini:9: 127.0.0.1:5 is bound already, at t.ini:5"));
}

TEST(runs_of_ports_and_paths_are_bound_once)
{
    check(refuses(BACKEND LISTENER "bind = 127.0.0.1:5-9\nbind = 127.0.0.1:9\n",
                  "t.ini:6: 127.0.0.1:9 is bound already, at t.ini:5"));
    check(refuses(BACKEND LISTENER "bind = 127.0.0.1:9\nbind = 0.0.0.0:5-10\n",
                  "t.ini:6: 0.0.0.0:5-10 is bound already, at t.ini:5"));
    check(accepts(BACKEND LISTENER "bind = 127.0.0.1:5-9\nbind = 127.0.0.1:10-20\n"));
    check(refuses(BACKEND LISTENER "bind = unix:/x\nbind = unix:/x\n",
                  "t.ini:6: unix:/x is bound already, at t.ini:5"));
    check(accepts(BACKEND LISTENER "bind = unix:/x\nbind = unix:/y\n"));
}

TEST(a_server_without_a_port_needs_users_who_came_by_one)
{
    check(accepts("[backend b]\nserver = 10.0.0.1\n" LISTENER "bind = 127.0.0.1:5-9\n"));
    check(refuses("[backend b]\nserver = 10.0.0.1\n" LISTENER "bind = unix:/x\n",
                  "t.ini:5: bind: unix:PATH has no port, and neither has server 10.0.0.1 of "
                  "[backend b]"));
}

TEST(udp_has_neither_paths_nor_the_first_version_of_proxy)
{
    check(refuses(BACKEND LISTENER "bind = unix:/x\nprotocol = both\n",
                  "t.ini:5: bind: unix:PATH is for TCP only"));
    check(refuses(BACKEND "send_proxy = v1\n" LISTENER "bind = 127.0.0.1:5\nprotocol = udp\n",
                  "t.ini:5: backend: [backend b] sends PROXY v1, which is for TCP only"));
    check(refuses(BACKEND LISTENER "bind = 127.0.0.1:5\nprotocol = udp\naccept_proxy = v2\n"
                                   "accept_proxy_from = ::1\n",
                  "t.ini:7: accept_proxy is for TCP only"));
}

TEST(a_run_of_ports_counts_a_descriptor_each)
{
    struct settings *settings =
        parse(BACKEND LISTENER "bind = 127.0.0.1:1000-1999\nprotocol = both\n");

    check(settings && settings_descriptors(settings) == 64 + 2000);
    settings_free(&settings);
}

TEST(no_listener_leads_to_itself_through_others)
{
    check(refuses("[listener a]\nbind = 127.0.0.1:5\nbackend = b\n[backend b]\n"
                  "server = 127.0.0.1:6\n[listener c]\nbind = 0.0.0.0:6\nbackend = d\n"
                  "[backend d]\nserver = localhost:5\n",
                  "t.ini:1: [listener a] leads to itself, through [listener c]"));
    check(refuses("[listener a]\nbind = 0.0.0.0:5-9\nbackend = b\n[backend b]\n"
                  "server = 127.0.0.1\n",
                  "t.ini:1: [listener a] leads to itself"));
    check(refuses("[listener a]\nbind = unix:/x\nbackend = b\n[backend b]\nserver = unix:/x\n",
                  "t.ini:1: [listener a] leads to itself"));
    check(accepts("[listener a]\nbind = 127.0.0.1:5\nbackend = b\n[backend b]\n"
                  "server = 127.0.0.1:6\n[listener c]\nbind = 127.0.0.1:6\nbackend = d\n"
                  "[backend d]\nserver = 10.0.0.1:5\n"));
}

TEST(no_listener_leads_to_itself)
{
    check(refuses("[listener a]\nbind = 127.0.0.1:5\nbackend = b\n[backend b]\n"
                  "server = 127.0.0.1:5\n",
                  "t.ini:1: [listener a] leads to itself"));
    check(
        refuses("[listener a]\nbind = 0.0.0.0:5\nbackend = b\n[backend b]\nserver = 127.0.0.9:5\n",
                "t.ini:1: [listener a] leads to itself"));
    check(
        accepts("[listener a]\nbind = 0.0.0.0:5\nbackend = b\n[backend b]\nserver = 10.0.0.1:5\n"));
}

TEST(descriptors_are_counted_before_they_are_needed)
{
    struct settings *settings =
        parse(BACKEND LISTENER "bind = 127.0.0.1:5\nbind = 127.0.0.1:6\nprotocol = both\n");

    check(settings && settings_descriptors(settings) == 64 + 4);
    settings_free(&settings);
}

TEST(workers_multiply_the_sockets_of_short_runs_only)
{
    struct settings *settings =
        parse(BACKEND LISTENER "bind = 127.0.0.1:5\nbind = 127.0.0.1:1000-1999\n");

    check(settings);
    settings->process.workers = 3;
    check(settings_descriptors(settings) == 64 + 8 + 3 + 1000);
    settings_free(&settings);
}
