/* Every row of every section, at its edges, and what sections say together. */
#include "relay/settings.h"

#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "relay/settings_rows.h"
#include "tests/unit/test.h"

/* What each kind of section needs beside the option that is tried. */
static const struct fixture {
    const char *kind, *header;
    const char *needs[4];
} fixtures[] = {
    {"server",   "[server]",       {NULL}                                             },
    {"log",      "[log]",          {NULL}                                             },
    {"admin",    "[admin]",        {NULL}                                             },
    {"tls",      "[tls edge]",     {"cert = c", "key = k", "ca = a"}                  },
    {"tunnel",   "[tunnel pods]",  {"listen = 127.0.0.1:1", "tls = edge", "allow = a"}},
    {"listener", "[listener web]", {"bind = 127.0.0.1:2", "backend = api"}            },
    {"backend",  "[backend api]",  {"server = 127.0.0.1:3"}                           },
    {"client",   "[client]",       {"server = a.example:4", "tls = edge"}             },
    {"service",  "[service web]",  {"target = 127.0.0.1:5"}                           },
};

static char document[32768], printed[65536];

static void add_words(const char *text, const char *end)
{
    size_t length = strlen(document);

    snprintf(document + length, sizeof document - length, "%s%s", text, end);
}

static void add(const char *text)
{
    add_words(text, "\n");
}

static bool same_key(const char *line, const char *key)
{
    size_t length = strlen(key);

    return strncmp(line, key, length) == 0 && line[length] == ' ';
}

static void add_needs(const struct fixture *fixture, const char *without)
{
    for (size_t i = 0; i < ARRAY_COUNT(fixture->needs) && fixture->needs[i]; i++)
        if (!without || !same_key(fixture->needs[i], without))
            add(fixture->needs[i]);
}

/* A whole file: the section of `kind` first, with `lines` from line 2 on and what it needs but for
 * `key`; then all the others. */
static void compose(const char *kind, const char *key, const char *lines)
{
    *document = 0;
    for (size_t i = 0; i < ARRAY_COUNT(fixtures); i++) {
        if (strcmp(fixtures[i].kind, kind) != 0)
            continue;
        add(fixtures[i].header);
        add_words(lines, "");
        add_needs(&fixtures[i], key);
    }
    for (size_t i = 0; i < ARRAY_COUNT(fixtures); i++) {
        if (strcmp(fixtures[i].kind, kind) == 0)
            continue;
        add(fixtures[i].header);
        add_needs(&fixtures[i], NULL);
    }
}

static struct settings *parse(const char *text)
{
    FILE *out = fmemopen(printed, sizeof printed, "w");
    struct settings *settings;

    memset(printed, 0, sizeof printed);
    settings = settings_parse("t.ini", text, strlen(text), out);
    fclose(out);
    return settings;
}

/* Whether one of the printed lines is exactly this one. */
static bool printed_line(const char *line)
{
    size_t length = strlen(line);

    for (const char *at = printed; (at = strstr(at, line)); at += length)
        if ((at == printed || at[-1] == '\n') && at[length] == '\n')
            return true;
    fprintf(stderr, "expected: %s\ngot:\n%.2000s", line, printed);
    return false;
}

static bool refuses(const char *text, const char *line)
{
    struct settings *settings = parse(text);
    bool refused = !settings && printed_line(line);

    settings_free(&settings);
    return refused;
}

static bool accepts(const char *text)
{
    struct settings *settings = parse(text);
    bool accepted = settings && !*printed;

    if (!accepted)
        fprintf(stderr, "refused: %s", printed);
    settings_free(&settings);
    return accepted;
}

/* The option alone, into a struct that is thrown away. */
static bool row_takes(const struct settings_section *section, const struct option *option,
                      const char *value)
{
    struct option_input input = {.value = value, .file = "t.ini"};
    void *base = calloc(1, section->size);
    int rc = option_set(option, &input, base);

    option_release(section->options, section->option_count, base);
    free(base);
    return rc == 0;
}

static bool row_refuses(const struct settings_section *section, const struct option *option,
                        const char *value, const char *message)
{
    char lines[8300], line[8500];

    snprintf(lines, sizeof lines, "%s = %s\n", option->name, value);
    compose(section->kind, option->name, lines);
    snprintf(line, sizeof line, "t.ini:2: %s", message);
    return refuses(document, line);
}

typedef bool row_fn(const struct settings_section *section, const struct option *option);

static bool all_rows(row_fn *claim)
{
    for (uint32_t i = 0; i < settings_section_count; i++)
        for (uint32_t k = 0; k < settings_sections[i].option_count; k++)
            if (!claim(&settings_sections[i], &settings_sections[i].options[k])) {
                fprintf(stderr, "at [%s] %s\n", settings_sections[i].kind,
                        settings_sections[i].options[k].name);
                return false;
            }
    return true;
}

/* ---- rows ---- */

static bool row_is_sound(const struct settings_section *section, const struct option *option)
{
    bool sized = !option->type->size || option->type->size == option->size;
    bool ends = option->help[strlen(option->help) - 1] == '.';

    return sized && ends && option->offset + option->size <= section->size &&
           (!option->required || !option->standard) && option->min <= option->max &&
           option_find(section->options, section->option_count, option->name) == option;
}

TEST(every_row_fits_its_field_and_has_a_sentence)
{
    check(all_rows(row_is_sound));
}

static bool number_keeps_bounds(const struct settings_section *section, const struct option *option)
{
    char min[OPTION_NUMBER_SIZE], max[OPTION_NUMBER_SIZE], outside[OPTION_NUMBER_SIZE];
    char message[200];

    if (!option->type->format)
        return true;
    option->type->format(option->min, min);
    option->type->format(option->max, max);
    if (!row_takes(section, option, min) || !row_takes(section, option, max))
        return false;
    option->type->format(option->max + (option->type == &option_duration ? OPTION_US : 1), outside);
    snprintf(message, sizeof message,
             option->later_above ? "not in this version: %s = %s" : "%s: %s is more than %s",
             option->name, outside, max);
    if (!row_refuses(section, option, outside, message))
        return false;
    if (!option->min) {
        snprintf(message, sizeof message, "%s: -1 is not a %s (%s)", option->name,
                 option->type->name, option->type->form);
        return row_refuses(section, option, "-1", message);
    }
    option->type->format(option->min - (option->type == &option_duration ? OPTION_US : 1), outside);
    snprintf(message, sizeof message, "%s: %s is less than %s", option->name, outside, min);
    return row_refuses(section, option, outside, message);
}

TEST(every_number_is_taken_at_its_bounds_and_refused_just_outside)
{
    check(all_rows(number_keeps_bounds));
}

static bool text_keeps_bounds(const struct settings_section *section, const struct option *option)
{
    char value[8200], message[200];
    bool text = option->type == &option_text || option->type == &option_name ||
                option->type == &option_path;

    if (!text)
        return true;
    memset(value, 'x', sizeof value);
    value[option->max] = 0;
    if (!row_takes(section, option, value) || !row_takes(section, option, "x"))
        return false;
    value[option->max] = 'x';
    value[option->max + 1] = 0;
    if (option->max + 32 > config_line_max())
        return !row_takes(section, option, value);
    snprintf(message, sizeof message, "%s: longer than %u bytes", option->name,
             (unsigned)option->max);
    return row_refuses(section, option, value, message);
}

TEST(every_text_has_a_longest_length)
{
    check(all_rows(text_keeps_bounds));
}

static bool rate_keeps_bounds(const struct settings_section *section, const struct option *option)
{
    static const char *const inside[] = {"1/h", "1000000/s", "1/s burst=1", "1/s burst=1000000"};
    static const char *const outside[] = {"0/s",         "1000001/s",         "-1/s",   "1/d",
                                          "1/s burst=0", "1/s burst=1000001", "1/s 1/s"};

    if (option->type != &option_rate)
        return true;
    for (size_t i = 0; i < ARRAY_COUNT(inside); i++)
        if (!row_takes(section, option, inside[i]))
            return false;
    for (size_t i = 0; i < ARRAY_COUNT(outside); i++)
        if (row_takes(section, option, outside[i]))
            return false;
    return true;
}

TEST(every_rate_is_taken_at_its_bounds_and_refused_just_outside)
{
    check(all_rows(rate_keeps_bounds));
}

/* But where any text will do. */
static bool nonsense_is_refused(const struct settings_section *section, const struct option *option)
{
    bool any = option->type == &option_text || option->type == &option_path ||
               option->type == &option_list;

    return any || !row_takes(section, option, "no such thing?");
}

TEST(every_option_refuses_nonsense)
{
    check(all_rows(nonsense_is_refused));
}

static bool words_are_known(const struct settings_section *section, const struct option *option)
{
    char message[200];

    for (const struct option_choice *choice = option->choices; choice && choice->name; choice++) {
        snprintf(message, sizeof message, "not in this version: %s = %s", option->name,
                 choice->name);
        if (choice->later ? !row_refuses(section, option, choice->name, message)
                          : !row_takes(section, option, choice->name))
            return false;
    }
    return option->type != &option_choice || !row_takes(section, option, "nonsense");
}

TEST(every_word_of_a_choice_is_taken_or_not_in_this_version)
{
    check(all_rows(words_are_known));
}

static bool default_is_taken(const struct settings_section *section, const struct option *option)
{
    return !option->standard || row_takes(section, option, option->standard);
}

TEST(every_default_is_a_value_within_bounds)
{
    check(all_rows(default_is_taken));
}

static bool empty_is_refused(const struct settings_section *section, const struct option *option)
{
    char message[100];

    snprintf(message, sizeof message, "%s: empty value", option->name);
    return row_refuses(section, option, "", message);
}

TEST(every_option_refuses_an_empty_value)
{
    check(all_rows(empty_is_refused));
}

static bool second_is_refused(const struct settings_section *section, const struct option *option)
{
    char lines[200], line[200];
    const char *value = option->standard ? option->standard : "127.0.0.1:9";

    if (option->repeatable)
        return true;
    snprintf(lines, sizeof lines, "%s = %s\n%s = %s\n", option->name, value, option->name, value);
    compose(section->kind, option->name, lines);
    snprintf(line, sizeof line, "t.ini:3: option given twice: %s, first at t.ini:2", option->name);
    return refuses(document, line);
}

TEST(every_option_meant_once_is_refused_twice)
{
    check(all_rows(second_is_refused));
}

static bool section_knows(const struct settings_section *section, const char *name)
{
    if (option_find(section->options, section->option_count, name))
        return true;
    for (const char *const *later = section->later; *later; later++)
        if (strcmp(*later, name) == 0)
            return true;
    return false;
}

static bool strange_elsewhere(const struct settings_section *section, const struct option *option)
{
    char lines[100], line[200];

    for (uint32_t i = 0; i < settings_section_count; i++) {
        const struct settings_section *other = &settings_sections[i];

        if (other == section || section_knows(other, option->name))
            continue;
        snprintf(lines, sizeof lines, "%s = 1\n", option->name);
        compose(other->kind, NULL, lines);
        if (strcmp(other->kind, "client") == 0 && strcmp(section->kind, "server") == 0)
            snprintf(line, sizeof line, "t.ini:2: %s belongs in [server], since there is one",
                     option->name);
        else
            snprintf(line, sizeof line, "t.ini:2: unknown option: %s", option->name);
        if (strcmp(option->name, "include") != 0 && !refuses(document, line))
            return false;
    }
    return true;
}

TEST(every_option_is_unknown_in_the_wrong_section)
{
    check(all_rows(strange_elsewhere));
}

static bool lack_is_refused(const struct settings_section *section, const struct option *option)
{
    char line[200];

    if (!option->required)
        return true;
    compose(section->kind, option->name, "");
    snprintf(line, sizeof line, "t.ini:1: missing option: %s", option->name);
    return refuses(document, line);
}

TEST(every_required_option_is_missed)
{
    check(all_rows(lack_is_refused));
}

TEST(unknown_options_and_sections_are_named)
{
    for (uint32_t i = 0; i < settings_section_count; i++) {
        compose(settings_sections[i].kind, NULL, "nonsense = 1\n");
        check(refuses(document, "t.ini:2: unknown option: nonsense"));
    }
    check(refuses("[nonsense]\nx = 1\n", "t.ini:1: unknown section: [nonsense]"));
    check(!strstr(printed, "t.ini:2:"));
}

TEST(what_the_contract_promises_for_later_is_said_to_be_so)
{
    char lines[100], line[200];

    for (uint32_t i = 0; i < settings_section_count; i++)
        for (const char *const *later = settings_sections[i].later; *later; later++) {
            snprintf(lines, sizeof lines, "%s = 1\n", *later);
            compose(settings_sections[i].kind, NULL, lines);
            snprintf(line, sizeof line, "t.ini:2: not in this version: %s", *later);
            check(refuses(document, line));
        }
    for (const char *const *later = settings_later_sections; *later; later++) {
        snprintf(lines, sizeof lines, "[%s x]\n", *later);
        snprintf(line, sizeof line, "t.ini:1: not in this version: [%s]", *later);
        check(refuses(lines, line));
    }
}

TEST(a_name_stands_where_a_section_wants_one_and_nowhere_else)
{
    check(refuses("[tls]\n", "t.ini:1: expected [tls NAME]"));
    check(refuses("[server x]\n", "t.ini:1: expected [server]"));
}

/* ---- values ---- */

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
        parse("[server]\ncpus = 4, 0-2\ncpus = 1023\n" BACKEND LISTENER "bind = 127.0.0.1:5\n");
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
