#include "relay/bindings.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/mem.h"
#include "core/sock.h"

/* The port that is being bound. */
struct place {
    struct bindings *bindings;
    const struct bind *bind;
    struct addr addr;
    uint32_t port; /* its number among those of the listener */
    bool shared;
};

static int place_bind(const struct place *place, bool udp, bool reuse_port)
{
    const struct bindings *bindings = place->bindings;

    if (udp)
        return sock_udp_bind(bindings->os, &place->addr, addr_is_wildcard(&place->addr),
                             reuse_port);
    if (addr_family(&place->addr) == AF_UNIX)
        return sock_unix_listen(bindings->os, &place->addr, (int)bindings->settings->backlog,
                                place->bind->mode);
    return sock_tcp_bind(bindings->os, &place->addr, reuse_port);
}

/* A service manager may have bound it, and listens already. */
static bool place_listens(const struct place *place, int fd)
{
    struct os *os = place->bindings->os;
    int listens = 0;
    socklen_t size = sizeof(listens);

    return os->get_option(os, fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) == 0 && listens;
}

/* Binds alone first: only so the kernel tells that another process has the port, which would share
 * it with us otherwise.  With port 0 it also tells the number. */
static int place_probe(struct place *place, bool udp, int *kept)
{
    struct os *os = place->bindings->os;
    int fd = place_bind(place, udp, false);
    int rc;

    if (fd < 0)
        return fd;
    rc = os->local_addr(os, fd, &place->addr);
    if (!rc && !udp && place_listens(place, fd))
        *kept = fd;
    else
        os->close(os, fd);
    return rc;
}

static int place_open_each(struct place *place, bool udp, int *fds)
{
    uint32_t workers = place->bindings->workers;
    int kept = -1, rc = place_probe(place, udp, &kept);

    if (kept >= 0) {
        fds[place->port % workers] = kept;
        place->bindings->dealt[place->port] = true;
        return 0;
    }
    for (uint32_t i = 0; !rc && i < workers; i++) {
        fds[i] = place_bind(place, udp, true);
        rc = fds[i] < 0 ? fds[i] : 0;
    }
    return rc;
}

static int place_open_one(struct place *place, bool udp, int *fd)
{
    struct bindings *bindings = place->bindings;

    *fd = place_bind(place, udp, false);
    if (*fd < 0)
        return *fd;
    bindings->dealt[place->port] |= !udp;
    /* With port 0 both protocols get the same one. */
    return bindings->os->local_addr(bindings->os, *fd, &place->addr);
}

static int place_open(struct place *place, bool udp)
{
    struct bindings *bindings = place->bindings;
    int *fds = (udp ? bindings->udp : bindings->tcp) + place->port * bindings->workers;

    if (place->shared && bindings->workers > 1)
        return place_open_each(place, udp, fds);
    return place_open_one(place, udp, &fds[place->port % bindings->workers]);
}

static bool place_wants(const struct place *place, const struct bindings_held *held,
                        enum protocol protocol)
{
    return place->bindings->settings->protocol & protocol &&
           !held->holds(held->context, protocol, &place->addr);
}

static int place_open_all(struct place *place, const struct bindings_held *held)
{
    bool tcp = place_wants(place, held, PROTOCOL_TCP), udp = place_wants(place, held, PROTOCOL_UDP);
    int rc = tcp ? place_open(place, false) : 0;

    if (!rc && udp)
        rc = place_open(place, true);
    if (!rc && !place->port && (tcp || udp))
        place->bindings->first = place->addr;
    return rc;
}

static int bindings_open_bind(struct bindings *bindings, const struct bind *bind,
                              const struct bindings_held *held, uint32_t *number,
                              struct addr *failed)
{
    for (uint32_t port = addr_port(&bind->addr); port <= bind->last_port; port++) {
        struct place place = {.bindings = bindings,
                              .bind = bind,
                              .addr = bind->addr,
                              .port = (*number)++,
                              .shared = bind_is_shared(bind)};
        int rc;

        addr_set_port(&place.addr, (uint16_t)port);
        *failed = place.addr;
        rc = place_open_all(&place, held);
        if (rc)
            return rc;
    }
    return 0;
}

static int *bindings_table(const struct bindings *bindings)
{
    size_t count = (size_t)bindings->ports * bindings->workers;
    int *fds = mem_raw(count * sizeof(int));

    for (size_t i = 0; fds && i < count; i++)
        fds[i] = -1;
    return fds;
}

static int bindings_make_tables(struct bindings *bindings)
{
    enum protocol protocol = bindings->settings->protocol;

    bindings->dealt = mem_new(bindings->ports);
    if (!bindings->dealt)
        return -ENOMEM;
    if (protocol & PROTOCOL_TCP)
        bindings->tcp = bindings_table(bindings);
    if (protocol & PROTOCOL_UDP)
        bindings->udp = bindings_table(bindings);
    if ((protocol & PROTOCOL_TCP && !bindings->tcp) || (protocol & PROTOCOL_UDP && !bindings->udp))
        return -ENOMEM;
    return 0;
}

static void bindings_explain(const struct listener_settings *settings, const struct addr *failed,
                             int rc, char *error, size_t error_size)
{
    char text[ADDR_TEXT_SIZE];

    snprintf(error, error_size, "listener %s: cannot listen on %s: %s%s", settings->name,
             addr_format(failed, text), strerror(-rc),
             rc == -EACCES && addr_port(failed) && addr_port(failed) < 1024
                 ? " (ports below 1024 are root's, or need CAP_NET_BIND_SERVICE)"
                 : "");
}

int bindings_open(struct bindings *bindings, struct os *os,
                  const struct listener_settings *settings, const struct bindings_held *held,
                  uint32_t workers, char *error, size_t error_size)
{
    struct addr failed = {0};
    uint32_t number = 0;
    int rc;

    *bindings = (struct bindings){
        .os = os, .settings = settings, .workers = workers, .ports = listener_ports(settings)};
    rc = bindings_make_tables(bindings);
    if (rc)
        snprintf(error, error_size, "listener %s: %s", settings->name,
                 reason_text(reason_of_errno(rc)));
    for (uint32_t i = 0; !rc && i < settings->bind.count; i++) {
        rc = bindings_open_bind(bindings, &settings->bind.items[i], held, &number, &failed);
        if (rc)
            bindings_explain(settings, &failed, rc, error, error_size);
    }
    if (rc)
        bindings_close(bindings);
    return rc;
}

static int table_take(int *fds, uint32_t at)
{
    int fd = fds ? fds[at] : -1;

    if (fd >= 0)
        fds[at] = -1;
    return fd;
}

int bindings_take_tcp(struct bindings *bindings, uint32_t port, uint32_t worker)
{
    return table_take(bindings->tcp, port * bindings->workers + worker);
}

int bindings_take_udp(struct bindings *bindings, uint32_t port, uint32_t worker)
{
    return table_take(bindings->udp, port * bindings->workers + worker);
}

static void table_close(const struct bindings *bindings, int **fds)
{
    size_t count = (size_t)bindings->ports * bindings->workers;

    for (size_t i = 0; *fds && i < count; i++)
        if ((*fds)[i] >= 0)
            bindings->os->close(bindings->os, (*fds)[i]);
    mem_free(*fds);
    *fds = NULL;
}

/* The file of a path goes with a socket that never came to its listener. */
static void bindings_remove_paths(const struct bindings *bindings)
{
    const struct bind_list *binds = &bindings->settings->bind;

    for (uint32_t i = 0, port = 0; i < binds->count; i++) {
        const struct bind *bind = &binds->items[i];

        if (addr_family(&bind->addr) == AF_UNIX &&
            bindings->tcp[port * bindings->workers + port % bindings->workers] >= 0)
            sock_unix_remove(bindings->os, &bind->addr);
        port += 1u + bind->last_port - addr_port(&bind->addr);
    }
}

void bindings_close(struct bindings *bindings)
{
    if (bindings->tcp)
        bindings_remove_paths(bindings);
    table_close(bindings, &bindings->tcp);
    table_close(bindings, &bindings->udp);
    mem_free(bindings->dealt);
    bindings->dealt = NULL;
}
