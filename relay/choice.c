#include "relay/choice.h"

struct member *choice_pick(struct backend_pool *pool, struct pick *pick)
{
    struct member *member;

    pick->met_full = false;
    member = backend_pick(pool, pick);
    if (pick->met_full)
        counter_add(pick->worker->counters, COUNTER_LIMIT_MAX_CONN, 1);
    return member;
}

void choice_failed(const struct backend_pool *pool, struct member *member, struct worker *worker,
                   enum reason reason)
{
    if (!member_failed(member, worker, reason))
        return;
    counter_add(worker->counters, COUNTER_EJECTIONS, 1);
    LOG(worker->log, LOG_WARN, "server ejected", LOG_TEXT("backend", backend_pool_name(pool)),
        LOG_TEXT("member", member->name), LOG_NUMBER("ejections_in_a_row", member_ejected(member)),
        LOG_TEXT("reason", reason_text(reason)));
}

void choice_succeeded(const struct backend_pool *pool, struct member *member, struct worker *worker)
{
    if (!member_succeeded(member))
        return;
    counter_add(worker->counters, COUNTER_EJECTIONS_ENDED, 1);
    LOG(worker->log, LOG_INFO, "ejected server is back",
        LOG_TEXT("backend", backend_pool_name(pool)), LOG_TEXT("member", member->name));
}
