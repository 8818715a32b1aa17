#include "relay/relay.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/mem.h"
#include "core/state.h"
#include "relay/crew.h"
#include "relay/tunnel_client.h"
#include "relay/tunnel_server.h"

enum relay_state {
    RELAY_NEW,
    RELAY_RUNNING,
    RELAY_DRAINING,
    RELAY_STOPPING_USERS,   /* listeners and the client end */
    RELAY_STOPPING_TUNNELS, /* then the tunnel servers, whose members nobody uses any more */
    RELAY_STOPPING_SERVERS, /* then, for all workers, the servers */
    RELAY_ENDED,
    RELAY_STATE_COUNT
};
static const char *const relay_state_names[] = {
    "new", "running", "draining", "stopping users", "stopping tunnels", "stopping servers", "ended",
};
static const uint32_t relay_state_next[] = {
    [RELAY_NEW] = STATE_BIT(RELAY_RUNNING),
    [RELAY_RUNNING] = STATE_BIT(RELAY_DRAINING) | STATE_BIT(RELAY_STOPPING_USERS),
    [RELAY_DRAINING] = STATE_BIT(RELAY_STOPPING_USERS),
    [RELAY_STOPPING_USERS] = STATE_BIT(RELAY_STOPPING_TUNNELS),
    [RELAY_STOPPING_TUNNELS] = STATE_BIT(RELAY_STOPPING_SERVERS),
    [RELAY_STOPPING_SERVERS] = STATE_BIT(RELAY_ENDED),
    [RELAY_ENDED] = 0,
};
static const struct state_table relay_states = {"relay", relay_state_names, relay_state_next,
                                                RELAY_STATE_COUNT};

struct relay {
    struct relay_options options;
    const struct settings *settings;
    struct tunnel_server **tunnels;
    struct listener **listeners;
    struct tunnel_client *client; /* NULL without [client] */
    uint32_t pending;             /* parts that the present state waits for */
    struct timer drain_timer;
    struct task task;
    enum reason stop_reason;
    uint8_t state;
};

/* ---- the way down, one state after the other ---- */

static void relay_part_done(void *context)
{
    struct relay *relay = context;

    must(relay->pending > 0);
    if (--relay->pending == 0)
        worker_defer(relay->options.worker, &relay->task);
}

static void relay_drain_ended(struct timer *timer)
{
    struct relay *relay = container_of(timer, struct relay, drain_timer);

    relay->stop_reason = REASON_DRAINED;
    relay_stop(relay);
}

/* `pending` starts at one, so that nothing is done before all parts were asked. */
static void relay_stop_users(struct relay *relay)
{
    timer_stop(&relay->options.worker->timers, &relay->drain_timer);
    relay->pending = 1;
    for (uint32_t i = 0; i < relay->settings->listener_count; i++) {
        relay->pending++;
        listener_stop(relay->listeners[i], relay->stop_reason);
    }
    if (relay->client) {
        relay->pending++;
        tunnel_client_stop(relay->client, relay_part_done, relay);
    }
    relay_part_done(relay);
}

static void relay_stop_tunnels(struct relay *relay)
{
    relay->pending = 1;
    for (uint32_t i = 0; i < relay->settings->tunnel_count; i++) {
        relay->pending++;
        tunnel_server_stop(relay->tunnels[i], relay_part_done, relay);
    }
    relay_part_done(relay);
}

static bool relay_owns_servers(const struct relay *relay)
{
    return relay->options.worker->index == 0;
}

static void relay_stop_servers(struct relay *relay)
{
    relay->pending = 1;
    for (uint32_t i = 0; relay_owns_servers(relay) && i < relay->settings->backend_count; i++) {
        relay->pending++;
        server_pool_stop(relay->options.crew->pools[i], relay_part_done, relay);
    }
    relay_part_done(relay);
}

static void relay_drained(struct relay *relay)
{
    if (relay->options.drained)
        relay->options.drained(relay->options.context);
    else
        relay_stop(relay);
}

static void relay_step(struct task *task)
{
    struct relay *relay = container_of(task, struct relay, task);

    switch (relay->state) {
    case RELAY_DRAINING:
        relay_drained(relay);
        break;
    case RELAY_STOPPING_USERS:
        state_move(&relay_states, &relay->state, RELAY_STOPPING_TUNNELS);
        relay_stop_tunnels(relay);
        break;
    case RELAY_STOPPING_TUNNELS:
        state_move(&relay_states, &relay->state, RELAY_STOPPING_SERVERS);
        relay_stop_servers(relay);
        break;
    case RELAY_STOPPING_SERVERS:
        state_move(&relay_states, &relay->state, RELAY_ENDED);
        relay->options.ended(relay->options.context);
        break;
    default:
        must(!"a step of a relay that is not ending");
    }
}

static void relay_listener_emptied(void *context)
{
    struct relay *relay = context;

    if (relay->state == RELAY_DRAINING)
        relay_part_done(relay);
}

static void relay_client_drained(void *context)
{
    relay_listener_emptied(context);
}

void relay_drain(struct relay *relay)
{
    struct worker *worker = relay->options.worker;

    if (relay->state != RELAY_RUNNING)
        return;
    state_move(&relay_states, &relay->state, RELAY_DRAINING);
    LOG(worker->log, LOG_INFO, "draining",
        LOG_NUMBER("timeout_ms", relay->settings->process.drain_timeout_ns / 1000000));
    if (timer_set(&worker->timers, &relay->drain_timer,
                  worker->now_ns + relay->settings->process.drain_timeout_ns)) {
        relay_stop(relay);
        return;
    }
    relay->pending = 1 + relay->settings->listener_count + !!relay->client;
    for (uint32_t i = 0; i < relay->settings->listener_count; i++)
        listener_close(relay->listeners[i]);
    for (uint32_t i = 0; i < relay->settings->tunnel_count; i++)
        tunnel_server_drain(relay->tunnels[i]);
    if (relay->client)
        tunnel_client_drain(relay->client, relay_client_drained, relay);
    relay_part_done(relay);
}

void relay_stop(struct relay *relay)
{
    if (relay->state != RELAY_RUNNING && relay->state != RELAY_DRAINING)
        return;
    task_cancel(&relay->task);
    state_move(&relay_states, &relay->state, RELAY_STOPPING_USERS);
    relay_stop_users(relay);
}

/* ---- the way up ---- */

/* Where a listener's users go, and with how much patience. */
static int relay_find_backend(struct relay *relay, struct listener_options *options)
{
    const struct settings *settings = relay->settings;
    const char *name = options->settings->backend;

    for (uint32_t i = 0; i < settings->backend_count; i++)
        if (!strcmp(settings->backends[i].name, name)) {
            options->pool = server_pool_members(relay->options.crew->pools[i]);
            options->connect_timeout_ns = settings->backends[i].connect_timeout_ns;
            options->retries = settings->backends[i].retries;
            return 0;
        }
    for (uint32_t i = 0; i < settings->tunnel_count; i++)
        if (!strcmp(settings->tunnels[i].name, name)) {
            options->pool = tunnel_server_pool(relay->tunnels[i]);
            options->tunnel = true;
            options->retries = settings->tunnels[i].open_retries;
            return 0;
        }
    return -ENOENT; /* settings_load checks this */
}

static int relay_make_listener(struct relay *relay, uint32_t index)
{
    struct listener_options options = {.worker = relay->options.worker,
                                       .settings = &relay->settings->listeners[index],
                                       .share = &relay->options.crew->listeners[index],
                                       .emptied = relay_listener_emptied,
                                       .idle = relay_part_done,
                                       .context = relay};
    int error = relay_find_backend(relay, &options);

    if (error)
        return error;
    relay->listeners[index] = listener_new(&options);
    return relay->listeners[index] ? 0 : -ENOMEM;
}

static int relay_make_client(struct relay *relay, char *error, size_t error_size)
{
    struct tunnel_client_options options = {.worker = relay->options.worker,
                                            .settings = relay->settings,
                                            .share = &relay->options.crew->client,
                                            .registered = relay->options.registered,
                                            .context = relay->options.context};

    if (!relay->settings->client.present)
        return 0;
    relay->client = tunnel_client_new(&options, error, error_size);
    return relay->client ? 0 : -EINVAL;
}

static int relay_make_parts(struct relay *relay, char *error, size_t error_size)
{
    const struct settings *settings = relay->settings;
    int failed = 0;

    snprintf(error, error_size, "%s", reason_text(REASON_NO_MEMORY));
    relay->tunnels = mem_new((settings->tunnel_count + 1) * sizeof(struct tunnel_server *));
    relay->listeners = mem_new((settings->listener_count + 1) * sizeof(struct listener *));
    if (!relay->tunnels || !relay->listeners)
        return -ENOMEM;
    for (uint32_t i = 0; !failed && i < settings->tunnel_count; i++) {
        relay->tunnels[i] = tunnel_server_new(relay->options.worker,
                                              &relay->options.crew->tunnels[i], error, error_size);
        failed = relay->tunnels[i] ? 0 : -EINVAL;
    }
    for (uint32_t i = 0; !failed && i < settings->listener_count; i++)
        failed = relay_make_listener(relay, i);
    if (!failed)
        failed = relay_make_client(relay, error, error_size);
    return failed;
}

struct relay *relay_new(const struct relay_options *options, char *error, size_t error_size)
{
    struct relay *relay = mem_new(sizeof(*relay));

    if (!relay) {
        snprintf(error, error_size, "%s", reason_text(REASON_NO_MEMORY));
        return NULL;
    }
    relay->options = *options;
    relay->settings = options->crew->settings;
    relay->stop_reason = REASON_SHUTDOWN;
    timer_init(&relay->drain_timer, relay_drain_ended);
    task_init(&relay->task, relay_step);
    if (relay_make_parts(relay, error, error_size))
        relay_free(&relay);
    return relay;
}

int relay_start(struct relay *relay, char *error, size_t error_size)
{
    const struct settings *settings = relay->settings;
    int failed = 0;

    state_move(&relay_states, &relay->state, RELAY_RUNNING);
    for (uint32_t i = 0; relay_owns_servers(relay) && i < settings->backend_count; i++)
        server_pool_start(relay->options.crew->pools[i]);
    for (uint32_t i = 0; !failed && i < settings->tunnel_count; i++)
        failed = tunnel_server_start(relay->tunnels[i], error, error_size);
    for (uint32_t i = 0; !failed && i < settings->listener_count; i++)
        failed = listener_start(relay->listeners[i], error, error_size);
    if (!failed && relay->client)
        tunnel_client_start(relay->client);
    return failed;
}

void relay_free(struct relay **relay)
{
    struct relay *r = *relay;

    if (!r)
        return;
    for (uint32_t i = 0; r->listeners && i < r->settings->listener_count; i++)
        listener_free(&r->listeners[i]);
    tunnel_client_free(&r->client);
    for (uint32_t i = 0; r->tunnels && i < r->settings->tunnel_count; i++)
        tunnel_server_free(&r->tunnels[i]);
    task_cancel(&r->task);
    mem_free(r->listeners);
    mem_free(r->tunnels);
    mem_free(r);
    *relay = NULL;
}

/* ---- looking in ---- */

/* This worker's part; the parts of all are added up. */
static void member_account(struct member *member, const struct worker *worker,
                           struct status_member *to)
{
    struct member_load *load = member_load(member, worker);

    to->id = member;
    to->state = member_state(member);
    to->total = load->held;
    to->active = (uint32_t)(load->held - load->dropped);
    to->failures = load->failures;
    to->traffic = load->traffic;
}

struct member_picture {
    const struct worker *worker;
    struct status *status;
};

/* Of the backend that was added last. */
static int member_status(struct member *member, void *context)
{
    const struct member_picture *picture = context;
    struct status_member *to = status_add_member(picture->status);

    if (!to)
        return -ENOMEM;
    snprintf(to->name, sizeof(to->name), "%s", member->name);
    to->backend = picture->status->backend_count - 1;
    member_account(member, picture->worker, to);
    return 0;
}

static int relay_status_backend(const struct relay *relay, const struct backend_pool *pool,
                                const char *name, bool tunnel, struct status *status)
{
    struct member_picture picture = {relay->options.worker, status};
    struct status_backend *backend = status_add_backend(status);

    if (!backend)
        return -ENOMEM;
    snprintf(backend->name, sizeof(backend->name), "%s", name);
    backend->tunnel = tunnel;
    return backend_pool_visit(pool, member_status, &picture);
}

static int relay_status_tunnel(const struct relay *relay, uint32_t index, struct status *status)
{
    struct tunnel_server *tunnel = relay->tunnels[index];
    int rc = relay_status_backend(relay, tunnel_server_pool(tunnel),
                                  relay->settings->tunnels[index].name, true, status);
    struct status_backend *backend = rc ? NULL : &status->backends[status->backend_count - 1];

    if (!backend)
        return rc;
    quic_port_addr(relay->options.crew->tunnels[index].ports[0], &backend->addr);
    return tunnel_server_status(tunnel, status->backend_count - 1, status);
}

int relay_status(const struct relay *relay, struct status *status)
{
    const struct settings *settings = relay->settings;
    int rc = 0;

    for (uint32_t i = 0; !rc && i < settings->listener_count; i++) {
        struct status_listener *listener = status_add_listener(status);

        if (!listener)
            return -ENOMEM;
        listener_status(relay->listeners[i], listener);
    }
    for (uint32_t i = 0; !rc && i < settings->backend_count; i++)
        rc = relay_status_backend(relay, server_pool_members(relay->options.crew->pools[i]),
                                  settings->backends[i].name, false, status);
    for (uint32_t i = 0; !rc && i < settings->tunnel_count; i++)
        rc = relay_status_tunnel(relay, i, status);
    if (!rc && relay->client)
        rc = tunnel_client_status(relay->client, status);
    return rc;
}
