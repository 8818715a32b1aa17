#include "relay/listener_leave.h"

#include "core/mem.h"
#include "relay/listener_parts.h"

/* ---- the control thread's ---- */

struct udp_leave *udp_leave_new(const struct listener_settings *settings,
                                struct listener_share *share)
{
    uint32_t count = listener_ports(settings);
    struct udp_leave *leave = mem_new(sizeof(*leave) + count * sizeof(leave->ports[0]));

    if (!leave)
        return NULL;
    leave->settings = settings;
    leave->share = share;
    leave->count = count;
    return leave;
}

void udp_leave_free(struct udp_leave **leave)
{
    mem_free(*leave);
    *leave = NULL;
}

static bool udp_leave_is_open(const struct udp_leave_port *port)
{
    return port->state == UDP_LEAVES || port->state == UDP_CLOSES;
}

bool udp_leave_offers(const struct udp_leave *leave, const struct addr *addr)
{
    uint32_t number = addr_port(addr) ? bind_list_find(&leave->settings->bind, addr) : BIND_NONE;

    return number != BIND_NONE && udp_leave_is_open(&leave->ports[number]);
}

void udp_leave_taken(struct udp_leave *leave, uint32_t number)
{
    if (udp_leave_is_open(&leave->ports[number]))
        leave->ports[number].state = UDP_STAYS;
}

void udp_leave_look(struct udp_leave *leave)
{
    for (uint32_t i = 0; i < leave->count; i++) {
        struct udp_leave_port *port = &leave->ports[i];

        if (port->state == UDP_LEAVES && !atomic_load(&port->used))
            port->state = UDP_CLOSES;
    }
}

bool udp_leave_sweep(struct udp_leave *leave)
{
    bool done = true;

    for (uint32_t i = 0; i < leave->count; i++)
        if (leave->ports[i].state == UDP_CLOSES)
            leave->ports[i].state = UDP_CLOSED;
    udp_leave_look(leave);
    for (uint32_t i = 0; i < leave->count; i++)
        done &= !udp_leave_is_open(&leave->ports[i]);
    return done;
}

/* ---- a worker's ---- */

void udp_leave_part_init(struct udp_leave_part *part, struct udp_leave *leave,
                         void (*idle)(void *context), void *context)
{
    *part = (struct udp_leave_part){.leave = leave, .idle = idle, .context = context};
    list_init(&part->ports);
}

void udp_leave_part_settle(struct udp_leave_part *part)
{
    if (!part->stopping || part->told || !list_empty(&part->ports))
        return;
    part->told = true;
    part->idle(part->context);
}

static void udp_port_leave(struct udp_port *port, struct udp_leave_part *part, uint32_t number)
{
    port->listener = NULL;
    port->leaves = part;
    port->number = number;
    port->door.sessions = NULL;
    if (port->door.users)
        atomic_fetch_add(&part->leave->ports[number].used, 1);
    list_remove(&port->link);
    list_append(&part->ports, &port->link);
}

/* The listener may have been given others by now. */
void udp_leave_part_take(struct udp_leave_part *part, struct listener *listener)
{
    struct list *next;

    for (struct list *at = listener->ports.udp.next; at != &listener->ports.udp; at = next) {
        struct udp_port *port = container_of(at, struct udp_port, link);
        uint32_t number = bind_list_find(&part->leave->settings->bind, &port->asked);

        next = at->next;
        if (number != BIND_NONE && part->leave->ports[number].state == UDP_LEAVES)
            udp_port_leave(port, part, number);
    }
}

void udp_leave_part_give(struct udp_leave_part *part, const struct listener_heirs *heirs)
{
    struct list *next;

    for (struct list *at = part->ports.next; at != &part->ports; at = next) {
        struct udp_port *port = container_of(at, struct udp_port, link);

        next = at->next;
        if (!port->ending)
            udp_port_move(port, heirs->find(heirs->context, PROTOCOL_UDP, &port->asked));
    }
}

void udp_leave_part_sweep(struct udp_leave_part *part)
{
    struct list *next;

    for (struct list *at = part->ports.next; at != &part->ports; at = next) {
        struct udp_port *port = container_of(at, struct udp_port, link);

        next = at->next;
        if (part->leave->ports[port->number].state >= UDP_CLOSES)
            udp_port_end(port);
    }
}

void udp_leave_part_stop(struct udp_leave_part *part)
{
    part->stopping = true;
    for (struct list *at = part->ports.next; at != &part->ports; at = at->next)
        udp_port_end(container_of(at, struct udp_port, link));
    udp_leave_part_settle(part);
}
