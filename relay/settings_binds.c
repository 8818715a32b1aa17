/* Addresses against each other: one bound twice, a listener that leads to itself. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/mem.h"
#include "relay/settings_rows.h"

/* What one line binds, for one protocol. */
struct claim {
    struct addr addr;
    uint16_t first_port, last_port;
    bool udp, wildcard, reported;
    struct config_place place;
};
struct claims {
    struct claim *items;
    uint32_t count;
};

static struct claim *claims_add(struct config *config, struct claims *claims,
                                const struct config_entry *entry, const struct addr *addr, bool udp)
{
    struct claim *claim = option_grow((void **)&claims->items, &claims->count, sizeof *claim);

    if (!claim) {
        config->out_of_memory = true;
        return NULL;
    }
    claim->addr = *addr;
    claim->first_port = claim->last_port = addr_port(addr);
    claim->wildcard = addr_is_wildcard(addr);
    claim->udp = udp;
    claim->place = entry->place;
    return claim;
}

static const struct config_entry *entry_of(const struct config_entry *entry, const char *key)
{
    while (strcmp(entry->key, key) != 0)
        entry = entry->next;
    return entry;
}

static void claims_add_tunnel(struct config *config, struct claims *claims,
                              const struct config_section *section)
{
    const struct tunnel_settings *tunnel = section->target;
    const struct config_entry *entry = section->first;

    for (uint32_t i = 0; i < tunnel->listen.count; i++, entry = entry->next) {
        entry = entry_of(entry, "listen");
        if (!claims_add(config, claims, entry, &tunnel->listen.items[i], true))
            return;
    }
}

static void claims_add_listener(struct config *config, struct claims *claims,
                                const struct config_section *section, bool udp)
{
    const struct listener_settings *listener = section->target;
    const struct config_entry *entry = section->first;

    for (uint32_t i = 0; i < listener->bind.count; i++, entry = entry->next) {
        const struct bind *bind = &listener->bind.items[i];
        struct claim *claim;

        entry = entry_of(entry, "bind");
        claim = claims_add(config, claims, entry, &bind->addr, udp);
        if (!claim)
            return;
        claim->last_port = bind->last_port;
    }
}

/* An address that is not in the file is nobody else's. */
static void claims_add_admin(struct config *config, struct claims *claims,
                             const struct config_section *section)
{
    const struct admin_settings *admin = section->target;
    const struct config_entry *http = config_find(section, "http");
    const struct config_entry *path = config_find(section, "socket");
    struct addr addr;

    if (http)
        claims_add(config, claims, http, &admin->http, false);
    if (path && addr_from_path(&addr, admin->socket) == 0)
        claims_add(config, claims, path, &addr, false);
}

static void claims_collect(struct config *config, struct claims *claims)
{
    for (const struct config_section *section = config->first; section; section = section->next) {
        const struct listener_settings *listener = section->target;

        if (strcmp(section->kind, "tunnel") == 0)
            claims_add_tunnel(config, claims, section);
        if (strcmp(section->kind, "admin") == 0)
            claims_add_admin(config, claims, section);
        if (strcmp(section->kind, "listener") != 0)
            continue;
        if (listener->protocol & PROTOCOL_TCP)
            claims_add_listener(config, claims, section, false);
        if (listener->protocol & PROTOCOL_UDP)
            claims_add_listener(config, claims, section, true);
    }
}

/* ---- the same address twice ---- */

static int host_compare(const struct addr *a, const struct addr *b)
{
    switch (addr_family(a)) {
    case AF_INET:
        return memcmp(&a->in4.sin_addr, &b->in4.sin_addr, sizeof a->in4.sin_addr);
    case AF_INET6:
        return memcmp(&a->in6.sin6_addr, &b->in6.sin6_addr, sizeof a->in6.sin6_addr);
    default:
        return strcmp(a->local.sun_path, b->local.sun_path);
    }
}

/* Claims that may clash stand near each other: by protocol, family and first port. */
static int claim_compare(const void *left, const void *right)
{
    const struct claim *a = left, *b = right;

    if (a->udp != b->udp)
        return a->udp - b->udp;
    if (addr_family(&a->addr) != addr_family(&b->addr))
        return addr_family(&a->addr) - addr_family(&b->addr);
    if (a->first_port != b->first_port)
        return a->first_port - b->first_port;
    return config_before(a->place, b->place) ? -1 : config_before(b->place, a->place);
}

const char *bind_format(const struct bind *bind, char text[BIND_TEXT_SIZE])
{
    size_t length;

    addr_format(&bind->addr, text);
    length = strlen(text);
    if (bind->last_port != addr_port(&bind->addr))
        snprintf(text + length, BIND_TEXT_SIZE - length, "-%u", bind->last_port);
    return text;
}

static void report_twice(struct config *config, struct claim *a, struct claim *b)
{
    struct claim *first = config_before(b->place, a->place) ? b : a;
    struct claim *second = first == a ? b : a;
    struct bind bind = {.addr = second->addr, .last_port = second->last_port};
    char text[BIND_TEXT_SIZE];

    if (second->reported)
        return;
    second->reported = true;
    config_error(config, second->place, "%s is bound already, at %s:%u", bind_format(&bind, text),
                 first->place.file, first->place.line);
}

/* A wildcard takes the port on every address.  Port 0 is a different one each time. */
static bool claims_clash(const struct claim *a, const struct claim *b)
{
    if (addr_family(&a->addr) != AF_UNIX && !a->first_port)
        return false;
    return host_compare(&a->addr, &b->addr) == 0 || a->wildcard || b->wildcard;
}

static void claims_check_twice(struct config *config, const struct claims *claims)
{
    for (uint32_t i = 0; i < claims->count; i++) {
        struct claim *claim = &claims->items[i];

        for (uint32_t k = i + 1; k < claims->count; k++) {
            struct claim *other = &claims->items[k];

            if (other->udp != claim->udp ||
                addr_family(&other->addr) != addr_family(&claim->addr) ||
                other->first_port > claim->last_port)
                break;
            if (claims_clash(claim, other))
                report_twice(config, claim, other);
        }
    }
}

/* ---- a listener that leads to itself ---- */

static bool addr_is_loopback(const struct addr *addr)
{
    if (addr_family(addr) == AF_INET)
        return ntohl(addr->in4.sin_addr.s_addr) >> 24 == 127;
    return addr_family(addr) == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&addr->in6.sin6_addr);
}

/* Whether connecting to `server` on one of these ports ends at `bind`. */
static bool reaches(const struct addr *server, uint16_t first_port, uint16_t last_port,
                    const struct bind *bind)
{
    if (!server->length || addr_family(server) != addr_family(&bind->addr))
        return false;
    if (addr_family(server) == AF_UNIX)
        return addr_equal(server, &bind->addr);
    if (!addr_port(&bind->addr) || first_port > bind->last_port ||
        last_port < addr_port(&bind->addr))
        return false;
    return host_compare(server, &bind->addr) == 0 ||
           (addr_is_wildcard(&bind->addr) &&
            (addr_is_loopback(server) || addr_is_wildcard(server)));
}

static bool address_leads_to(const struct listener_settings *from, const struct addr *server,
                             uint16_t port, const struct listener_settings *to)
{
    for (uint32_t i = 0; i < to->bind.count; i++) {
        const struct bind *bind = &to->bind.items[i];

        if (port || addr_family(server) == AF_UNIX) {
            if (reaches(server, port, port, bind))
                return true;
            continue;
        }
        for (uint32_t k = 0; k < from->bind.count; k++) /* it keeps the user's port */
            if (reaches(server, addr_port(&from->bind.items[k].addr), from->bind.items[k].last_port,
                        bind))
                return true;
    }
    return false;
}

static bool server_leads_to(const struct listener_settings *from, const struct host *server,
                            const struct listener_settings *to)
{
    static const char *const loopbacks[] = {"127.0.0.1", "::1"};
    struct addr addr;

    if (server->addr.length)
        return address_leads_to(from, &server->addr, server->port, to);
    if (strcasecmp(server->name, "localhost") != 0)
        return false;
    for (size_t i = 0; i < ARRAY_COUNT(loopbacks); i++)
        if (addr_from_host(&addr, loopbacks[i], server->port) == 0 &&
            address_leads_to(from, &addr, server->port, to))
            return true;
    return false;
}

static bool listener_leads_to(const struct config *config, const struct listener_settings *from,
                              const struct listener_settings *to)
{
    const struct config_section *section = config_section(config, "backend", from->backend);
    const struct backend_settings *backend = section ? section->target : NULL;

    if (!(from->protocol & to->protocol))
        return false;
    for (uint32_t i = 0; backend && i < backend->server_count; i++)
        if (server_leads_to(from, &backend->servers[i].host, to))
            return true;
    return false;
}

struct walk {
    struct config *config;
    const struct settings *settings;
    enum { UNSEEN, ON_THE_WAY, DONE } * marks; /* by listener */
};

/* Every listener that users of the i-th reach; one that is on the way already closes a loop. */
static void walk_from(struct walk *walk, uint32_t i)
{
    const struct listener_settings *listeners = walk->settings->listeners;

    walk->marks[i] = ON_THE_WAY;
    for (uint32_t k = 0; k < walk->settings->listener_count; k++) {
        const struct config_section *section;

        if (walk->marks[k] == DONE ||
            !listener_leads_to(walk->config, &listeners[i], &listeners[k]))
            continue;
        section = config_section(walk->config, "listener", listeners[k].name);
        if (walk->marks[k] == UNSEEN)
            walk_from(walk, k);
        else if (k == i)
            config_error(walk->config, section->place, "[listener %s] leads to itself",
                         listeners[k].name);
        else
            config_error(walk->config, section->place,
                         "[listener %s] leads to itself, through [listener %s]", listeners[k].name,
                         listeners[i].name);
    }
    walk->marks[i] = DONE;
}

static void check_loops(struct config *config, const struct settings *settings)
{
    struct walk walk = {.config = config, .settings = settings};

    walk.marks = mem_new((settings->listener_count + 1) * sizeof *walk.marks);
    if (!walk.marks) {
        config->out_of_memory = true;
        return;
    }
    for (uint32_t i = 0; i < settings->listener_count; i++)
        if (walk.marks[i] == UNSEEN)
            walk_from(&walk, i);
    mem_free(walk.marks);
}

void settings_check_binds(struct config *config, const struct settings *settings)
{
    struct claims claims = {0};

    claims_collect(config, &claims);
    if (claims.count && !config->out_of_memory) {
        qsort(claims.items, claims.count, sizeof *claims.items, claim_compare);
        claims_check_twice(config, &claims);
    }
    mem_free(claims.items);
    check_loops(config, settings);
}
