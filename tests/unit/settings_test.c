/* What the settings are when all is right, and what sections and values say together. */
#include "relay/settings.h"

#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "relay/settings_rows.h"
#include "tests/unit/settings_text.h"
#include "tests/unit/test.h"

TEST(a_name_stands_where_a_section_wants_one_and_nowhere_else)
{
    check(refuses("[tls]\n", "t.ini:1: expected [tls NAME]"));
    check(refuses("[server x]\n", "t.ini:1: expected [server]"));
}

TEST(a_whole_file_is_taken_with_its_defaults)
{
    struct settings *settings;

    compose("server", NULL, "");
    settings = parse(document);
    check(settings && settings->process.workers == 0 && settings->process.nofile == 0);
    check(settings->process.spin_ns == 50 * OPTION_US);
    check(settings->log.level == LOG_INFO && strcmp(settings->log.file, "stderr") == 0);
    check(settings->tunnel_count == 1 && settings->tunnels[0].tls == &settings->tls[0]);
    check(settings->tls[0].client_auth == TLS_CLIENT_REQUIRED && settings->tls[0].line);
    check(settings->tunnels[0].open_timeout_ns == 300 * OPTION_MS);
    check(settings->tunnels[0].balance == BALANCE_LEAST_CONN && !settings->tunnels[0].always_retry);
    check(settings->tunnels[0].mtu == 0 && settings->tunnels[0].stream_window_max == 8388608);
    check(strcmp(settings->listeners[0].service, "default") == 0);
    check(strcmp(settings->listeners[0].tcp_congestion, "cubic") == 0);
    check(settings->listeners[0].keepalive_ns == 60 * OPTION_SECOND);
    check(settings->backends[0].balance == BALANCE_ROUND_ROBIN);
    check(strcmp(settings->backends[0].servers[0].name, "127.0.0.1:3") == 0);
    check(settings->client.present && settings->client.tls == &settings->tls[0]);
    check(strcmp(settings->client.servers[0].server_name, "a.example") == 0);
    check(settings->client.servers[0].host.addr.length == 0);
    check(settings->services[0].protocol == PROTOCOL_BOTH);
    check(addr_port(&settings->services[0].target.addr) == 5);
    settings_free(&settings);
}

TEST(a_client_alone_has_the_options_of_the_process)
{
    struct settings *settings =
        parse("[client]\nserver = 10.0.0.1:1 name=x.example\ntls = t\nlocal = unix:/run/x\n"
              "nofile = 512\n[tls t]\ncert = c\nkey = k\nca = a\n");

    check(settings && settings->process.nofile == 512 && settings->service_count == 1);
    check(strcmp(settings->services[0].name, "default") == 0);
    check(addr_family(&settings->services[0].target.addr) == AF_UNIX);
    check(settings->services[0].connect_timeout_ns == 5 * OPTION_SECOND);
    check(strcmp(settings->client.servers[0].server_name, "x.example") == 0);
    check(addr_port(&settings->client.servers[0].host.addr) == 1);
    settings_free(&settings);
}

/* One section, tried in a file that is otherwise right: what must be said about its line 2. */
static const struct {
    const char *kind, *key, *lines, *line;
} mistakes[] = {
    {"client",   "server",  "server = a\n",                     "server: a has no port"                                },
    {"backend",  "server",  "server = a:0\n",                   "server: a:0 is not HOST:PORT"                         },
    {"backend",  "server",  "server = a:65536\n",               "server: a:65536 is not HOST:PORT"                     },
    {"backend",  "server",  "server = srv:a:80\n",              "server: srv:a:80 is not srv:NAME"                     },
    {"backend",  "server",  "server = srv:\n",                  "server: srv: is not srv:NAME"                         },
    {"backend",  "server",  "server = srv:a weight=2\n",
     "server: weight: the records of srv:NAME say it"                                                                  },
    {"client",   "server",  "server = srv:a\n",                 "server: srv:NAME is for the servers of a [backend]"   },
    {"client",   "local",   "local = srv:a\n",                  "local: srv:NAME is for the servers of a [backend]"    },
    {"service",  "target",  "target = srv:a\n",                 "target: srv:NAME is for the servers of a [backend]"   },
    {"backend",  "server",  "server = a:1 weight=257\n",        "weight: 257 is more than 256"                         },
    {"backend",  "server",  "server = a:1 weight=0\n",          "weight: 0 is less than 1"                             },
    {"backend",  "server",  "server = a:1 tier=gold\n",
     "tier: gold is none of: vip normal standby fallback"                                                              },
    {"backend",  "server",  "server = a:1 max_conn=\n",         "server: max_conn: empty value"                        },
    {"backend",  "server",  "server = a:1 weight=2 weight=2\n",
     "server: parameter given twice: weight"                                                                           },
    {"backend",  "server",  "server = a:1 nonsense=1\n",        "server: unknown parameter: nonsense"                  },
    {"backend",  "server",  "server = a:1 name=\n",             "server: name: empty value"                            },
    {"backend",  "server",  "server = a:1 name=a name=b\n",     "server: parameter given twice: name"                  },
    {"backend",  "server",  "server = a:1 name=a/b\n",
     "server: name: a/b is not a name (A-Z a-z 0-9 _ . -)"                                                             },
    {"client",   "server",  "server = unix:/x\n",               "server: a tunnel needs HOST:PORT, not a path"         },
    {"client",   "tls",     "tls = none\n",                     "tls: there is no [tls none]"                          },
    {"client",   NULL,      "reconnect_min = 31s\n",            "reconnect_min is above reconnect_max"                 },
    {"tunnel",   "tls",     "tls = none\n",                     "tls: there is no [tls none]"                          },
    {"tunnel",   NULL,      "heartbeat = 30s\n",                "heartbeat is not below health_timeout"                },
    {"tunnel",   NULL,      "idle_timeout = 9s\n",              NULL                                                   },
    {"tunnel",   NULL,      "stream_window = 9m\n",             "stream_window is above stream_window_max"             },
    {"tunnel",   NULL,      "stream_window_max = 17m\n",
     "stream_window_max is above connection_window_max"                                                                },
    {"tunnel",   "listen",  "listen = unix:/x\n",
     "listen: unix:/x is not an address (192.0.2.1:80 or [2001:db8::1]:80)"                                            },
    {"listener", "bind",    "bind = localhost:1\n",
     "bind: localhost:1 is not an address (192.0.2.1:80, 0.0.0.0:8000-8100, [2001:db8::1]:80 or unix:PATH)"            },
    {"listener", NULL,      "accept_proxy = v1\n",              "accept_proxy: accept_proxy_from must say from whom"   },
    {"listener", NULL,      "accept_proxy_from = ::1\n",        "accept_proxy_from: accept_proxy is no"                },
    {"listener", NULL,      "rate_limit = 5\n",
     "rate_limit: 5 is not a rate (100/s, 6/m or 100/s burst=200)"                                                     },
    {"listener", "backend", "backend = none\n",
     "backend: there is no [backend none] and no [tunnel none]"                                                        },
    {"listener", NULL,      "service = a/b\n",                  "service: a/b is not a name (A-Z a-z 0-9 _ . -)"       },
    {"tls",      NULL,      "client_auth = none\n",             "client_auth must be required: [tunnel pods] uses mtls"},
    {"tls",      NULL,      "client_auth = optional\n",
     "client_auth must be required: [tunnel pods] uses mtls"                                                           },
    {"tls",      "key",     "\n",                               NULL                                                   },
    {"service",  "target",  "target = nonsense\n",              "target: nonsense has no port"                         },
    {"service",  "target",  "target = unix:\n",                 "target: unix:: a socket's path is 1 to 107 bytes"     },
};

TEST(mistakes_are_refused_where_they_stand)
{
    for (size_t i = 0; i < ARRAY_COUNT(mistakes); i++) {
        char line[200];

        compose(mistakes[i].kind, mistakes[i].key, mistakes[i].lines);
        snprintf(line, sizeof line, "t.ini:2: %s", mistakes[i].line);
        if (mistakes[i].line)
            check(refuses(document, line));
        else
            check(!parse(document));
    }
}

TEST(certificates_keys_and_authorities_go_together)
{
    check(refuses("[tls t]\ncert = c\n", "t.ini:2: cert: there is no key with it"));
    check(refuses("[tls t]\nkey = k\n", "t.ini:2: key: there is no cert with it"));
    check(refuses("[tls t]\n", "t.ini:1: [tls t] has neither cert and key nor ca"));
    check(refuses("[tls t]\ncert = c\nkey = k\nclient_auth = required\n",
                  "t.ini:4: client_auth: there is no ca to check certificates with"));
    check(refuses("[tunnel p]\nlisten = [::1]:1\nallow = a\ntls = t\n[tls t]\nca = a\n",
                  "t.ini:4: tls: [tls t] has no cert, which mtls needs"));
    check(refuses("[tunnel p]\nlisten = [::1]:1\nallow = a\ntls = t\n[tls t]\ncert = c\nkey = k\n",
                  "t.ini:4: tls: [tls t] has no ca, which mtls needs"));
}

TEST(backends_and_tunnels_share_their_names)
{
    compose("server", NULL, "");
    add("[backend pods]\nserver = 10.0.0.9:1\n");
    check(!parse(document) && strstr(printed, "there is a [tunnel pods] at t.ini:"));
}

TEST(sections_that_need_each_other_say_so)
{
    check(refuses("", "t.ini:1: nothing to do: no [listener], no [tunnel], no [client]"));
    check(refuses("[service s]\ntarget = a:1\n",
                  "t.ini:1: [service] needs a [client] that offers it"));
    check(refuses("[client]\nserver = a:1\ntls = t\n[tls t]\ncert = c\nkey = k\nca = a\n",
                  "t.ini:1: [client] offers nothing: there is no [service] and no local"));
    check(refuses("[client]\nserver = a:1\ntls = t\nlocal = a:1\n[service default]\ntarget = a:2\n"
                  "[tls t]\ncert = c\nkey = k\nca = a\n",
                  "t.ini:4: local: there is a [service default] already"));
}

TEST(servers_have_their_number_and_are_meant_once)
{
    char line[100];

    *document = 0;
    add("[client]\ntls = edge\nlocal = a:1");
    for (int i = 1; i <= SETTINGS_SERVERS_MAX; i++) {
        snprintf(line, sizeof line, "server = s%d.example:4", i);
        add(line);
    }
    add("[tls edge]\ncert = c\nkey = k\nca = a");
    check(accepts(document));
    check(
        refuses("[backend b]\nserver = a:1\nserver = a:1\n", "t.ini:3: server: given twice: a:1"));
    check(refuses("[client]\nserver = a:1\nserver = A:1 name=x\n",
                  "t.ini:3: server: given twice: A:1 name=x"));
    *document = 0;
    add("[client]\ntls = edge\nlocal = a:1");
    for (int i = 0; i <= SETTINGS_SERVERS_MAX; i++) {
        snprintf(line, sizeof line, "server = s%d.example:4", i);
        add(line);
    }
    check(refuses(document, "t.ini:68: server: more than 64 of them"));
}

TEST(a_server_that_is_to_be_asked_has_a_port_and_a_path_is_one_of_a_url)
{
    check(refuses("[backend b]\nserver = a:1\nserver = b\nhealth = tcp\n",
                  "t.ini:4: health: server b has no port to be asked at"));
    check(refuses("[backend b]\nserver = unix:/run/x\nhealth = udp\n",
                  "t.ini:3: health: server unix:/run/x is a path, which is for TCP only"));
    check(refuses("[backend b]\nserver = a:1\nhealth_path = health\n",
                  "t.ini:3: health_path: health does not begin with /"));
    check(refuses("[backend b]\nserver = a:1\nhealth_path = /a b\n",
                  "t.ini:3: health_path: /a b: blanks and other bytes are to be written as %XX"));
    check(accepts("[listener l]\nbind = 127.0.0.1:1\nbackend = b\n"
                  "[backend b]\nserver = unix:/run/x\nserver = srv:_a._tcp.b\nhealth = http\n"));
}

TEST(cores_are_a_list_of_runs)
{
    static const char *const wrong[][2] = {
        {"cpus = 0,x\n",   "t.ini:2: cpus: x is not a core or a run of cores (0 to 1023)"   },
        {"cpus = 5-3\n",   "t.ini:2: cpus: 5-3 is not a core or a run of cores (0 to 1023)" },
        {"cpus = 1024\n",  "t.ini:2: cpus: 1024 is not a core or a run of cores (0 to 1023)"},
        {"cpus = 1,0-2\n", "t.ini:2: cpus: given twice: 1"                                  },
        {"cpus = 0-64\n",  "t.ini:2: cpus: more than 64 of them"                            },
    };
    struct settings *settings =
        parse("[server]\ncpus = 4, 0-2\ncpus = 1023\n[backend b]\nserver = 10.0.0.1:1\n"
              "[listener a]\nbackend = b\nbind = 127.0.0.1:5\n");
    const struct cpu_list *cpus = settings ? &settings->process.cpus : NULL;

    check(cpus && cpus->count == 5 && cpus->items[0] == 4 && cpus->items[1] == 0);
    check(cpus->items[3] == 2 && cpus->items[4] == 1023);
    settings_free(&settings);
    for (size_t i = 0; i < ARRAY_COUNT(wrong); i++) {
        compose("server", NULL, wrong[i][0]);
        check(refuses(document, wrong[i][1]));
    }
}

TEST(the_reference_has_a_line_for_every_option)
{
    char *text = NULL;
    size_t length = 0, lines = 0, options = 0;
    FILE *out = open_memstream(&text, &length);

    settings_reference(out);
    fclose(out);
    for (const char *at = text; (at = strstr(at, "\n| `")); at++)
        lines++;
    for (uint32_t i = 0; i < settings_section_count; i++)
        options += settings_sections[i].option_count;
    check(lines == options);
    check(strstr(text, "| `open_timeout` | `300ms` | 10ms to 1m | new | An open not answered"));
    free(text);
}

TEST(settings_survive_any_failed_allocation)
{
    for (uint64_t n = 1;; n++) {
        struct settings *settings;
        bool failed;

        compose("server", NULL, "workers = auto\n");
        mem_count(true);
        mem_fail_at(n);
        settings = parse(document);
        failed = mem_failed();
        mem_fail_at(0);
        check(!settings == failed);
        check(!failed || strcmp(printed, "out of memory while the configuration was read\n") == 0);
        settings_free(&settings);
        check(mem_live() == 0);
        mem_count(false);
        if (!failed)
            break;
    }
}
