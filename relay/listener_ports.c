/* A listener's doors: made of this worker's sockets, opened, and closed one by one. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "relay/listener_parts.h"

/* ---- TCP ---- */

static void tcp_port_closed(struct tcp_door *door)
{
    struct tcp_port *port = container_of(door, struct tcp_port, door);
    struct listener *listener = port->listener;

    list_remove(&port->link);
    mem_free(port);
    listener_settle(listener);
}

static void listener_keeps_backlog(const struct listener *listener)
{
    LOG(listener->options.worker->log, LOG_WARN, "the old backlog stays",
        LOG_TEXT("listener", listener->name));
}

/* Listens already, so that nothing can fail when it opens: who comes before that waits. */
static int tcp_port_make(struct listener *listener, const struct listener_settings *settings,
                         struct listener_ports *ports, const struct addr *asked, int fd)
{
    struct os *os = listener->options.worker->os;
    struct tcp_port *port = mem_new(sizeof(*port));
    int rc;

    sock_tcp_tune(os, fd, &listener->tcp);
    rc = port ? os->listen(os, fd, (int)settings->backlog) : -ENOMEM;

    if (rc) {
        mem_free(port);
        os->close(os, fd);
        return rc;
    }
    port->listener = listener;
    port->asked = *asked;
    port->door.fd = fd;
    port->door.passes_options = addr_family(asked) != AF_UNIX;
    list_append(&ports->tcp, &port->link);
    return 0;
}

/* The kernel deals users out where each worker has a socket; elsewhere we do. */
static void tcp_port_open(struct tcp_port *port)
{
    struct listener *listener = port->listener;
    struct tcp_door *door = &port->door;

    door->name = listener->name;
    door->accepted = port->dealt ? listener_deal : listener_accepted;
    door->closed = tcp_port_closed;
    door->context = listener;
    door->complained_ns = &listener->complained_ns;
    tcp_door_open(door, listener->options.worker, door->fd);
}

/* Accepting goes on, and who waits there is not touched. */
static void tcp_port_move(struct tcp_port *port, struct listener *to)
{
    struct listener *from = port->listener;
    struct os *os = to->options.worker->os;
    uint32_t backlog = to->next->options.settings->backlog;

    if (backlog != from->options.settings->backlog && os->listen(os, port->door.fd, (int)backlog))
        listener_keeps_backlog(to);
    port->listener = to;
    port->door.name = to->name;
    port->door.context = to;
    port->door.complained_ns = &to->complained_ns;
    list_remove(&port->link);
    list_append(&to->ports.tcp, &port->link);
}

static void tcp_port_close(struct tcp_port *port)
{
    if (!port->door.closing && addr_family(&port->asked) == AF_UNIX)
        sock_unix_remove(port->listener->options.worker->os, &port->asked);
    tcp_door_close(&port->door);
}

/* ---- UDP ---- */

static void udp_port_closed(struct udp_door *door)
{
    struct udp_port *port = container_of(door, struct udp_port, door);
    struct listener *listener = port->listener;
    struct udp_leave_part *leaves = port->leaves;

    list_remove(&port->link);
    mem_free(port);
    if (listener)
        listener_settle(listener);
    else
        udp_leave_part_settle(leaves);
}

static int udp_port_make(struct listener *listener, struct listener_ports *ports,
                         const struct addr *asked, int fd)
{
    struct worker *worker = listener->options.worker;
    struct udp_port *port = mem_new(sizeof(*port));
    int rc;

    if (!port) {
        worker->os->close(worker->os, fd);
        return -ENOMEM;
    }
    port->listener = listener;
    port->asked = *asked;
    port->door.closed = udp_port_closed;
    port->door.table = listener->options.sessions;
    port->door.sessions = &listener->datagrams;
    rc = udp_door_init(&port->door, worker, fd);
    if (rc)
        mem_free(port);
    else
        list_append(&ports->udp, &port->link);
    return rc;
}

/* Its sessions remain those of the listener under which they began. */
void udp_port_move(struct udp_port *port, struct listener *to)
{
    if (!to)
        return;
    port->listener = to;
    port->leaves = NULL;
    port->door.sessions = &to->datagrams;
    list_remove(&port->link);
    list_append(&to->ports.udp, &port->link);
}

void udp_port_end(struct udp_port *port)
{
    port->ending = true;
    if (!port->door.users)
        udp_door_close(&port->door);
}

void listener_port_left(uint32_t *users)
{
    struct udp_port *port =
        container_of(container_of(users, struct udp_door, users), struct udp_port, door);

    if (port->leaves)
        atomic_fetch_sub(&port->leaves->leave->ports[port->number].used, 1);
    if (port->ending)
        udp_door_close(&port->door);
}

/* ---- all of them ---- */

static int listener_port_make(struct listener *listener, const struct listener_settings *settings,
                              struct listener_ports *ports, uint32_t number,
                              const struct addr *asked)
{
    struct bindings *bindings = &listener->options.share->ports;
    uint32_t worker = listener->options.worker->index;
    int fd = bindings_take_tcp(bindings, number, worker);
    int rc = 0;

    if (fd >= 0)
        rc = tcp_port_make(listener, settings, ports, asked, fd);
    if (fd >= 0 && !rc)
        container_of(ports->tcp.previous, struct tcp_port, link)->dealt = bindings->dealt[number];
    fd = rc ? -1 : bindings_take_udp(bindings, number, worker);
    if (fd >= 0)
        rc = udp_port_make(listener, ports, asked, fd);
    return rc;
}

int listener_ports_make(struct listener *listener, const struct listener_settings *settings,
                        struct listener_ports *ports, char *error, size_t error_size)
{
    char text[ADDR_TEXT_SIZE];
    uint32_t number = 0;

    for (uint32_t i = 0; i < settings->bind.count; i++) {
        const struct bind *bind = &settings->bind.items[i];
        struct addr asked = bind->addr;

        for (uint32_t port = addr_port(&bind->addr); port <= bind->last_port; port++) {
            int failed;

            addr_set_port(&asked, (uint16_t)port);
            failed = listener_port_make(listener, settings, ports, number++, &asked);
            if (!failed)
                continue;
            snprintf(error, error_size, "listener %s: cannot listen on %s: %s", settings->name,
                     addr_format(&asked, text), strerror(-failed));
            return failed;
        }
    }
    return 0;
}

void listener_ports_open(struct listener *listener, struct listener_ports *ports)
{
    for (struct list *at = ports->tcp.next; at != &ports->tcp; at = at->next)
        tcp_port_open(container_of(at, struct tcp_port, link));
    for (struct list *at = ports->udp.next; at != &ports->udp; at = at->next)
        udp_door_open(&container_of(at, struct udp_port, link)->door);
    list_take_all(&listener->ports.tcp, &ports->tcp);
    list_take_all(&listener->ports.udp, &ports->udp);
}

void listener_ports_drop(struct listener *listener, struct listener_ports *ports)
{
    struct os *os = listener->options.worker->os;
    struct list *link;

    while ((link = list_pop(&ports->tcp))) {
        struct tcp_port *port = container_of(link, struct tcp_port, link);

        if (addr_family(&port->asked) == AF_UNIX)
            sock_unix_remove(os, &port->asked);
        os->close(os, port->door.fd);
        mem_free(port);
    }
    while ((link = list_pop(&ports->udp))) {
        struct udp_port *port = container_of(link, struct udp_port, link);

        udp_door_drop(&port->door);
        mem_free(port);
    }
}

/* Sockets that stay are not touched, but for a backlog that is another. */
void listener_ports_switch(struct listener *listener, const struct listener_settings *settings)
{
    struct os *os = listener->options.worker->os;
    bool other_backlog = settings->backlog != listener->options.settings->backlog;

    for (struct list *at = listener->ports.tcp.next; at != &listener->ports.tcp; at = at->next) {
        struct tcp_port *port = container_of(at, struct tcp_port, link);

        if (!bind_list_holds(&settings->bind, &port->asked))
            tcp_port_close(port);
        else if (other_backlog && os->listen(os, port->door.fd, (int)settings->backlog))
            listener_keeps_backlog(listener);
    }
}

static bool listener_keeps(const struct listener *listener, const struct addr *asked)
{
    return listener->next && bind_list_holds(&listener->next->options.settings->bind, asked);
}

void listener_give(struct listener *listener, const struct listener_heirs *heirs)
{
    struct list *next;

    for (struct list *at = listener->ports.tcp.next; at != &listener->ports.tcp; at = next) {
        struct tcp_port *port = container_of(at, struct tcp_port, link);
        struct listener *heir = listener_keeps(listener, &port->asked)
                                    ? NULL
                                    : heirs->find(heirs->context, PROTOCOL_TCP, &port->asked);

        next = at->next;
        if (heir && !port->door.closing)
            tcp_port_move(port, heir);
    }
    for (struct list *at = listener->ports.udp.next; at != &listener->ports.udp; at = next) {
        struct udp_port *port = container_of(at, struct udp_port, link);

        next = at->next;
        if (!listener_keeps(listener, &port->asked))
            udp_port_move(port, heirs->find(heirs->context, PROTOCOL_UDP, &port->asked));
    }
}

/* What accepted sockets inherit. */
void listener_ports_tune(struct listener *listener)
{
    for (struct list *at = listener->ports.tcp.next; at != &listener->ports.tcp; at = at->next)
        sock_tcp_tune(listener->options.worker->os,
                      container_of(at, struct tcp_port, link)->door.fd, &listener->tcp);
}

void listener_ports_close_tcp(struct listener *listener)
{
    for (struct list *at = listener->ports.tcp.next; at != &listener->ports.tcp; at = at->next)
        tcp_port_close(container_of(at, struct tcp_port, link));
}

void listener_ports_close_udp(struct listener *listener)
{
    for (struct list *at = listener->ports.udp.next; at != &listener->ports.udp; at = at->next)
        udp_port_end(container_of(at, struct udp_port, link));
}
