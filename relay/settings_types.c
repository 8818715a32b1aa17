/* Values that only a relay has: hosts, and lines that name a server. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/mem.h"
#include "core/text.h"
#include "relay/settings_rows.h"

static int host_read(const struct option *option, struct option_input *input, const char *text,
                     bool port_needed, struct host *host)
{
    char name[sizeof host->name];

    *host = (struct host){0};
    if (strncmp(text, "srv:", 4) == 0)
        return option_refuse(input, "not in this version: %s = srv:NAME", option->name);
    if (strncmp(text, "unix:", 5) == 0) {
        if (!text[5] || addr_from_path(&host->addr, text + 5))
            return option_refuse(input, "%s: %s: a socket's path is 1 to 107 bytes", option->name,
                                 text);
        return 0;
    }
    if (host_port_split(text, name, &host->port))
        return option_refuse(input, "%s: %s is not HOST:PORT", option->name, text);
    if (!host->port && port_needed)
        return option_refuse(input, "%s: %s has no port", option->name, text);
    memcpy(host->name, name, sizeof name);
    if (addr_from_host(&host->addr, name, host->port))
        host->addr.length = 0; /* a name, to be resolved */
    return 0;
}

static int host_parse(const struct option *option, struct option_input *input, void *field)
{
    return host_read(option, input, input->value, true, field);
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

/* What stands behind the address of a server: so far only name=, once. */
static int server_name_read(const struct option *option, struct option_input *input, char *rest,
                            char *name, size_t max)
{
    static const char *const later[] = {"weight", "tier", "max_conn"};
    char *word, *value;

    while ((word = parameter_next(&rest, &value))) {
        for (size_t i = 0; i < ARRAY_COUNT(later); i++)
            if (strcmp(word, later[i]) == 0)
                return option_refuse(input, "not in this version: %s", word);
        if (strcmp(word, "name") != 0)
            return option_refuse(input, "%s: unknown parameter: %s", option->name, word);
        if (*name)
            return option_refuse(input, "%s: parameter given twice: name", option->name);
        if (!value || !*value)
            return option_refuse(input, "%s: name: empty value", option->name);
        if (strlen(value) > max)
            return option_refuse(input, "%s: name: longer than %zu bytes", option->name, max);
        memcpy(name, value, strlen(value) + 1);
    }
    return 0;
}

/* Cuts `value` into the address, which is read, and what follows it. */
static int server_read(const struct option *option, struct option_input *input, bool port_needed,
                       struct host *host, char *name, size_t max)
{
    char *copy = mem_text(input->value), *rest = copy, *address;
    int rc;

    if (!copy)
        return -ENOMEM;
    address = strsep(&rest, " \t");
    rc = host_read(option, input, address, port_needed, host);
    if (!rc)
        rc = server_name_read(option, input, rest, name, max);
    mem_free(copy);
    return rc;
}

static int servers_full(const struct option *option, struct option_input *input)
{
    return option_refuse(input, "%s: more than %" PRIu64 " of them", option->name, option->max);
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
    struct backend_server server = {0}, *slot;
    int rc = server_read(option, input, false, &server.host, server.name, sizeof server.name - 1);

    if (!rc)
        rc = backend_server_name(option, input, &server);
    if (rc)
        return rc;
    for (uint32_t i = 0; i < backend->server_count; i++)
        if (strcmp(backend->servers[i].name, server.name) == 0)
            return option_refuse(input, "%s: given twice: %s", option->name, server.name);
    if (backend->server_count >= option->max)
        return servers_full(option, input);
    slot = option_grow((void **)&backend->servers, &backend->server_count, sizeof *slot);
    if (!slot)
        return -ENOMEM;
    *slot = server;
    return 0;
}

static bool host_equal(const struct host *a, const struct host *b)
{
    return a->port == b->port && strcasecmp(a->name, b->name) == 0;
}

static int client_servers_parse(const struct option *option, struct option_input *input,
                                void *field)
{
    struct client_settings *client = container_of(field, struct client_settings, server_count);
    struct client_server server = {0}, *slot;
    int rc = server_read(option, input, true, &server.host, server.server_name,
                         sizeof server.server_name - 1);

    if (rc)
        return rc;
    if (!*server.host.name)
        return option_refuse(input, "%s: a tunnel needs HOST:PORT, not a path", option->name);
    if (!*server.server_name)
        memcpy(server.server_name, server.host.name, sizeof server.server_name);
    for (uint32_t i = 0; i < client->server_count; i++)
        if (host_equal(&client->servers[i].host, &server.host))
            return option_refuse(input, "%s: given twice: %s", option->name, input->value);
    if (client->server_count >= option->max)
        return servers_full(option, input);
    slot = option_grow((void **)&client->servers, &client->server_count, sizeof *slot);
    if (!slot)
        return -ENOMEM;
    *slot = server;
    return 0;
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

/* clang-format off */
const struct option_type option_host = {
    .name = "address", .form = "HOST:PORT or unix:PATH", .parse = host_parse,
    .size = sizeof(struct host)};
const struct option_type option_backend_servers = {
    .name = "server", .form = "HOST:PORT, HOST or unix:PATH, name=NAME", .parse = backend_servers_parse,
    .release = backend_servers_release, .size = sizeof(uint32_t)};
const struct option_type option_client_servers = {
    .name = "server", .form = "HOST:PORT, name=NAME", .parse = client_servers_parse,
    .release = client_servers_release, .size = sizeof(uint32_t)};
/* clang-format on */
