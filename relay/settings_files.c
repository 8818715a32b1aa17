/* What settings need of the system: files that TLS reads, ports and descriptors. */
#include "relay/settings.h"

enum {
    DESCRIPTORS_PER_WORKER = 4, /* its ring, its events, and a little */
    SHARED_PORTS_MAX = 64       /* of a bind, where each worker has a socket for each port */
};

static bool tls_serves(const struct settings *settings, const struct tls_settings *tls)
{
    for (uint32_t i = 0; i < settings->tunnel_count; i++)
        if (settings->tunnels[i].tls == tls)
            return true;
    return false;
}

/* False: error is a sentence. */
static bool tls_open(const struct settings *settings, const struct tls_settings *tls, char *error,
                     size_t error_size)
{
    struct tls_files files = {.cert = tls->cert, .key = tls->key, .ca = tls->ca};
    struct tls_context *context = tls_serves(settings, tls)
                                      ? tls_server_new(&files, tls->client_auth, error, error_size)
                                      : tls_client_new(&files, error, error_size);
    bool opened = context != NULL;

    tls_context_free(&context);
    return opened;
}

uint32_t settings_check_files(const struct settings *settings, FILE *errors)
{
    uint32_t count = 0;
    char error[512];

    for (uint32_t i = 0; i < settings->tls_count; i++) {
        const struct tls_settings *tls = &settings->tls[i];

        if (tls_open(settings, tls, error, sizeof error))
            continue;
        fprintf(errors, "%s:%u: [tls %s] %s\n", tls->file, tls->line, tls->name, error);
        count++;
    }
    return count;
}

static uint32_t bind_ports(const struct bind *bind)
{
    return 1u + bind->last_port - addr_port(&bind->addr);
}

uint32_t listener_ports(const struct listener_settings *listener)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < listener->bind.count; i++)
        count += bind_ports(&listener->bind.items[i]);
    return count;
}

bool bind_list_holds(const struct bind_list *list, const struct addr *addr)
{
    uint16_t port = addr_port(addr);

    for (uint32_t i = 0; i < list->count; i++) {
        struct addr at = list->items[i].addr;

        if (port < addr_port(&at) || port > list->items[i].last_port)
            continue;
        addr_set_port(&at, port);
        if (addr_equal(&at, addr))
            return true;
    }
    return false;
}

bool bind_is_shared(const struct bind *bind)
{
    return bind_ports(bind) <= SHARED_PORTS_MAX && addr_family(&bind->addr) != AF_UNIX;
}

static uint32_t listener_descriptors(const struct listener_settings *listener, uint32_t workers)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < listener->bind.count; i++) {
        const struct bind *bind = &listener->bind.items[i];

        count += bind_ports(bind) * (bind_is_shared(bind) ? workers : 1);
    }
    return listener->protocol == PROTOCOL_BOTH ? count * 2 : count;
}

uint32_t settings_descriptors(const struct settings *settings)
{
    uint32_t workers = settings->process.workers ? settings->process.workers : 1;
    uint32_t count = 64; /* a ring, logs, events, certificates, and a few to accept with */

    count += (workers - 1) * DESCRIPTORS_PER_WORKER;
    for (uint32_t i = 0; i < settings->tunnel_count; i++)
        count += settings->tunnels[i].listen.count * workers;
    for (uint32_t i = 0; i < settings->listener_count; i++)
        count += listener_descriptors(&settings->listeners[i], workers);
    for (uint32_t i = 0; i < settings->backend_count; i++)
        if (settings->backends[i].health != HEALTH_NONE)
            count += settings->backends[i].server_count;
    return count + settings->client.server_count;
}
