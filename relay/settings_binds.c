/* Addresses against each other: one bound twice, a listener that leads to itself. */
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "relay/settings_rows.h"

/* One address for one protocol. */
struct bind {
    struct addr addr;
    bool udp, wildcard;
    struct config_place place;
};
struct binds {
    struct bind *items;
    uint32_t count;
};

/* Adds the i-th address of a list with the place of the i-th entry of that key. */
static void binds_add(struct config *config, struct binds *binds, const struct config_entry *entry,
                      const char *key, const struct addr_list *list, bool udp)
{
    for (uint32_t i = 0; i < list->count; i++, entry = entry->next) {
        struct bind *bind = option_grow((void **)&binds->items, &binds->count, sizeof *bind);

        if (!bind) {
            config->out_of_memory = true;
            return;
        }
        while (strcmp(entry->key, key) != 0)
            entry = entry->next;
        bind->addr = list->items[i];
        bind->wildcard = addr_is_wildcard(&bind->addr);
        bind->udp = udp;
        bind->place = entry->place;
    }
}

static void binds_collect(struct config *config, struct binds *binds)
{
    for (const struct config_section *section = config->first; section; section = section->next) {
        const struct listener_settings *listener = section->target;
        const struct tunnel_settings *tunnel = section->target;

        if (strcmp(section->kind, "tunnel") == 0)
            binds_add(config, binds, section->first, "listen", &tunnel->listen, true);
        if (strcmp(section->kind, "listener") != 0)
            continue;
        if (listener->protocol & PROTOCOL_TCP)
            binds_add(config, binds, section->first, "bind", &listener->bind, false);
        if (listener->protocol & PROTOCOL_UDP)
            binds_add(config, binds, section->first, "bind", &listener->bind, true);
    }
}

static int host_compare(const struct addr *a, const struct addr *b)
{
    if (addr_family(a) == AF_INET)
        return memcmp(&a->in4.sin_addr, &b->in4.sin_addr, sizeof a->in4.sin_addr);
    return memcmp(&a->in6.sin6_addr, &b->in6.sin6_addr, sizeof a->in6.sin6_addr);
}

/* Addresses of one protocol, port and family side by side, a wildcard in front. */
static int group_compare(const struct bind *a, const struct bind *b)
{
    if (a->udp != b->udp)
        return a->udp - b->udp;
    if (addr_port(&a->addr) != addr_port(&b->addr))
        return addr_port(&a->addr) - addr_port(&b->addr);
    return addr_family(&a->addr) - addr_family(&b->addr);
}

static int bind_compare(const void *left, const void *right)
{
    const struct bind *a = left, *b = right;
    int order = group_compare(a, b);

    if (!order)
        order = b->wildcard - a->wildcard;
    if (!order)
        order = host_compare(&a->addr, &b->addr);
    if (!order)
        order = config_before(a->place, b->place) ? -1 : config_before(b->place, a->place);
    return order;
}

static void report_twice(struct config *config, const struct bind *a, const struct bind *b)
{
    const struct bind *first = config_before(a->place, b->place) ? a : b;
    const struct bind *second = first == a ? b : a;
    char text[ADDR_TEXT_SIZE];

    config_error(config, second->place, "%s is bound already, at %s:%u",
                 addr_format(&second->addr, text), first->place.file, first->place.line);
}

/* A TCP wildcard takes the port on every address; UDP sockets prefer the more exact one. */
static void binds_check_twice(struct config *config, const struct binds *binds)
{
    const struct bind *head = binds->items;

    for (uint32_t i = 1; i < binds->count; i++) {
        const struct bind *previous = &binds->items[i - 1], *bind = &binds->items[i];

        if (group_compare(head, bind) != 0)
            head = bind;
        else if (addr_port(&bind->addr) == 0)
            continue;
        else if (host_compare(&previous->addr, &bind->addr) == 0)
            report_twice(config, previous, bind);
        else if (head->wildcard && !bind->udp)
            report_twice(config, head, bind);
    }
}

static bool addr_is_loopback(const struct addr *addr)
{
    if (addr_family(addr) == AF_INET)
        return ntohl(addr->in4.sin_addr.s_addr) >> 24 == 127;
    return addr_family(addr) == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&addr->in6.sin6_addr);
}

static bool leads_to(const struct addr *server, const struct addr *bind)
{
    if (addr_equal(server, bind))
        return true;
    return addr_is_wildcard(bind) && addr_family(server) == addr_family(bind) &&
           addr_port(server) == addr_port(bind) &&
           (addr_is_loopback(server) || addr_is_wildcard(server));
}

static bool listener_leads_to_itself(const struct listener_settings *listener,
                                     const struct backend_settings *backend)
{
    for (uint32_t i = 0; i < backend->server_count; i++)
        for (uint32_t k = 0; k < listener->bind.count; k++)
            if (leads_to(&backend->servers[i].host.addr, &listener->bind.items[k]))
                return true;
    return false;
}

static void check_loops(struct config *config)
{
    for (const struct config_section *section = config->first; section; section = section->next) {
        const struct listener_settings *listener = section->target;
        const struct config_section *backend;

        if (strcmp(section->kind, "listener") != 0)
            continue;
        backend = config_section(config, "backend", listener->backend);
        if (backend && listener_leads_to_itself(listener, backend->target))
            config_error(config, section->place, "[listener %s] leads to itself", listener->name);
    }
}

void settings_check_binds(struct config *config, const struct settings *settings)
{
    struct binds binds = {0};

    binds_collect(config, &binds);
    if (binds.count && !config->out_of_memory) {
        qsort(binds.items, binds.count, sizeof *binds.items, bind_compare);
        binds_check_twice(config, &binds);
    }
    mem_free(binds.items);
    check_loops(config);
}
