#include "relay/settings_rows.h"

#include <string.h>

/* clang-format off */
static const struct option_choice auto_or_number[] = {{"auto", 0, false}, {0}};
static const struct option_choice log_levels[] = {
    {"debug", LOG_DEBUG, false}, {"info", LOG_INFO, false}, {"warn", LOG_WARN, false},
    {"error", LOG_ERROR, false}, {0}};
static const struct option_choice log_formats[] = {
    {"text", LOG_FORMAT_TEXT, false}, {"json", LOG_FORMAT_JSON, false}, {0}};
static const struct option_choice log_files[] = {{"stderr", 0, false}, {0}};
static const struct option_choice client_auths[] = {
    {"none", TLS_CLIENT_NONE, false}, {"optional", TLS_CLIENT_OPTIONAL, false},
    {"required", TLS_CLIENT_REQUIRED, false}, {0}};
static const struct option_choice tunnel_auths[] = {
    {"mtls", TUNNEL_AUTH_MTLS, false}, {"token", 0, true}, {0}};
static const struct option_choice balances[] = {
    {"round_robin", BALANCE_ROUND_ROBIN, false}, {"least_conn", BALANCE_LEAST_CONN, false},
    {"least_requests", BALANCE_LEAST_CONN, false}, {"random", BALANCE_RANDOM, false},
    {"weighted", BALANCE_WEIGHTED, false}, {"first", BALANCE_FIRST, false},
    {"p2c", BALANCE_P2C, false}, {"source_hash", BALANCE_SOURCE_HASH, false}, {0}};
static const struct option_choice tunnel_balances[] = {
    {"round_robin", BALANCE_ROUND_ROBIN, false}, {"least_conn", BALANCE_LEAST_CONN, false},
    {"least_requests", BALANCE_LEAST_CONN, false}, {"random", BALANCE_RANDOM, false},
    {"first", BALANCE_FIRST, false}, {"p2c", BALANCE_P2C, false},
    {"source_hash", BALANCE_SOURCE_HASH, false}, {0}};
static const struct option_choice replays[] = {
    {"unseen", REPLAY_UNSEEN, false}, {"refused", REPLAY_REFUSED, false}, {0}};
static const struct option_choice retries[] = {{"auto", false, false}, {"always", true, false}, {0}};
static const struct option_choice congestions[] = {
    {"cubic", QUIC_CUBIC, false}, {"bbr", QUIC_BBR, false}, {"reno", QUIC_RENO, false}, {0}};
static const struct option_choice listener_protocols[] = {
    {"tcp", PROTOCOL_TCP, false}, {"udp", PROTOCOL_UDP, false}, {"both", PROTOCOL_BOTH, false},
    {"http", 0, true}, {"http3", 0, true}, {0}};
static const struct option_choice service_protocols[] = {
    {"tcp", PROTOCOL_TCP, false}, {"udp", PROTOCOL_UDP, false}, {"both", PROTOCOL_BOTH, false}, {0}};
static const struct option_choice zero_copies[] = {
    {"auto", ZERO_COPY_AUTO, false}, {"yes", ZERO_COPY_YES, false}, {"no", ZERO_COPY_NO, false},
    {0}};
static const struct option_choice send_proxies[] = {
    {"no", SEND_PROXY_NO, false}, {"v1", SEND_PROXY_V1, false}, {"v2", SEND_PROXY_V2, false}, {0}};
static const struct option_choice send_proxies_udp[] = {
    {"every", SEND_PROXY_EVERY, false}, {"first", SEND_PROXY_FIRST, false},
    {"own", SEND_PROXY_OWN, false}, {0}};
static const struct option_choice healths[] = {
    {"none", HEALTH_NONE, false}, {"tcp", HEALTH_TCP, false}, {"tls", HEALTH_TLS, false},
    {"http", HEALTH_HTTP, false}, {"udp", HEALTH_UDP, false}, {0}};
static const struct option_choice accept_proxies[] = {
    {"no", ACCEPT_PROXY_NO, false}, {"v1", ACCEPT_PROXY_V1, false},
    {"v2", ACCEPT_PROXY_V2, false}, {"any", ACCEPT_PROXY_ANY, false}, {0}};

static const struct option process_options[] = {
    OPTION(count, process_settings, workers, "workers", "auto", 1,
           SETTINGS_WORKERS_MAX, RELOAD_RESTART,
           "Rings, each with a thread of its own; auto is one per core it may run on.",
           .choices = auto_or_number),
    OPTION(cpus, process_settings, cpus, "cpus", NULL, 0, SETTINGS_WORKERS_MAX, RELOAD_RESTART,
           "Cores that workers are pinned to, one after the other, such as 0,2-5.",
           .repeatable = true),
    OPTION(count, process_settings, nofile, "nofile", "auto", 64, 1u << 30, RELOAD_RESTART,
           "Descriptors the process may have; auto is all that the system lets it have.",
           .choices = auto_or_number),
    OPTION(user, process_settings, user, "user", NULL, 0, 0, RELOAD_RESTART,
           "Who the process runs as once its ports are bound."),
    OPTION(group, process_settings, group, "group", NULL, 0, 0, RELOAD_RESTART,
           "The group that it runs in; default: the user's own."),
    OPTION(path, process_settings, pid_file, "pid_file", NULL, 1, 4000, RELOAD_RESTART,
           "Holds the number of the process while it runs."),
    OPTION(list, process_settings, include, "include", NULL, 0, CONFIG_FILES_MAX, RELOAD_LIVE,
           "More files, or one pattern such as conf.d/*.ini, read in sorted order.",
           .repeatable = true),
    OPTION(duration, process_settings, drain_timeout_ns, "drain_timeout", "30s", 0,
           24 * OPTION_HOUR, RELOAD_LIVE,
           "How long a draining process waits for open connections."),
    OPTION(duration, process_settings, spin_ns, "spin", "50us", 0, 10 * OPTION_MS, RELOAD_RESTART,
           "How long a worker looks for work before it sleeps, unless others want its core."),
};
static const char *const process_later[] = {
    "state_dir", "sandbox", "memory_limit", NULL};

static const char *const nothing_later[] = {NULL};

static const struct option log_options[] = {
    OPTION(choice, log_settings, level, "level", "info", 0, 0, RELOAD_LIVE,
           "The least severe lines that are written.", .choices = log_levels),
    OPTION(choice, log_settings, format, "format", "text", 0, 0, RELOAD_LIVE,
           "Lines for people, or one JSON object a line.", .choices = log_formats),
    OPTION(path, log_settings, file, "file", "stderr", 1, 4000, RELOAD_LIVE,
           "Where lines go: stderr, or a file that is appended to.", .choices = log_files),
    OPTION(path, log_settings, access, "access", NULL, 1, 4000, RELOAD_LIVE,
           "A line for each finished connection and UDP session: a file, or stderr.",
           .choices = log_files),
    OPTION(choice, log_settings, access_format, "access_format", "text", 0, 0, RELOAD_LIVE,
           "How those lines are written.", .choices = log_formats),
};

static const struct option admin_options[] = {
    OPTION(path, admin_settings, socket, "socket", "/run/qmux-uring.sock", 1, 4000, RELOAD_RESTART,
           "Unix socket for status, top, reload, drain and stop; only its owner may use it."),
    OPTION(addr, admin_settings, http, "http", NULL, 0, 0, RELOAD_RESTART,
           "Address of /metrics, /healthz, /readyz and /api/v1/status; off unless set."),
    OPTION(boolean, admin_settings, http_public, "http_public", "no", 0, 0, RELOAD_RESTART,
           "Lets http be on an address that others can reach."),
};

static const struct option tls_options[] = {
    OPTION(path, tls_settings, cert, "cert", NULL, 1, 4000, RELOAD_NEW,
           "Certificate in PEM, with its chain behind it."),
    OPTION(path, tls_settings, key, "key", NULL, 1, 4000, RELOAD_NEW,
           "Private key in PEM; refused when others may read it."),
    OPTION(path, tls_settings, ca, "ca", NULL, 1, 4000, RELOAD_NEW,
           "Certificates in PEM that the peer's must be signed by."),
    OPTION(choice, tls_settings, client_auth, "client_auth", "none", 0, 0, RELOAD_NEW,
           "Whether clients must show a certificate; required wherever a tunnel uses mtls.",
           .choices = client_auths),
};
static const char *const tls_later[] = {
    "ticket_rotation", "ticket_overlap", "ticket_key_file", NULL};

static const struct option tunnel_options[] = {
    OPTION(addrs, tunnel_settings, listen, "listen", NULL, 0, 64, RELOAD_RESTART,
           "UDP address where tunnel clients dial in.", .required = true, .repeatable = true),
    OPTION(name, tunnel_settings, tls_name, "tls", NULL, 1, OPTION_NAME_MAX, RELOAD_NEW,
           "The [tls] that it shows and asks for.", .required = true),
    OPTION(choice, tunnel_settings, auth, "auth", "mtls", 0, 0, RELOAD_NEW,
           "How clients prove who they are.", .choices = tunnel_auths),
    OPTION(list, tunnel_settings, allow, "allow", NULL, 0, 1024, RELOAD_LIVE,
           "Names (SAN DNS or URI, * for a part of one) that may serve this tunnel.",
           .required = true, .repeatable = true),
    OPTION(choice, tunnel_settings, balance, "balance", "least_conn", 0, 0, RELOAD_NEW,
           "How one of several clients is picked.", .choices = tunnel_balances),
    OPTION(duration, tunnel_settings, heartbeat_ns, "heartbeat", "10s", 100 * OPTION_MS,
           OPTION_HOUR, RELOAD_NEW, "How often an idle client is asked for a sign of life."),
    OPTION(duration, tunnel_settings, health_timeout_ns, "health_timeout", "30s", 200 * OPTION_MS,
           OPTION_HOUR, RELOAD_NEW, "A client that answers no heartbeat for so long is dropped."),
    OPTION(duration, tunnel_settings, open_timeout_ns, "open_timeout", "300ms", 10 * OPTION_MS,
           OPTION_MINUTE, RELOAD_NEW, "An open not answered by then is tried on the next client."),
    OPTION(count, tunnel_settings, open_retries, "open_retries", "2", 0, PICK_TRIED_MAX - 1,
           RELOAD_NEW, "Further clients tried before the user is told."),
    OPTION(choice, tunnel_settings, replay, "replay", "unseen", 0, 0, RELOAD_NEW,
           "Whether an open that was not even acknowledged is tried elsewhere, or only a refused one.",
           .choices = replays),
    OPTION(duration, tunnel_settings, handshake_timeout_ns, "handshake_timeout", "10s",
           100 * OPTION_MS, 5 * OPTION_MINUTE, RELOAD_NEW, "How long a handshake may take."),
    OPTION(duration, tunnel_settings, idle_timeout_ns, "idle_timeout", "30s", OPTION_SECOND,
           OPTION_HOUR, RELOAD_NEW, "A connection on which nothing at all is heard for so long ends."),
    OPTION(choice, tunnel_settings, always_retry, "retry", "auto", 0, 0, RELOAD_NEW,
           "Whether new clients must prove their address first: under load, or always.",
           .choices = retries),
    OPTION(choice, tunnel_settings, congestion, "congestion", "cubic", 0, 0, RELOAD_NEW,
           "Congestion control of the tunnel.", .choices = congestions),
    OPTION(count, tunnel_settings, mtu, "mtu", "auto", 1200, 65000, RELOAD_NEW,
           "The largest UDP payload; auto finds out what the path takes.",
           .choices = auto_or_number),
    OPTION(count, tunnel_settings, max_clients, "max_clients", "10000", 1, 1000000, RELOAD_LIVE,
           "Clients registered at once."),
    OPTION(count, tunnel_settings, max_streams, "max_streams", "4096", 1, 1048576, RELOAD_NEW,
           "Connections open at once through one client."),
    OPTION(size, tunnel_settings, stream_window, "stream_window", "256k", 16 * OPTION_KIB,
           64 * OPTION_MIB, RELOAD_NEW, "Bytes in flight that one connection begins with."),
    OPTION(size, tunnel_settings, stream_window_max, "stream_window_max", "8m", 16 * OPTION_KIB,
           OPTION_GIB, RELOAD_NEW, "What that may grow to."),
    OPTION(size, tunnel_settings, connection_window_max, "connection_window_max", "16m",
           64 * OPTION_KIB, 4 * OPTION_GIB, RELOAD_NEW,
           "Bytes in flight of one client's connections together."),
    OPTION(count, tunnel_settings, datagram_queue, "datagram_queue", "256", 1, 65536, RELOAD_NEW,
           "UDP datagrams that may wait for one client; more are dropped."),
};
static const char *const tunnel_later[] = {"token_file", "compat", "on_duplicate", "zero_rtt", NULL};

static const struct option listener_options[] = {
    OPTION(binds, listener_settings, bind, "bind", NULL, 0, 64, RELOAD_LIVE,
           "Address where users arrive; unix:PATH may have mode=0660.", .required = true, .repeatable = true),
    OPTION(choice, listener_settings, protocol, "protocol", "tcp", 0, 0, RELOAD_RESTART,
           "What is taken in.", .choices = listener_protocols),
    OPTION(text, listener_settings, backend, "backend", NULL, 1, OPTION_NAME_MAX, RELOAD_NEW,
           "The [backend] or [tunnel] that users go to.", .required = true),
    OPTION(text, listener_settings, service, "service", "default", 1, OPTION_NAME_MAX, RELOAD_NEW,
           "Which of the tunnel client's services."),
    OPTION(count, listener_settings, max_connections, "max_connections", "0", 0, 10000000,
           RELOAD_LIVE, "Connections at once, more are closed; 0 is no limit of its own."),
    OPTION(count, listener_settings, backlog, "backlog", "4096", 1, 65535, RELOAD_LIVE,
           "Connections that may wait to be accepted."),
    OPTION(duration, listener_settings, idle_timeout_ns, "idle_timeout", "5m", OPTION_SECOND,
           168 * OPTION_HOUR, RELOAD_NEW, "A connection on which nothing moves for so long ends."),
    OPTION(duration, listener_settings, half_close_timeout_ns, "half_close_timeout", "5m",
           OPTION_SECOND, 168 * OPTION_HOUR, RELOAD_NEW,
           "The same once one side has said that it is done."),
    OPTION(duration, listener_settings, keepalive_ns, "keepalive", "60s", 0, 9 * OPTION_HOUR,
           RELOAD_NEW, "Idle time before TCP asks whether the user is there; 0s never."),
    OPTION(size, listener_settings, buffer_limit, "buffer_limit", "256k", 16 * OPTION_KIB,
           64 * OPTION_MIB, RELOAD_NEW, "Bytes kept per direction and connection; those under way in a tunnel come on "
           "top."),
    OPTION(name, listener_settings, tcp_congestion, "tcp_congestion", "cubic", 1, 15, RELOAD_NEW,
           "Congestion control towards users."),
    OPTION(choice, listener_settings, zero_copy, "zero_copy", "auto", 0, 0, RELOAD_NEW,
           "Whether bytes between TCP sockets stay in the kernel: of bulky flows, of all, of none.",
           .choices = zero_copies),
    OPTION(duration, listener_settings, udp_timeout_ns, "udp_timeout", "60s", OPTION_SECOND,
           24 * OPTION_HOUR, RELOAD_LIVE, "A UDP session ends after so long without a datagram."),
    OPTION(count, listener_settings, udp_sessions, "udp_sessions", "65536", 1, 1000000, RELOAD_LIVE,
           "UDP sessions at once; datagrams of further ones are dropped."),
    OPTION(count, listener_settings, udp_sessions_per_source, "udp_sessions_per_source", "1024", 1,
           1000000, RELOAD_LIVE, "The same for one source address (IPv6: one /64)."),
    OPTION(cidrs, listener_settings, allow, "allow", NULL, 0, 4096, RELOAD_LIVE,
           "Networks that users may come from; all others are refused.", .repeatable = true),
    OPTION(cidrs, listener_settings, deny, "deny", NULL, 0, 4096, RELOAD_LIVE,
           "Networks that users may not come from; wins over allow.", .repeatable = true),
    OPTION(rate, listener_settings, rate_limit, "rate_limit", NULL, 0, 0, RELOAD_LIVE,
           "New connections and UDP sessions of one source address (IPv6: one /64)."),
    OPTION(choice, listener_settings, accept_proxy, "accept_proxy", "no", 0, 0, RELOAD_NEW,
           "Whether a PROXY header says who the user is.", .choices = accept_proxies),
    OPTION(cidrs, listener_settings, accept_proxy_from, "accept_proxy_from", NULL, 0, 4096,
           RELOAD_NEW, "Networks that the header is taken from, and required of.",
           .repeatable = true),
    OPTION(duration, listener_settings, selection_timeout_ns, "selection_timeout", "5s",
           10 * OPTION_MS, OPTION_MINUTE, RELOAD_NEW, "How long telling bytes are waited for."),
};
static const char *const listener_later[] = {"tls", "preview_limit", NULL};

static const struct option backend_options[] = {
    OPTION(choice, backend_settings, balance, "balance", "round_robin", 0, 0, RELOAD_NEW,
           "How one of several servers is picked.", .choices = balances),
    OPTION(backend_servers, backend_settings, server_count, "server", NULL, 0, 1024, RELOAD_NEW,
           "A server, or all that the SRV records of NAME name; weight= (1 to 256), tier= (vip normal "
           "standby fallback), max_conn=, and name= for logs.", .required = true, .repeatable = true),
    OPTION(duration, backend_settings, connect_timeout_ns, "connect_timeout", "5s", 10 * OPTION_MS,
           5 * OPTION_MINUTE, RELOAD_NEW, "How long a connect may take."),
    OPTION(count, backend_settings, retries, "retries", "2", 0, PICK_TRIED_MAX - 1, RELOAD_NEW,
           "Further servers tried before the user is told."),
    OPTION(count, backend_settings, eject_after, "eject_after", "3", 0, 1000000, RELOAD_NEW,
           "A server that fails so often in a row is left out for a while; 0 never."),
    OPTION(duration, backend_settings, eject_ns, "eject_time", "10s", 10 * OPTION_MS, OPTION_HOUR,
           RELOAD_NEW, "How long that while is, doubled each time it fails again."),
    OPTION(duration, backend_settings, eject_max_ns, "eject_max", "5m", 10 * OPTION_MS,
           24 * OPTION_HOUR, RELOAD_NEW, "What it grows to."),
    OPTION(duration, backend_settings, resolve_ns, "resolve_interval", "auto", OPTION_SECOND,
           24 * OPTION_HOUR, RELOAD_NEW,
           "How long a resolved name is used before it is asked for again; auto: its TTL.",
           .choices = auto_or_number),
    OPTION(name, backend_settings, tcp_congestion, "tcp_congestion", "cubic", 1, 15, RELOAD_NEW,
           "Congestion control towards servers."),
    OPTION(duration, backend_settings, keepalive_ns, "keepalive", "60s", 0, 9 * OPTION_HOUR,
           RELOAD_NEW, "Idle time before TCP asks whether the server is there; 0s never."),
    OPTION(choice, backend_settings, send_proxy, "send_proxy", "no", 0, 0, RELOAD_NEW,
           "Whether the user's address goes in front, as a PROXY header.", .choices = send_proxies),
    OPTION(choice, backend_settings, send_proxy_udp, "send_proxy_udp", "every", 0, 0, RELOAD_NEW,
           "Where it goes on UDP: before every datagram, before a session's first, or on its own.",
           .choices = send_proxies_udp),
    OPTION(choice, backend_settings, health, "health", "none", 0, 0, RELOAD_LIVE,
           "What servers are asked, again and again, so that those that do not serve get no users: to "
           "be connected to, to begin a handshake, to answer a GET with 200 to 399; on UDP, not to "
           "refuse an empty datagram.", .choices = healths),
    OPTION(web_path, backend_settings, health_path, "health_path", "/health", 1, 255, RELOAD_LIVE,
           "What the GET asks for."),
    OPTION(duration, backend_settings, health_interval_ns, "health_interval", "10s", 100 * OPTION_MS,
           OPTION_HOUR, RELOAD_LIVE, "How often a server is asked."),
    OPTION(duration, backend_settings, health_timeout_ns, "health_timeout", "5s", 10 * OPTION_MS,
           5 * OPTION_MINUTE, RELOAD_LIVE, "How long it may take to answer."),
    OPTION(duration, backend_settings, health_delay_ns, "health_delay", "0s", 0, OPTION_HOUR,
           RELOAD_LIVE, "How long after the start it is asked first."),
    OPTION(count, backend_settings, rise, "rise", "5", 1, 1000, RELOAD_LIVE,
           "A server that is down comes back after so many good answers in a row."),
    OPTION(count, backend_settings, fall, "fall", "3", 1, 1000, RELOAD_LIVE,
           "One that serves is down after so many bad ones; the very first answer counts at once."),
};

static const struct option client_options[] = {
    OPTION(name, client_settings, id, "id", NULL, 1, OPTION_NAME_MAX, RELOAD_RESTART,
           "A label for people, never a right; made up when absent."),
    OPTION(client_servers, client_settings, server_count, "server", NULL, 0, SETTINGS_SERVERS_MAX,
           RELOAD_LIVE,
           "A server to keep a tunnel to; name= is the name its certificate must have (default: HOST).",
           .required = true, .repeatable = true),
    OPTION(name, client_settings, tls_name, "tls", NULL, 1, OPTION_NAME_MAX, RELOAD_NEW,
           "The [tls] that it shows, and whose ca servers must be signed by.", .required = true),
    OPTION(host, client_settings, local, "local", NULL, 0, 0, RELOAD_NEW,
           "Short for [service default] with this target."),
    OPTION(count, client_settings, connections, "connections", "auto", 1, SETTINGS_CONNECTIONS_MAX,
           RELOAD_RESTART, "Connections to one server at most; auto: one for each of its workers, up to 8.",
           .choices = auto_or_number),
    OPTION(duration, client_settings, reconnect_min_ns, "reconnect_min", "500ms", 10 * OPTION_MS,
           OPTION_HOUR, RELOAD_NEW, "The first wait before a lost tunnel is tried again."),
    OPTION(duration, client_settings, reconnect_max_ns, "reconnect_max", "30s", 10 * OPTION_MS,
           OPTION_HOUR, RELOAD_NEW, "What that wait grows to."),
};
static const char *const client_later[] = {"token_file", "compat", NULL};

static const struct option service_options[] = {
    OPTION(host, service_settings, target, "target", NULL, 0, 0, RELOAD_NEW,
           "Where the service listens.", .required = true),
    OPTION(choice, service_settings, protocol, "protocol", "both", 0, 0, RELOAD_NEW,
           "What is offered.", .choices = service_protocols),
    OPTION(duration, service_settings, connect_timeout_ns, "connect_timeout", "5s", 10 * OPTION_MS,
           5 * OPTION_MINUTE, RELOAD_NEW, "How long a connect to it may take."),
    OPTION(choice, service_settings, send_proxy, "send_proxy", "no", 0, 0, RELOAD_NEW,
           "Whether the user's address goes in front, as a PROXY header.", .choices = send_proxies),
};

#define ROWS(rows) .options = rows, .option_count = ARRAY_COUNT(rows)
#define ONE(field) .offset = offsetof(struct settings, field), .size = sizeof(((struct settings *)0)->field)
#define MANY(field, number) .named = true, .offset = offsetof(struct settings, field), \
    .count_offset = offsetof(struct settings, number), .size = sizeof(*((struct settings *)0)->field)

const struct settings_section settings_sections[] = {
    {"server", "The process; its options may stand in [client] where there is no [server].",
     ROWS(process_options), .later = process_later, ONE(process)},
    {"log", "What is written about it all, and where.",
     ROWS(log_options), .later = nothing_later, ONE(log)},
    {"admin", "Where the running process is asked about its state; off without this section.",
     ROWS(admin_options), .later = nothing_later, ONE(admin), .check = settings_check_admin},
    {"tls", "Certificates, used by name.",
     ROWS(tls_options), .later = tls_later, MANY(tls, tls_count), .check = settings_check_tls},
    {"tunnel", "Where tunnel clients dial in; used like a backend.",
     ROWS(tunnel_options), .later = tunnel_later, MANY(tunnels, tunnel_count),
     .check = settings_check_tunnel},
    {"listener", "Where users arrive.",
     ROWS(listener_options), .later = listener_later, MANY(listeners, listener_count),
     .check = settings_check_listener},
    {"backend", "A pool of servers.",
     ROWS(backend_options), .later = nothing_later, MANY(backends, backend_count),
     .check = settings_check_backend},
    {"client", "The other end of a tunnel: dials out to servers and offers services.",
     ROWS(client_options), .later = client_later, ONE(client), .check = settings_check_client},
    {"service", "What the client offers; servers name services, never addresses.",
     ROWS(service_options), .later = nothing_later, MANY(services, service_count),
     .check = settings_check_service},
};
/* clang-format on */
const uint32_t settings_section_count = ARRAY_COUNT(settings_sections);

const char *const settings_later_sections[] = {"grant", "route", NULL};

const struct settings_section *settings_section_find(const char *kind)
{
    for (uint32_t i = 0; i < settings_section_count; i++)
        if (strcmp(settings_sections[i].kind, kind) == 0)
            return &settings_sections[i];
    return NULL;
}
