#include "relay/settings.h"

#include <stdio.h>
#include <string.h>

#include "tests/unit/settings_text.h"
#include "tests/unit/test.h"

#define BASE                                                                                       \
    "[server]\nworkers = 2\ncpus = 0,1\n[admin]\nsocket = /run/a\n"                                \
    "[listener web]\nbind = 127.0.0.1:80\nbackend = b\n"                                           \
    "[backend b]\nserver = 127.0.0.1:81\n"

/* "SECTION NAME option", or "" where no restart is needed. */
static const char *difference_of(const char *before, const char *after)
{
    static char text[256];
    struct settings *old_settings = parse(before), *new_settings = parse(after);
    struct settings_difference difference;

    *text = 0;
    if (!old_settings || !new_settings)
        snprintf(text, sizeof(text), "bad settings");
    else if (settings_diff_restart(old_settings, new_settings, &difference))
        snprintf(text, sizeof(text), "%s %s %s", difference.kind, difference.name,
                 difference.option);
    settings_free(&old_settings);
    settings_free(&new_settings);
    return text;
}

/* BASE with `from` replaced. */
static const char *edited(const char *from, const char *to)
{
    static char text[1024];
    const char *at = strstr(BASE, from);

    must(at);
    snprintf(text, sizeof(text), "%.*s%s%s", (int)(at - BASE), BASE, to, at + strlen(from));
    return text;
}

TEST(a_changed_option_that_needs_a_restart_is_named_and_others_are_not)
{
    static const struct {
        const char *from, *to, *named;
    } rows[] = {
        {"workers = 2",                "workers = 2",                       ""                     },
        {"workers = 2",                "workers = 1",                       "server  workers"      },
        {"cpus = 0,1",                 "cpus = 0,1,2",                      "server  cpus"         },
        {"cpus = 0,1",                 "cpus = 1,0",                        "server  cpus"         },
        {"[server]\n",                 "[server]\npid_file = /run/p\n",     "server  pid_file"     },
        {"[server]\n",                 "[server]\nuser = 7\n",              "server  user"         },
        {"[server]\n",                 "[server]\ndrain_timeout = 1s\n",    ""                     },
        {"socket = /run/a",            "socket = /run/b",                   "admin  socket"        },
        {"[admin]\nsocket = /run/a\n", "",                                  "admin  socket"        },
        {"backend = b\n",              "backend = b\nprotocol = both\n",    "listener web protocol"},
        {"[listener web]",             "[listener other]\nprotocol = both", ""                     },
        {"127.0.0.1:80\n",             "127.0.0.1:90\n",                    ""                     },
        {"127.0.0.1:81",               "127.0.0.1:82 weight=2",             ""                     },
        {"backend = b\n",              "backend = b\ndeny = 10.0.0.0/8\n",  ""                     },
    };

    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        const char *named = difference_of(BASE, edited(rows[i].from, rows[i].to));

        if (strcmp(named, rows[i].named) != 0)
            printf("%s: %s\n", rows[i].to, named);
        check(strcmp(named, rows[i].named) == 0);
    }
}

#define TUNNEL(listen, more)                                                                       \
    "[tls edge]\ncert = c\nkey = k\nca = a\n[tunnel pods]\n" listen "tls = edge\nallow = x\n" more

TEST(an_address_of_a_tunnel_needs_a_restart_and_the_rest_of_it_does_not)
{
    const char *before = TUNNEL("listen = 127.0.0.1:1\nlisten = 127.0.0.1:2\n", "");

    check(!*difference_of(before, before));
    check(
        !strcmp(difference_of(before, TUNNEL("listen = 127.0.0.1:1\n", "")), "tunnel pods listen"));
    check(!strcmp(difference_of(before, TUNNEL("listen = 127.0.0.1:1\nlisten = 127.0.0.1:3\n", "")),
                  "tunnel pods listen"));
    check(!*difference_of(before, TUNNEL("listen = 127.0.0.1:1\nlisten = 127.0.0.1:2\n",
                                         "allow = y\nmax_clients = 7\n")));
}
