#include "relay/relay.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/mem.h"
#include "core/state.h"
#include "relay/relay_parts.h"

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

/* ---- the way down, one state after the other ---- */

void relay_part_done(void *context)
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
    for (uint32_t i = 0; i < relay_settings(relay)->listener_count; i++) {
        relay->pending++;
        listener_stop(relay->now.listeners[i], relay->stop_reason);
    }
    if (relay->now.client) {
        relay->pending++;
        tunnel_client_stop(relay->now.client, relay_part_done, relay);
    }
    relay_leavers_stop(relay);
    relay_part_done(relay);
}

static void relay_stop_tunnels(struct relay *relay)
{
    relay->pending = 1;
    for (uint32_t i = 0; i < relay_settings(relay)->tunnel_count; i++) {
        relay->pending++;
        tunnel_server_stop(relay->now.tunnels[i], relay_part_done, relay);
    }
    relay_leavers_stop(relay);
    relay_part_done(relay);
}

static void relay_stop_servers(struct relay *relay)
{
    relay->pending = 1;
    for (uint32_t i = 0; relay_owns_servers(relay) && i < relay_settings(relay)->backend_count;
         i++) {
        relay->pending++;
        server_pool_stop(relay->now.edition->pools[i], relay_part_done, relay);
    }
    relay_leavers_stop(relay);
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

void relay_listener_emptied(void *context)
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
    if (worker->index == 0) /* it is all the workers' news */
        LOG(worker->log, LOG_INFO, "draining",
            LOG_NUMBER("timeout_ms", relay_settings(relay)->process.drain_timeout_ns / 1000000));
    if (timer_set(&worker->timers, &relay->drain_timer,
                  worker->now_ns + relay_settings(relay)->process.drain_timeout_ns)) {
        relay_stop(relay);
        return;
    }
    relay->pending =
        1 + relay_settings(relay)->listener_count + !!relay->now.client + relay_leavers_busy(relay);
    for (uint32_t i = 0; i < relay_settings(relay)->listener_count; i++)
        listener_close(relay->now.listeners[i]);
    for (uint32_t i = 0; i < relay_settings(relay)->tunnel_count; i++)
        tunnel_server_drain(relay->now.tunnels[i]);
    if (relay->now.client)
        tunnel_client_drain(relay->now.client, relay_client_drained, relay);
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

struct relay *relay_new(const struct relay_options *options, char *error, size_t error_size)
{
    struct relay *relay = mem_new(sizeof(*relay));

    if (!relay) {
        snprintf(error, error_size, "%s", reason_text(REASON_NO_MEMORY));
        return NULL;
    }
    relay->options = *options;
    relay->stop_reason = REASON_SHUTDOWN;
    list_init(&relay->leavers);
    timer_init(&relay->drain_timer, relay_drain_ended);
    task_init(&relay->task, relay_step);
    snprintf(error, error_size, "%s", reason_text(REASON_NO_MEMORY));
    if (udp_table_init(&relay->sessions, options->worker) ||
        relay_parts_make(relay, &relay->now, options->crew->now, error, error_size))
        relay_free(&relay);
    return relay;
}

int relay_start(struct relay *relay, char *error, size_t error_size)
{
    const struct settings *settings = relay_settings(relay);
    int failed = 0;

    state_move(&relay_states, &relay->state, RELAY_RUNNING);
    for (uint32_t i = 0; relay_owns_servers(relay) && i < settings->backend_count; i++)
        server_pool_start(relay->now.edition->pools[i]);
    for (uint32_t i = 0; !failed && i < settings->tunnel_count; i++)
        failed = tunnel_server_start(relay->now.tunnels[i], error, error_size);
    for (uint32_t i = 0; !failed && i < settings->listener_count; i++)
        failed = listener_start(relay->now.listeners[i], error, error_size);
    if (!failed && relay->now.client)
        tunnel_client_start(relay->now.client);
    return failed;
}

void relay_free(struct relay **relay)
{
    struct relay *r = *relay;

    if (!r)
        return;
    while (!list_empty(&r->leavers))
        relay_leaver_free(container_of(r->leavers.next, struct relay_leaver, link));
    relay_parts_free(&r->now);
    udp_table_release(&r->sessions);
    task_cancel(&r->task);
    mem_free(r);
    *relay = NULL;
}
