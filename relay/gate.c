#include "relay/gate.h"

void gate_init(struct gate *gate, struct worker *worker, const struct listener_settings *settings,
               struct rate_table *rates)
{
    *gate = (struct gate){.worker = worker, .settings = settings, .rates = rates};
}

bool gate_forbids(const struct gate *gate, const struct addr *source)
{
    const struct listener_settings *settings = gate->settings;

    if (addr_family(source) == AF_UNIX)
        return false;
    return cidr_list_holds(&settings->deny, source) ||
           (settings->allow.count && !cidr_list_holds(&settings->allow, source));
}

enum reason gate_admit(struct gate *gate, const struct addr *source)
{
    if (addr_family(source) == AF_UNIX)
        return REASON_DONE;
    if (gate_forbids(gate, source)) {
        counter_add(gate->worker->counters, COUNTER_SOURCES_DENIED, 1);
        return REASON_SOURCE_DENIED;
    }
    if (gate->rates && !rate_table_take(gate->rates, source, gate->worker->now_ns)) {
        counter_add(gate->worker->counters, COUNTER_LIMIT_RATE, 1);
        return REASON_RATE_LIMIT;
    }
    return REASON_DONE;
}

bool gate_trusts(const struct gate *gate, const struct addr *peer)
{
    return cidr_list_holds(&gate->settings->accept_proxy_from, peer);
}
