/* relay/settings.h - a configuration as structs: read from a file by settings_load, checked, and
 * then immutable.
 *
 * Owner: whoever loaded it; everything in it lives until settings_free.  Thread: any, read-only.
 * The rows that fill these structs (name, default, bounds, unit, help, reload rule) stand in
 * settings_rows.c, one table per section, and are what `check` and the reference are made of. */
#ifndef RELAY_SETTINGS_H
#define RELAY_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "balancer/balancer.h"
#include "core/account.h"
#include "core/addr.h"
#include "core/log.h"
#include "core/option.h"
#include "core/tls.h"
#include "quic/quic.h"

#define UDP_TIMEOUT_MAX_NS (24 * OPTION_HOUR)

enum { SETTINGS_NAME_SIZE = 65, SETTINGS_WORKERS_MAX = 64, SETTINGS_CONNECTIONS_MAX = 8 };

/* A host to be resolved, or an address already. */
struct host {
    char name[256];   /* as written; empty for unix paths */
    bool srv;         /* its SRV records name the hosts */
    uint16_t port;    /* 0: the one that the user came by */
    struct addr addr; /* length 0: a name, to be resolved */
};

enum protocol { PROTOCOL_TCP = 1, PROTOCOL_UDP = 2, PROTOCOL_BOTH = 3 }; /* bits */
enum send_proxy { SEND_PROXY_NO, SEND_PROXY_V1, SEND_PROXY_V2 };
enum health_kind { HEALTH_NONE, HEALTH_TCP, HEALTH_TLS, HEALTH_HTTP, HEALTH_UDP };
enum send_proxy_udp { SEND_PROXY_EVERY, SEND_PROXY_FIRST, SEND_PROXY_OWN };
enum accept_proxy { /* bits */
                    ACCEPT_PROXY_NO,
                    ACCEPT_PROXY_V1,
                    ACCEPT_PROXY_V2,
                    ACCEPT_PROXY_ANY,
};
enum zero_copy { ZERO_COPY_AUTO, ZERO_COPY_YES, ZERO_COPY_NO };
enum tunnel_auth { TUNNEL_AUTH_MTLS };
enum tunnel_replay { REPLAY_UNSEEN, REPLAY_REFUSED };

struct cpu_list {
    uint16_t *items;
    uint32_t count;
};

/* [server] or [client]: the process */
struct process_settings {
    uint32_t workers;     /* 0: auto, until whoever loaded it has found out how many that is */
    struct cpu_list cpus; /* empty: wherever the system puts them */
    uint64_t spin_ns;
    uint32_t nofile; /* 0: auto */
    uint64_t drain_timeout_ns;
    struct account user, group; /* dropped to after binding */
    char *pid_file;             /* NULL: none */
    struct text_list include;   /* as written; settings_load has read them */
};

struct log_settings {
    enum log_level level;
    enum log_format format;
    char *file;
    char *access; /* NULL: off */
    enum log_format access_format;
};

struct admin_settings {
    bool present;
    char *socket;
    struct addr http; /* length 0: off */
    bool http_public;
};

struct tls_settings {
    char name[SETTINGS_NAME_SIZE];
    char *cert, *key, *ca; /* absolute or relative to the working directory; NULL: not given */
    enum tls_client_auth client_auth;
    bool client_auth_given;
    char *file; /* where its section stands */
    uint32_t line;
};

struct tunnel_settings {
    char name[SETTINGS_NAME_SIZE];
    struct addr_list listen;
    char tls_name[SETTINGS_NAME_SIZE];
    const struct tls_settings *tls;
    enum tunnel_auth auth;
    struct text_list allow; /* patterns, at least one */
    enum balance balance;
    uint64_t heartbeat_ns, health_timeout_ns, open_timeout_ns, handshake_timeout_ns,
        idle_timeout_ns;
    uint32_t open_retries;
    enum tunnel_replay replay;
    enum quic_congestion congestion;
    uint32_t mtu; /* 0: auto */
    uint32_t max_clients, max_streams, datagram_queue;
    uint64_t stream_window, stream_window_max, connection_window_max;
    bool always_retry;
};

struct listener_settings {
    char name[SETTINGS_NAME_SIZE];
    struct bind_list bind;
    enum protocol protocol;
    char *backend; /* the name of a backend or a tunnel */
    char *service;
    uint32_t max_connections; /* 0: no own limit */
    uint32_t backlog;
    uint64_t idle_timeout_ns, half_close_timeout_ns, keepalive_ns, udp_timeout_ns;
    uint64_t buffer_limit;
    char tcp_congestion[16];
    enum zero_copy zero_copy;
    uint32_t udp_sessions, udp_sessions_per_source;
    /* Who may come, and how often. */
    struct cidr_list allow, deny; /* no allow: all */
    struct rate rate_limit;
    enum accept_proxy accept_proxy;
    struct cidr_list accept_proxy_from;
    uint64_t selection_timeout_ns;
};

struct backend_server {
    char name[SETTINGS_NAME_SIZE];
    struct host host;
    uint32_t weight, max_conn; /* 0: 1, and no limit */
    enum member_tier tier;
};
struct backend_settings {
    char name[SETTINGS_NAME_SIZE];
    enum balance balance;
    struct backend_server *servers;
    uint32_t server_count;
    uint64_t connect_timeout_ns, keepalive_ns, eject_ns, eject_max_ns;
    uint64_t resolve_ns;           /* 0: as long as the record says */
    uint32_t retries, eject_after; /* eject_after 0: never */
    char tcp_congestion[16];
    enum send_proxy send_proxy;
    enum send_proxy_udp send_proxy_udp;
    enum health_kind health;
    char health_path[256];
    uint64_t health_interval_ns, health_timeout_ns, health_delay_ns;
    uint32_t rise, fall;
};

struct client_server {
    struct host host;
    char server_name[256]; /* the SAN required of it, and the SNI */
};
struct client_settings {
    bool present; /* the file has a [client] */
    char id[SETTINGS_NAME_SIZE];
    struct client_server *servers;
    uint32_t server_count;
    char tls_name[SETTINGS_NAME_SIZE];
    const struct tls_settings *tls;
    struct host local;    /* short for the target of a service named default */
    uint32_t connections; /* to one server, at most; 0: auto */
    uint64_t reconnect_min_ns, reconnect_max_ns;
};

struct service_settings {
    char name[SETTINGS_NAME_SIZE];
    struct host target;
    enum protocol protocol;
    uint64_t connect_timeout_ns;
    enum send_proxy send_proxy;
};

struct settings {
    struct process_settings process;
    struct log_settings log;
    struct admin_settings admin;
    struct client_settings client;
    struct tls_settings *tls;
    struct tunnel_settings *tunnels;
    struct listener_settings *listeners;
    struct backend_settings *backends;
    struct service_settings *services;
    uint32_t tls_count, tunnel_count, listener_count, backend_count, service_count;
};

/* Reads `path` (and what it includes).  NULL: every error was written to `errors`, one a line, as
 * "FILE:LINE: message". */
struct settings *settings_load(const char *path, FILE *errors) MUST_CHECK;
/* The same from memory; `name` stands for the file. */
struct settings *settings_parse(const char *name, const char *text, size_t length,
                                FILE *errors) MUST_CHECK;
void settings_free(struct settings **settings);
/* Opens every [tls] as a server or client would, and names what is wrong with its files in the same
 * form.  Needs tls_global_init.  How many errors there were. */
uint32_t settings_check_files(const struct settings *settings, FILE *errors);
/* How many ports the binds of a listener are, for one protocol. */
uint32_t listener_ports(const struct listener_settings *listener);
/* "0.0.0.0:8000-8100" */
enum { BIND_TEXT_SIZE = ADDR_TEXT_SIZE + 6 };
const char *bind_format(const struct bind *bind, char text[BIND_TEXT_SIZE]);
/* The number of that address and port among them, or BIND_NONE; and the other way round. */
#define BIND_NONE UINT32_MAX
uint32_t bind_list_find(const struct bind_list *list, const struct addr *addr);
void bind_list_at(const struct bind_list *list, uint32_t number, struct addr *addr);
/* Whether one of them is that address and port. */
bool bind_list_holds(const struct bind_list *list, const struct addr *addr);
/* Whether the ports of a bind have a socket per worker; long runs and paths have one each. */
bool bind_is_shared(const struct bind *bind);
/* Descriptors that the listeners, tunnels and servers of all workers take before anybody connects.
 */
uint32_t settings_descriptors(const struct settings *settings);
struct settings_difference {
    const char *kind, *name; /* of the section; name: empty where it has none */
    const char *option;
};
/* The first thing that only a restart can change: an option of a section that is in both; false:
 * there is none.  Names point into the old settings and the rows. */
bool settings_diff_restart(const struct settings *old_settings, const struct settings *new_settings,
                           struct settings_difference *difference) MUST_CHECK;
/* All options, section by section, as the README's reference. */
void settings_reference(FILE *out);

#endif
