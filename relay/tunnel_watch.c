#include "relay/tunnel_watch.h"

#include "core/state.h"

#define LOOK_NS  50000000ull   /* how often a suspect is looked at */
#define GRACE_NS 2000000000ull /* how long a suspect has to be heard */

enum watch_state { WATCH_STOPPED, WATCH_CALM, WATCH_WAITING, WATCH_SUSPECT, WATCH_STATE_COUNT };
static const char *const watch_names[] = {"stopped", "calm", "waiting", "suspect"};
static const uint32_t watch_next[] = {
    [WATCH_STOPPED] = STATE_BIT(WATCH_STOPPED) | STATE_BIT(WATCH_CALM),
    [WATCH_CALM] = STATE_BIT(WATCH_STOPPED) | STATE_BIT(WATCH_WAITING) | STATE_BIT(WATCH_SUSPECT),
    [WATCH_WAITING] = STATE_BIT(WATCH_STOPPED) | STATE_BIT(WATCH_CALM) | STATE_BIT(WATCH_SUSPECT),
    [WATCH_SUSPECT] = STATE_BIT(WATCH_STOPPED) | STATE_BIT(WATCH_CALM),
};
static const struct state_table watch_states = {"watch", watch_names, watch_next,
                                                WATCH_STATE_COUNT};

static bool watch_heard_since(const struct tunnel_watch *watch, uint64_t since)
{
    struct quic_stats stats;

    quic_stats(watch->quic, &stats);
    return stats.last_heard_ns > since;
}

uint64_t tunnel_watch_patience(const struct tunnel_watch *watch)
{
    struct quic_stats stats;

    if (!watch->quic)
        return watch->patience_ns;
    quic_stats(watch->quic, &stats);
    return 3 * stats.pto_ns > watch->patience_ns ? 3 * stats.pto_ns : watch->patience_ns;
}

static void watch_calm(struct tunnel_watch *watch)
{
    timer_stop(&watch->worker->timers, &watch->timer);
    state_move(&watch_states, &watch->state, WATCH_CALM);
}

/* Without memory for the timer the next expectation tries again. */
static void watch_look_in(struct tunnel_watch *watch, uint64_t delay)
{
    if (timer_set(&watch->worker->timers, &watch->timer, watch->worker->now_ns + delay) < 0 &&
        watch->state == WATCH_WAITING)
        watch_calm(watch);
}

static void watch_waited(struct tunnel_watch *watch)
{
    if (watch_heard_since(watch, watch->asked_ns))
        watch_calm(watch);
    else
        tunnel_watch_suspect(watch);
}

static void watch_doubted(struct tunnel_watch *watch)
{
    if (watch_heard_since(watch, watch->suspect_ns)) {
        watch_calm(watch);
        watch->events->recovered(watch);
    } else if (watch->worker->now_ns - watch->suspect_ns >= GRACE_NS) {
        tunnel_watch_stop(watch);
        watch->events->died(watch);
    } else {
        watch_look_in(watch, LOOK_NS);
    }
}

static void watch_fired(struct timer *timer)
{
    struct tunnel_watch *watch = container_of(timer, struct tunnel_watch, timer);

    if (watch->state == WATCH_WAITING)
        watch_waited(watch);
    else if (watch->state == WATCH_SUSPECT)
        watch_doubted(watch);
}

void tunnel_watch_start(struct tunnel_watch *watch, struct worker *worker,
                        struct quic_connection *quic, uint64_t patience_ns,
                        const struct tunnel_watch_events *events)
{
    *watch = (struct tunnel_watch){
        .worker = worker, .quic = quic, .events = events, .patience_ns = patience_ns};
    timer_init(&watch->timer, watch_fired);
    state_move(&watch_states, &watch->state, WATCH_CALM);
}

void tunnel_watch_expect(struct tunnel_watch *watch)
{
    if (watch->state != WATCH_CALM)
        return;
    watch->asked_ns = watch->worker->now_ns;
    state_move(&watch_states, &watch->state, WATCH_WAITING);
    watch_look_in(watch, tunnel_watch_patience(watch));
}

void tunnel_watch_suspect(struct tunnel_watch *watch)
{
    if (watch->state != WATCH_CALM && watch->state != WATCH_WAITING)
        return;
    watch->suspect_ns = watch->worker->now_ns;
    state_move(&watch_states, &watch->state, WATCH_SUSPECT);
    quic_ping(watch->quic);
    watch_look_in(watch, LOOK_NS);
    watch->events->suspected(watch);
}

void tunnel_watch_stop(struct tunnel_watch *watch)
{
    if (watch->state == WATCH_STOPPED)
        return;
    timer_stop(&watch->worker->timers, &watch->timer);
    watch->quic = NULL;
    state_move(&watch_states, &watch->state, WATCH_STOPPED);
}
