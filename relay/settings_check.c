/* What a section's rows cannot know: how options and sections fit together. */
#include <errno.h>
#include <string.h>

#include "core/mem.h"
#include "core/sock.h"
#include "relay/settings_rows.h"

/* Where `key` was said, else where its section begins. */
static struct config_place place_of(const struct config_section *section, const char *key)
{
    const struct config_entry *entry = config_find(section, key);

    return entry ? entry->place : section->place;
}

static struct tls_settings *tls_find(struct settings *settings, const char *name)
{
    for (uint32_t i = 0; i < settings->tls_count; i++)
        if (strcmp(settings->tls[i].name, name) == 0)
            return &settings->tls[i];
    return NULL;
}

void settings_check_tls(struct config *config, struct settings *settings,
                        const struct config_section *section)
{
    struct tls_settings *tls = section->target;
    bool has_cert = config_find(section, "cert"), has_key = config_find(section, "key");

    tls->line = section->place.line;
    tls->file = mem_text(section->place.file);
    tls->client_auth_given = config_find(section, "client_auth");
    if (!tls->file)
        config->out_of_memory = true;
    if (has_cert && !has_key)
        config_error(config, place_of(section, "cert"), "cert: there is no key with it");
    if (has_key && !has_cert)
        config_error(config, place_of(section, "key"), "key: there is no cert with it");
    if (!has_cert && !has_key && !config_find(section, "ca"))
        config_error(config, section->place, "[tls %s] has neither cert and key nor ca", tls->name);
    if (tls->client_auth_given && tls->client_auth != TLS_CLIENT_NONE &&
        !config_find(section, "ca"))
        config_error(config, place_of(section, "client_auth"),
                     "client_auth: there is no ca to check certificates with");
}

/* The [tls] that `section` names, with certificate and CA; NULL after an error. */
static struct tls_settings *tls_of(struct config *config, struct settings *settings,
                                   const struct config_section *section)
{
    const struct config_entry *entry = config_find(section, "tls");
    struct tls_settings *tls;
    const char *lacks = NULL;

    if (!entry || !*entry->value)
        return NULL;
    tls = tls_find(settings, entry->value);
    if (!tls)
        config_error(config, entry->place, "tls: there is no [tls %s]", entry->value);
    else if (!config_find(config_section(config, "tls", tls->name), "cert"))
        lacks = "cert";
    else if (!config_find(config_section(config, "tls", tls->name), "ca"))
        lacks = "ca";
    if (lacks)
        config_error(config, entry->place, "tls: [tls %s] has no %s, which mtls needs", tls->name,
                     lacks);
    return lacks ? NULL : tls;
}

static void tunnel_check_windows(struct config *config, const struct tunnel_settings *tunnel,
                                 const struct config_section *section)
{
    if (tunnel->stream_window > tunnel->stream_window_max)
        config_error(config, place_of(section, "stream_window"),
                     "stream_window is above stream_window_max");
    if (tunnel->stream_window_max > tunnel->connection_window_max)
        config_error(config, place_of(section, "stream_window_max"),
                     "stream_window_max is above connection_window_max");
}

static void tunnel_check_times(struct config *config, const struct tunnel_settings *tunnel,
                               const struct config_section *section)
{
    if (tunnel->heartbeat_ns >= tunnel->health_timeout_ns)
        config_error(config, place_of(section, "heartbeat"),
                     "heartbeat is not below health_timeout");
    if (tunnel->heartbeat_ns >= tunnel->idle_timeout_ns)
        config_error(config, place_of(section, "heartbeat"), "heartbeat is not below idle_timeout");
}

void settings_check_tunnel(struct config *config, struct settings *settings,
                           const struct config_section *section)
{
    struct tunnel_settings *tunnel = section->target;
    struct tls_settings *tls = tls_of(config, settings, section);

    tunnel->tls = tls;
    tunnel_check_windows(config, tunnel, section);
    tunnel_check_times(config, tunnel, section);
    if (!tls)
        return;
    if (!tls->client_auth_given)
        tls->client_auth = TLS_CLIENT_REQUIRED;
    else if (tls->client_auth != TLS_CLIENT_REQUIRED)
        config_error(config, place_of(config_section(config, "tls", tls->name), "client_auth"),
                     "client_auth must be required: [tunnel %s] uses mtls", tunnel->name);
}

/* The kernel counts in seconds: an idle time is never rounded down to none. */
static uint64_t whole_seconds(uint64_t ns)
{
    return (ns + OPTION_SECOND - 1) / OPTION_SECOND * OPTION_SECOND;
}

/* Only what the file names is asked after: a kernel without the standard one goes on with its own.
 */
static void check_congestion(struct config *config, const struct config_section *section)
{
    const struct config_entry *entry = config_find(section, "tcp_congestion");
    int rc = entry && *entry->value ? sock_try_congestion(&os_linux, entry->value) : 0;

    if (rc == -ENOENT)
        config_error(config, entry->place,
                     "tcp_congestion: this kernel has no %s, or has not loaded it", entry->value);
    else if (rc == -EPERM)
        config_error(
            config, entry->place,
            "tcp_congestion: %s is for root, unless net.ipv4.tcp_allowed_congestion_control "
            "names it",
            entry->value);
}

static void listener_check_proxy(struct config *config, const struct listener_settings *listener,
                                 const struct config_section *section)
{
    bool accepts = listener->accept_proxy != ACCEPT_PROXY_NO;

    if (accepts && !listener->accept_proxy_from.count)
        config_error(config, place_of(section, "accept_proxy"),
                     "accept_proxy: accept_proxy_from must say from whom");
    if (!accepts && listener->accept_proxy_from.count)
        config_error(config, place_of(section, "accept_proxy_from"),
                     "accept_proxy_from: accept_proxy is no");
    if (accepts && listener->protocol != PROTOCOL_TCP)
        config_error(config, place_of(section, "accept_proxy"), "accept_proxy is for TCP only");
}

static const struct backend_settings *backend_of(const struct config *config,
                                                 const struct listener_settings *listener)
{
    const struct config_section *section =
        listener->backend ? config_section(config, "backend", listener->backend) : NULL;

    return section ? section->target : NULL;
}

/* Whether it is reached at the port that the user came by. */
static bool host_takes_port(const struct host *host)
{
    return addr_family(&host->addr) != AF_UNIX && !host->srv && !host->port;
}

/* What a listener's binds and a backend's servers ask of each other. */
static void listener_check_servers(struct config *config, const struct listener_settings *listener,
                                   const struct config_section *section)
{
    const struct backend_settings *backend = backend_of(config, listener);
    bool has_path = false;

    for (uint32_t i = 0; i < listener->bind.count; i++)
        has_path |= addr_family(&listener->bind.items[i].addr) == AF_UNIX;
    if (has_path && listener->protocol & PROTOCOL_UDP)
        config_error(config, place_of(section, "bind"), "bind: unix:PATH is for TCP only");
    if (!backend)
        return;
    for (uint32_t i = 0; i < backend->server_count; i++)
        if (has_path && host_takes_port(&backend->servers[i].host))
            config_error(config, place_of(section, "bind"),
                         "bind: unix:PATH has no port, and neither has server %s of [backend %s]",
                         backend->servers[i].name, backend->name);
    if (listener->protocol & PROTOCOL_UDP && backend->send_proxy == SEND_PROXY_V1)
        config_error(config, place_of(section, "backend"),
                     "backend: [backend %s] sends PROXY v1, which is for TCP only", backend->name);
}

void settings_check_listener(struct config *config, struct settings *settings,
                             const struct config_section *section)
{
    struct listener_settings *listener = section->target;

    listener->keepalive_ns = whole_seconds(listener->keepalive_ns);
    if (listener->service && !option_name_valid(listener->service))
        config_error(config, place_of(section, "service"), "service: %s is not a name (%s)",
                     listener->service, option_name.form);
    if (listener->backend && !config_section(config, "backend", listener->backend) &&
        !config_section(config, "tunnel", listener->backend))
        config_error(config, place_of(section, "backend"),
                     "backend: there is no [backend %s] and no [tunnel %s]", listener->backend,
                     listener->backend);
    check_congestion(config, section);
    listener_check_proxy(config, listener, section);
    listener_check_servers(config, listener, section);
}

static void backend_check_health(struct config *config, const struct backend_settings *backend,
                                 const struct config_section *section)
{
    for (uint32_t i = 0; backend->health != HEALTH_NONE && i < backend->server_count; i++) {
        const struct backend_server *server = &backend->servers[i];

        if (host_takes_port(&server->host))
            config_error(config, place_of(section, "health"),
                         "health: server %s has no port to be asked at", server->name);
        else if (backend->health == HEALTH_UDP && addr_family(&server->host.addr) == AF_UNIX)
            config_error(config, place_of(section, "health"),
                         "health: server %s is a path, which is for TCP only", server->name);
    }
}

void settings_check_backend(struct config *config, struct settings *settings,
                            const struct config_section *section)
{
    struct backend_settings *backend = section->target;
    const struct config_section *tunnel = config_section(config, "tunnel", backend->name);

    backend->keepalive_ns = whole_seconds(backend->keepalive_ns);
    check_congestion(config, section);
    backend_check_health(config, backend, section);
    if (!tunnel)
        return;
    if (config_before(section->place, tunnel->place))
        config_error(config, tunnel->place, "there is a [backend %s] at %s:%u: they share names",
                     backend->name, section->place.file, section->place.line);
    else
        config_error(config, section->place, "there is a [tunnel %s] at %s:%u: they share names",
                     backend->name, tunnel->place.file, tunnel->place.line);
}

void settings_check_client(struct config *config, struct settings *settings,
                           const struct config_section *section)
{
    struct client_settings *client = section->target;

    client->present = true;
    client->tls = tls_of(config, settings, section);
    if (client->reconnect_min_ns > client->reconnect_max_ns)
        config_error(config, place_of(section, "reconnect_min"),
                     "reconnect_min is above reconnect_max");
    if (!settings->service_count)
        config_error(config, section->place,
                     "[client] offers nothing: there is no [service] and no local");
}

void settings_check_service(struct config *config, struct settings *settings,
                            const struct config_section *section)
{
    if (!config_section(config, "client", NULL))
        config_error(config, section->place, "[service] needs a [client] that offers it");
}

void settings_check_all(struct config *config, struct settings *settings)
{
    if (!config_good(config))
        return;
    if (!settings->listener_count && !settings->tunnel_count && !settings->client.present)
        config_error(config, config_start(config),
                     "nothing to do: no [listener], no [tunnel], no [client]");
    else
        settings_check_binds(config, settings);
}
