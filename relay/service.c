/* The services of a tunnel client: names, and which are offered. */
#include "relay/service.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/mem.h"

enum { STALE_MIN_S = 5, STALE_MAX_S = 300 };
#define SECOND 1000000000ull

static struct service *service_new(struct services *services,
                                   const struct service_settings *settings)
{
    struct service *service = mem_new(sizeof(*service));

    if (!service)
        return NULL;
    service->services = services;
    service->settings = *settings;
    list_init(&service->link);
    list_init(&service->waiting);
    if (settings->target.addr.length) {
        service->addrs[0] = settings->target.addr;
        service->addr_count = 1;
        service->stale_ns = UINT64_MAX;
    }
    return service;
}

static void service_settle(struct service *service)
{
    if (list_empty(&service->link) && !service->users && !service->asked)
        mem_free(service);
}

void service_put(struct service *service)
{
    service->users--;
    service_settle(service);
}

static void services_clear(struct list *list)
{
    struct list *link;

    while ((link = list_pop(list)))
        service_settle(container_of(link, struct service, link));
}

int services_init(struct services *services, struct worker *worker, const struct settings *settings,
                  void (*quieter)(struct services *services))
{
    *services =
        (struct services){.worker = worker, .count = settings->service_count, .quieter = quieter};
    list_init(&services->offered);
    list_init(&services->next);
    for (uint32_t i = 0; i < services->count; i++) {
        struct service *service = service_new(services, &settings->services[i]);

        if (!service)
            return -ENOMEM;
        list_append(&services->offered, &service->link);
    }
    return 0;
}

void services_release(struct services *services)
{
    must(!services->active && !services->asked);
    services_clear(&services->next);
    services_clear(&services->offered);
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
        LOG_TEXT("service", service->settings.name), LOG_TEXT("name", resolve->host),
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
    service_settle(service);
    services->quieter(services);
}

static void service_ask(struct service *service)
{
    const struct host *target = &service->settings.target;
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
    for (struct list *at = services->offered.next; at != &services->offered; at = at->next)
        service_ask(container_of(at, struct service, link));
}

/* ---- admission ---- */

struct service *services_find(struct services *services, const char *name, enum protocol protocol)
{
    for (struct list *at = services->offered.next; at != &services->offered; at = at->next) {
        struct service *service = container_of(at, struct service, link);

        if (!strcmp(service->settings.name, name))
            return service->settings.protocol & protocol ? service : NULL;
    }
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

/* ---- other settings ---- */

static bool targets_are_equal(const struct host *a, const struct host *b)
{
    return a->port == b->port && !strcmp(a->name, b->name) && a->addr.length == b->addr.length &&
           (!a->addr.length || addr_equal(&a->addr, &b->addr));
}

/* One at another target is another. */
static struct service *services_same(const struct services *services,
                                     const struct service_settings *settings)
{
    for (struct list *at = services->offered.next; at != &services->offered; at = at->next) {
        struct service *service = container_of(at, struct service, link);

        if (!strcmp(service->settings.name, settings->name) &&
            targets_are_equal(&service->settings.target, &settings->target))
            return service;
    }
    return NULL;
}

int services_prepare(struct services *services, const struct settings *settings)
{
    for (uint32_t i = 0; i < settings->service_count; i++) {
        struct service *service;

        if (services_same(services, &settings->services[i]))
            continue;
        service = service_new(services, &settings->services[i]);
        if (!service)
            return -ENOMEM;
        list_append(&services->next, &service->link);
        service_ask(service);
    }
    return 0;
}

void services_forget(struct services *services)
{
    services_clear(&services->next);
}

/* As a server would see it. */
static bool offers_differ(const struct services *services, const struct settings *settings)
{
    const struct list *at = services->offered.next;

    if (services->count != settings->service_count)
        return true;
    for (uint32_t i = 0; i < services->count; i++, at = at->next) {
        const struct service *service =
            container_of((struct list *)(uintptr_t)at, struct service, link);

        if (strcmp(service->settings.name, settings->services[i].name) != 0 ||
            service->settings.protocol != settings->services[i].protocol)
            return true;
    }
    return false;
}

/* Those that stay or come move to the end, in order, until the others stand before them. */
bool services_switch(struct services *services, const struct settings *settings)
{
    bool differ = offers_differ(services, settings);
    uint32_t leaving = services->count;

    for (uint32_t i = 0; i < settings->service_count; i++) {
        struct service *service = services_same(services, &settings->services[i]);

        if (service)
            leaving--;
        else /* they were made in this order */
            service = container_of(services->next.next, struct service, link);
        service->settings = settings->services[i];
        list_remove(&service->link);
        list_append(&services->offered, &service->link);
    }
    while (leaving--)
        service_settle(container_of(list_pop(&services->offered), struct service, link));
    services->count = settings->service_count;
    return differ;
}
