/* Values that only a relay has: hosts, and lines that name a server. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/mem.h"
#include "core/text.h"
#include "relay/settings_rows.h"

static int srv_read(const struct option *option, struct option_input *input, const char *text,
                    struct host *host)
{
    uint16_t port;

    if (host_port_split(text, host->name, &port) || port || strchr(host->name, ':'))
        return option_refuse(input, "%s: srv:%s is not srv:NAME", option->name, text);
    host->srv = true;
    return 0;
}

/* A pool's server may have no port, and be many. */
static int host_read(const struct option *option, struct option_input *input, const char *text,
                     bool in_pool, struct host *host)
{
    char name[sizeof host->name];

    *host = (struct host){0};
    if (strncmp(text, "srv:", 4) == 0 && in_pool)
        return srv_read(option, input, text + 4, host);
    if (strncmp(text, "srv:", 4) == 0)
        return option_refuse(input, "%s: srv:NAME is for the servers of a [backend]", option->name);
    if (strncmp(text, "unix:", 5) == 0) {
        if (!text[5] || addr_from_path(&host->addr, text + 5))
            return option_refuse(input, "%s: %s: a socket's path is 1 to 107 bytes", option->name,
                                 text);
        return 0;
    }
    if (host_port_split(text, name, &host->port))
        return option_refuse(input, "%s: %s is not HOST:PORT", option->name, text);
    if (!host->port && !in_pool)
        return option_refuse(input, "%s: %s has no port", option->name, text);
    memcpy(host->name, name, sizeof name);
    if (addr_from_host(&host->addr, name, host->port))
        host->addr.length = 0; /* a name, to be resolved */
    return 0;
}

static int host_parse(const struct option *option, struct option_input *input, void *field)
{
    return host_read(option, input, input->value, false, field);
}

/* Cuts one `key=value` word off *rest; NULL: there is none left. */
static char *parameter_next(char **rest, char **value)
{
    char *word = NULL;

    while (*rest && (word = strsep(rest, " \t")) && !*word)
        word = NULL;
    if (!word)
        return NULL;
    *value = strchr(word, '=');
    if (*value)
        *(*value)++ = 0;
    return word;
}

/* What may stand behind the address of a backend's server, beside name=. */
static const struct option_choice server_tiers[] = {
    {"vip",     TIER_VIP, false},
    {"normal",    TIER_NORMAL, false},
    {"standby",  TIER_STANDBY, false},
    {"fallback",    TIER_FALLBACK, false},
    {0}
};
static const struct option backend_parameters[] = {
    OPTION(count, backend_server, weight, "weight", NULL, 1, 256, RELOAD_NEW, "Its share."),
    OPTION(choice, backend_server, tier, "tier", NULL, 0, 0, RELOAD_NEW, "When it is used.",
           .choices = server_tiers),
    OPTION(count, backend_server, max_conn, "max_conn", NULL, 1, 1000000, RELOAD_NEW,
           "Connections at once."),
};

/* Where a line's words go: its name, and the fields of `rows`. */
struct server_line {
    char *name;
    size_t name_max;
    const struct option *rows;
    size_t row_count;
    void *fields;
    uint32_t given; /* bits by row */
};

static int parameter_twice(const struct option *option, struct option_input *input,
                           const char *word)
{
    return option_refuse(input, "%s: parameter given twice: %s", option->name, word);
}

static int server_name_read(const struct option *option, struct option_input *input,
                            const struct server_line *line, const char *value)
{
    if (*line->name)
        return parameter_twice(option, input, "name");
    if (!*value)
        return option_refuse(input, "%s: name: empty value", option->name);
    if (strlen(value) > line->name_max)
        return option_refuse(input, "%s: name: longer than %zu bytes", option->name,
                             line->name_max);
    memcpy(line->name, value, strlen(value) + 1);
    return 0;
}

static int server_row_read(const struct option *option, struct option_input *input,
                           struct server_line *line, size_t row, const char *value)
{
    const struct option *parameter = &line->rows[row];
    const char *whole = input->value;
    int rc;

    if (line->given & 1u << row)
        return parameter_twice(option, input, parameter->name);
    if (!*value)
        return option_refuse(input, "%s: %s: empty value", option->name, parameter->name);
    line->given |= 1u << row;
    input->value = value;
    rc = parameter->type->parse(parameter, input, (char *)line->fields + parameter->offset);
    input->value = whole;
    return rc;
}

static int server_word_read(const struct option *option, struct option_input *input,
                            struct server_line *line, const char *word, const char *value)
{
    if (strcmp(word, "name") == 0)
        return server_name_read(option, input, line, value);
    for (size_t row = 0; row < line->row_count; row++)
        if (strcmp(word, line->rows[row].name) == 0)
            return server_row_read(option, input, line, row, value);
    return option_refuse(input, "%s: unknown parameter: %s", option->name, word);
}

/* Cuts `value` into the address, which is read, and what follows it. */
static int server_read(const struct option *option, struct option_input *input, bool in_pool,
                       struct host *host, struct server_line *line)
{
    char *copy = mem_text(input->value), *rest = copy, *address, *word, *value;
    int rc;

    if (!copy)
        return -ENOMEM;
    address = strsep(&rest, " \t");
    rc = host_read(option, input, address, in_pool, host);
    while (!rc && (word = parameter_next(&rest, &value)))
        rc = server_word_read(option, input, line, word, value ? value : "");
    mem_free(copy);
    return rc;
}

/* What logs call a server that was given no name: its address as it was written. */
static int backend_server_name(const struct option *option, struct option_input *input,
                               struct backend_server *server)
{
    size_t length = strcspn(input->value, " \t");

    if (*server->name) {
        if (!option_name_valid(server->name))
            return option_refuse(input, "%s: name: %s is not a name (%s)", option->name,
                                 server->name, option_name.form);
        return 0;
    }
    if (length >= sizeof server->name)
        return option_refuse(input, "%s: longer than %zu bytes, so it needs a name=", option->name,
                             sizeof server->name - 1);
    memcpy(server->name, input->value, length);
    server->name[length] = 0;
    return 0;
}

static int backend_servers_parse(const struct option *option, struct option_input *input,
                                 void *field)
{
    struct backend_settings *backend = container_of(field, struct backend_settings, server_count);
    struct backend_server server = {.tier = TIER_NORMAL};
    struct server_line line = {server.name,
                               sizeof server.name - 1,
                               backend_parameters,
                               ARRAY_COUNT(backend_parameters),
                               &server,
                               0};
    int rc = server_read(option, input, true, &server.host, &line);

    if (!rc && server.host.srv && server.weight)
        rc = option_refuse(input, "%s: weight: the records of srv:NAME say it", option->name);
    if (!rc)
        rc = backend_server_name(option, input, &server);
    if (rc)
        return rc;
    for (uint32_t i = 0; i < backend->server_count; i++)
        if (strcmp(backend->servers[i].name, server.name) == 0)
            return option_refuse(input, "%s: given twice: %s", option->name, server.name);
    return option_add(option, input, (void **)&backend->servers, &backend->server_count, &server,
                      sizeof server);
}

static bool host_equal(const struct host *a, const struct host *b)
{
    return a->port == b->port && strcasecmp(a->name, b->name) == 0;
}

static int client_servers_parse(const struct option *option, struct option_input *input,
                                void *field)
{
    struct client_settings *client = container_of(field, struct client_settings, server_count);
    struct client_server server = {0};
    struct server_line line = {.name = server.server_name,
                               .name_max = sizeof server.server_name - 1};
    int rc = server_read(option, input, false, &server.host, &line);

    if (rc)
        return rc;
    if (!*server.host.name)
        return option_refuse(input, "%s: a tunnel needs HOST:PORT, not a path", option->name);
    if (!*server.server_name)
        memcpy(server.server_name, server.host.name, sizeof server.server_name);
    for (uint32_t i = 0; i < client->server_count; i++)
        if (host_equal(&client->servers[i].host, &server.host))
            return option_refuse(input, "%s: given twice: %s", option->name, input->value);
    return option_add(option, input, (void **)&client->servers, &client->server_count, &server,
                      sizeof server);
}

static void backend_servers_release(void *field)
{
    struct backend_settings *backend = container_of(field, struct backend_settings, server_count);

    mem_free(backend->servers);
    backend->servers = NULL;
    backend->server_count = 0;
}

static void client_servers_release(void *field)
{
    struct client_settings *client = container_of(field, struct client_settings, server_count);

    mem_free(client->servers);
    client->servers = NULL;
    client->server_count = 0;
}

static int web_path_parse(const struct option *option, struct option_input *input, void *field)
{
    if (input->value[0] != '/')
        return option_refuse(input, "%s: %s does not begin with /", option->name, input->value);
    if (strlen(input->value) > option->max)
        return option_refuse(input, "%s: longer than %u bytes", option->name,
                             (unsigned)option->max);
    for (const char *at = input->value; *at; at++)
        if (*at <= ' ' || *at > '~')
            return option_refuse(input, "%s: %s: blanks and other bytes are to be written as %%XX",
                                 option->name, input->value);
    snprintf(field, option->size, "%s", input->value);
    return 0;
}

/* clang-format off */
const struct option_type option_web_path = {
    .name = "path", .form = "/PATH, of a URL", .parse = web_path_parse};
const struct option_type option_host = {
    .name = "address", .form = "HOST:PORT or unix:PATH", .parse = host_parse,
    .size = sizeof(struct host)};
const struct option_type option_backend_servers = {
    .name = "server", .form = "HOST:PORT, HOST, unix:PATH or srv:NAME, weight= tier= max_conn= name=", .parse = backend_servers_parse,
    .release = backend_servers_release, .size = sizeof(uint32_t)};
const struct option_type option_client_servers = {
    .name = "server", .form = "HOST:PORT, name=NAME", .parse = client_servers_parse,
    .release = client_servers_release, .size = sizeof(uint32_t)};
/* clang-format on */
