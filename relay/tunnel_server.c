/* The server's end of a tunnel as a whole: its endpoints, and its way down. */
#include "relay/tunnel_server.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/mem.h"
#include "core/state.h"
#include "relay/tunnel_peer.h"

/* A client opens its control stream, and no other. */
enum { CLIENT_STREAMS = 2 };

enum server_state {
    SERVER_NEW,
    SERVER_RUNNING,
    SERVER_DRAINING,
    SERVER_STOPPING_PEERS,     /* connections close, sessions leave the members */
    SERVER_STOPPING_ENDPOINTS, /* the kernel lets go of the sockets */
    SERVER_STOPPED,
    SERVER_STATE_COUNT
};
static const char *const server_state_names[] = {
    "new", "running", "draining", "stopping peers", "stopping endpoints", "stopped",
};
static const uint32_t server_state_next[] = {
    [SERVER_NEW] = STATE_BIT(SERVER_RUNNING) | STATE_BIT(SERVER_STOPPING_PEERS),
    [SERVER_RUNNING] = STATE_BIT(SERVER_DRAINING) | STATE_BIT(SERVER_STOPPING_PEERS),
    [SERVER_DRAINING] = STATE_BIT(SERVER_STOPPING_PEERS),
    [SERVER_STOPPING_PEERS] = STATE_BIT(SERVER_STOPPING_ENDPOINTS),
    [SERVER_STOPPING_ENDPOINTS] = STATE_BIT(SERVER_STOPPED),
    [SERVER_STOPPED] = 0,
};
static const struct state_table server_states = {"tunnel server", server_state_names,
                                                 server_state_next, SERVER_STATE_COUNT};

static void server_move(struct tunnel_server *server, enum server_state state)
{
    state_move(&server_states, &server->state, state);
}

bool tunnel_server_takes_clients(const struct tunnel_server *server)
{
    return server->state == SERVER_RUNNING;
}

/* ---- the way down ---- */

static void server_endpoint_idle(void *context)
{
    struct tunnel_server *server = context;

    server->endpoint_count--;
    tunnel_server_settle(server);
}

static void server_stop_endpoints(struct tunnel_server *server)
{
    server_move(server, SERVER_STOPPING_ENDPOINTS);
    for (uint32_t i = 0; i < server->settings->listen.count; i++)
        if (server->endpoints[i]) {
            quic_endpoint_stop(server->endpoints[i], server_endpoint_idle, server);
            server->endpoints[i] = NULL;
        }
}

/* The registrar's worker also waits for the members, which are all workers'. */
static bool server_members_left(const struct tunnel_server *server)
{
    return server->worker->index == 0 && server->share->member_count;
}

static void server_settled(struct task *task)
{
    struct tunnel_server *server = container_of(task, struct tunnel_server, settling);

    if (server->state == SERVER_STOPPING_PEERS && !server->peer_count && !server->wants &&
        !server_members_left(server))
        server_stop_endpoints(server);
    if (server->state == SERVER_STOPPING_ENDPOINTS && !server->endpoint_count) {
        server_move(server, SERVER_STOPPED);
        server->idle(server->context);
    }
}

void tunnel_server_settle(struct tunnel_server *server)
{
    if (server->state >= SERVER_STOPPING_PEERS)
        worker_defer(server->worker, &server->settling);
}

/* After a failed start some may not be open. */
static void server_refuse_new(struct tunnel_server *server)
{
    for (uint32_t i = 0; i < server->settings->listen.count; i++)
        if (server->endpoints[i])
            quic_endpoint_refuse_new(server->endpoints[i]);
}

void tunnel_server_drain(struct tunnel_server *server)
{
    if (server->state != SERVER_RUNNING)
        return;
    server_move(server, SERVER_DRAINING);
    server_refuse_new(server);
    for (struct list *at = server->peers.next; at != &server->peers; at = at->next)
        tunnel_peer_drain(container_of(at, struct tunnel_peer, link));
}

void tunnel_server_stop(struct tunnel_server *server, tunnel_idle_fn *idle, void *context)
{
    server_move(server, SERVER_STOPPING_PEERS);
    server->idle = idle;
    server->context = context;
    server_refuse_new(server);
    for (struct list *at = server->peers.next; at != &server->peers; at = at->next)
        tunnel_peer_close(container_of(at, struct tunnel_peer, link), WIRE_CODE_SHUTDOWN,
                          "the server is shutting down");
    tunnel_server_settle(server);
}

/* ---- the way up ---- */

static bool server_accept(void *context, struct quic_connection *quic)
{
    struct tunnel_server *server = context;

    return tunnel_server_takes_clients(server) && tunnel_peer_accept(server, quic);
}

static void server_config(const struct tunnel_settings *settings, struct quic_config *config)
{
    *config = (struct quic_config){.alpn = WIRE_ALPN,
                                   .handshake_timeout_ns = settings->handshake_timeout_ns,
                                   .idle_timeout_ns = settings->idle_timeout_ns,
                                   .stream_window = settings->stream_window,
                                   .stream_window_max = settings->stream_window_max,
                                   .connection_window_max = settings->connection_window_max,
                                   .max_streams = CLIENT_STREAMS,
                                   .datagram_queue = settings->datagram_queue,
                                   .mtu = settings->mtu,
                                   .congestion = settings->congestion,
                                   .always_retry = settings->always_retry,
                                   .code_of = wire_code_of_reset};
}

static int server_listen(struct tunnel_server *server, uint32_t index,
                         struct quic_acceptor *acceptor, char *error, size_t error_size)
{
    const struct addr *addr = &server->settings->listen.items[index];
    char text[ADDR_TEXT_SIZE];
    int failed;

    acceptor->port = server->share->ports[index];
    server->endpoints[index] = quic_listen(server->worker, addr, acceptor, &failed);
    if (server->endpoints[index]) {
        server->endpoint_count++;
        return 0;
    }
    snprintf(error, error_size, "[tunnel %s] listen %s: %s", server->settings->name,
             addr_format(addr, text), strerror(-failed));
    return failed;
}

int tunnel_server_start(struct tunnel_server *server, char *error, size_t error_size)
{
    struct quic_acceptor acceptor = {
        .tls = server->tls, .accept = server_accept, .context = server};
    int failed;

    server_config(server->settings, &acceptor.config);
    failed = tls_secret(server->tls, "qmux-uring connection ids", acceptor.secret);
    if (failed)
        snprintf(error, error_size, "[tunnel %s] its [tls] has no key", server->settings->name);
    server_move(server, SERVER_RUNNING);
    for (uint32_t i = 0; !failed && i < server->settings->listen.count; i++)
        failed = server_listen(server, i, &acceptor, error, error_size);
    return failed;
}

static void server_take_tls(struct tunnel_server *server)
{
    struct tls_context **next = &server->share->next_tls[server->worker->index];

    server->tls = *next;
    *next = NULL;
}

static bool server_make_parts(struct tunnel_server *server, char *error, size_t error_size)
{
    const struct tunnel_settings *settings = server->settings;

    server->endpoints = mem_new((settings->listen.count + 1) * sizeof(struct quic_endpoint *));
    if (server->endpoints)
        return true;
    snprintf(error, error_size, "[tunnel %s] %s", settings->name, reason_text(REASON_NO_MEMORY));
    return false;
}

struct tunnel_server *tunnel_server_new(struct worker *worker, struct tunnel_share *share,
                                        char *error, size_t error_size)
{
    struct tunnel_server *server = mem_new(sizeof(*server));

    if (!server) {
        snprintf(error, error_size, "%s", reason_text(REASON_NO_MEMORY));
        return NULL;
    }
    server->worker = worker;
    server->share = share;
    server->settings = share->settings;
    list_init(&server->peers);
    task_init(&server->settling, server_settled);
    share->by_worker[worker->index] = server;
    server_take_tls(server);
    if (!server_make_parts(server, error, error_size))
        tunnel_server_free(&server);
    return server;
}

void tunnel_server_free(struct tunnel_server **server)
{
    struct tunnel_server *s = *server;

    if (!s)
        return;
    must(!s->peer_count && !s->wants);
    task_cancel(&s->settling);
    tls_context_free(&s->tls);
    mem_free(s->endpoints);
    mem_free(s);
    *server = NULL;
}

/* ---- other settings ---- */

void tunnel_server_switch(struct tunnel_server *server, const struct tunnel_settings *settings)
{
    struct tls_context *old = server->tls;
    struct quic_config config;

    server_config(settings, &config);
    server->settings = settings;
    server_take_tls(server);
    for (uint32_t i = 0; i < settings->listen.count; i++)
        if (server->endpoints[i])
            quic_endpoint_change(server->endpoints[i], &config, server->tls);
    tls_context_free(&old);
    if (server->worker->index == 0)
        tunnel_registrar_switch(server->share, settings);
    for (struct list *at = server->peers.next; at != &server->peers; at = at->next)
        tunnel_peer_judge(container_of(at, struct tunnel_peer, link));
}

bool tunnel_server_is_quiet(const struct tunnel_server *server)
{
    return server->worker->index != 0 || tunnel_registrar_is_quiet(server->share);
}

struct backend_pool *tunnel_server_pool(struct tunnel_server *server)
{
    return server->share->pool;
}
