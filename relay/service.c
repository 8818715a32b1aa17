/* The services of a tunnel client: names, and which are offered. */
#include "relay/service.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/mem.h"

enum { STALE_MIN_S = 5, STALE_MAX_S = 300 };
#define SECOND 1000000000ull

static void service_init(struct service *service, struct services *services,
                         const struct service_settings *settings)
{
    service->services = services;
    service->settings = settings;
    list_init(&service->waiting);
    if (settings->target.addr.length) {
        service->addrs[0] = settings->target.addr;
        service->addr_count = 1;
        service->stale_ns = UINT64_MAX;
    }
}

int services_init(struct services *services, struct worker *worker, const struct settings *settings,
                  void (*quieter)(struct services *services))
{
    *services =
        (struct services){.worker = worker, .count = settings->service_count, .quieter = quieter};
    services->items = mem_new((services->count + 1) * sizeof(struct service));
    if (!services->items)
        return -ENOMEM;
    for (uint32_t i = 0; i < services->count; i++)
        service_init(&services->items[i], services, &settings->services[i]);
    return 0;
}

void services_release(struct services *services)
{
    must(!services->active && !services->asked);
    mem_free(services->items);
    services->items = NULL;
}

void services_ended(struct services *services)
{
    worker_note_ebb(services->worker, mem_tide_turns(&services->tide, services->active--));
    services->quieter(services);
}

/* ---- names ---- */

static uint64_t service_life(const struct resolve_request *resolve)
{
    uint32_t ttl_s = resolve->error ? STALE_MIN_S : resolve->ttl_s;

    if (ttl_s < STALE_MIN_S)
        ttl_s = STALE_MIN_S;
    return (ttl_s > STALE_MAX_S ? STALE_MAX_S : ttl_s) * SECOND;
}

/* A name that stops resolving keeps its last addresses. */
static void service_take_answer(struct service *service)
{
    const struct resolve_request *resolve = &service->resolve;

    service->asked = false;
    service->stale_ns = service->services->worker->now_ns + service_life(resolve);
    if (!resolve->error && resolve->count) {
        service->addr_count = resolve->count;
        memcpy(service->addrs, resolve->addrs, resolve->count * sizeof(struct addr));
        return;
    }
    LOG(service->services->worker->log, LOG_WARN, "service name not resolved",
        LOG_TEXT("service", service->settings->name), LOG_TEXT("name", resolve->host),
        LOG_TEXT("reason", reason_name(REASON_NAME_UNKNOWN)),
        LOG_TEXT("text", strerror(resolve->error < 0 ? -resolve->error : ENOENT)));
}

static void service_answered(struct resolve_request *resolve)
{
    struct service *service = container_of(resolve, struct service, resolve);
    struct services *services = service->services;
    struct list waiting;

    service_take_answer(service);
    list_init(&waiting);
    list_take_all(&waiting, &service->waiting);
    for (struct list *link; (link = list_pop(&waiting));) {
        struct service_wait *wait = container_of(link, struct service_wait, link);

        wait->answered(wait);
    }
    services->asked--;
    services->quieter(services);
}

static void service_ask(struct service *service)
{
    const struct host *target = &service->settings->target;
    struct worker *worker = service->services->worker;

    if (service->asked || worker->now_ns < service->stale_ns || !worker->resolver)
        return;
    service->asked = true;
    service->services->asked++;
    service->resolve =
        (struct resolve_request){.port = target->port, .worker = worker, .done = service_answered};
    snprintf(service->resolve.host, sizeof(service->resolve.host), "%s", target->name);
    resolve_ask(worker->resolver, &service->resolve);
}

bool service_ready(struct service *service, struct service_wait *wait)
{
    service_ask(service);
    if (service->addr_count)
        return true;
    if (wait && service->asked)
        list_append(&service->waiting, &wait->link);
    return false;
}

void services_start(struct services *services)
{
    for (uint32_t i = 0; i < services->count; i++)
        service_ask(&services->items[i]);
}

/* ---- admission ---- */

struct service *services_find(struct services *services, const char *name, enum protocol protocol)
{
    for (uint32_t i = 0; i < services->count; i++)
        if (!strcmp(services->items[i].settings->name, name))
            return services->items[i].settings->protocol & protocol ? &services->items[i] : NULL;
    return NULL;
}

enum wire_code services_admit(struct services *services, const struct wire_flow *flow,
                              enum protocol protocol, struct service **service)
{
    if (services->draining)
        return WIRE_CODE_DRAINING;
    if (flow->hops >= WIRE_HOPS_MAX)
        return WIRE_CODE_HOPS;
    *service = services_find(services, flow->service, protocol);
    return *service ? WIRE_CODE_NONE : WIRE_CODE_NO_SERVICE;
}
