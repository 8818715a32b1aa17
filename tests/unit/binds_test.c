/* Runs of ports against each other: a file is refused exactly when a search port by port finds one
 * that is bound twice. */
#include <stdlib.h>
#include <string.h>

#include "relay/settings.h"
#include "tests/unit/test.h"

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
static void compose(const struct run *runs, uint32_t count, char *text, size_t size)
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
    FILE *out = fopen("/dev/null", "w");
    struct settings *settings = settings_parse("t.ini", text, strlen(text), out);
    bool taken = settings;

    fclose(out);
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
        compose(runs, count, text, sizeof(text));
        if (is_taken(text) == wrong)
            printf("%s", text);
        check(is_taken(text) != wrong);
        refused += wrong;
    }
    check(refused > FILES / 10 && refused < FILES * 9 / 10);
}
