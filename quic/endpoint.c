#include "quic/endpoint.h"

#include <errno.h>
#include <string.h>

#include "core/aes.h"
#include "core/mem.h"
#include "quic/conn.h"

static void endpoint_free(struct quic_endpoint *endpoint)
{
    cid_codec_release(&endpoint->codec);
    token_keys_release(&endpoint->keys);
    cid_table_release(&endpoint->ids);
    cid_table_release(&endpoint->buried);
    mem_free(endpoint->handshakes);
    port_leave(endpoint);
    mem_free(endpoint);
}

/* An endpoint without a socket yet. */
static struct quic_endpoint *endpoint_new(struct worker *worker, const uint8_t *secret,
                                          const struct cid_place *place)
{
    struct quic_endpoint *endpoint = mem_new(sizeof(*endpoint));
    uint64_t seed;

    if (!endpoint)
        return NULL;
    worker->os->random(worker->os, &seed, sizeof(seed));
    endpoint->worker = worker;
    list_init(&endpoint->connections);
    list_init(&endpoint->handshaking);
    list_init(&endpoint->graves);
    cid_table_init(&endpoint->ids, seed);
    cid_table_init(&endpoint->buried, seed);
    if (cid_codec_init(&endpoint->codec, secret, place) < 0 ||
        token_keys_init(&endpoint->keys, secret) < 0) {
        endpoint_free(endpoint);
        return NULL;
    }
    return endpoint;
}

static int endpoint_open_socket(struct quic_endpoint *endpoint, struct quic_socket_options *options)
{
    int error;
    struct quic_socket *socket;

    options->worker = endpoint->worker;
    options->packet_info = endpoint->wildcard;
    options->received = endpoint_received;
    options->owner = endpoint;
    socket = socket_open(options, &error);

    if (!socket)
        return error;
    endpoint->socket = socket;
    endpoint->local = *socket_local(socket);
    endpoint->sockets++;
    return 0;
}

static void endpoint_socket_idle(void *owner)
{
    struct quic_endpoint *endpoint = owner;
    quic_idle_fn *idle = endpoint->idle;
    void *context = endpoint->context;

    if (--endpoint->sockets || !endpoint->stopping)
        return;
    endpoint_free(endpoint);
    idle(context);
}

struct quic_endpoint *endpoint_connect(struct worker *worker, const struct addr *peer, int *error)
{
    const struct cid_place place = {.worker = (uint8_t)worker->index, .sockets = 1};
    struct quic_socket_options options = {.peer = peer};
    struct quic_endpoint *endpoint;
    uint8_t secret[32];

    worker->os->random(worker->os, secret, sizeof(secret));
    endpoint = endpoint_new(worker, secret, &place);
    wipe(secret, sizeof(secret));
    *error = -ENOMEM;
    if (!endpoint)
        return NULL;
    *error = endpoint_open_socket(endpoint, &options);
    if (*error < 0) {
        endpoint_free(endpoint);
        return NULL;
    }
    return endpoint;
}

int endpoint_rebind(struct quic_endpoint *endpoint, const struct addr *peer)
{
    struct quic_socket_options options = {.peer = peer};
    struct quic_socket *old = endpoint->socket;
    int rc = endpoint_open_socket(endpoint, &options);

    if (rc < 0)
        return rc;
    socket_stop(old, endpoint_socket_idle, endpoint);
    return 0;
}

void endpoint_make_id(const struct quic_endpoint *endpoint, ngtcp2_cid *id)
{
    uint8_t random[CID_RANDOM];

    endpoint->worker->os->random(endpoint->worker->os, random, sizeof(random));
    cid_make(&endpoint->codec, random, id->data);
    id->datalen = CID_LENGTH;
}

/* ---- the face ---- */

/* On a port the worker's number says which of its sockets, and ids lead there. */
static struct cid_place endpoint_place(const struct worker *worker, const struct quic_port *port)
{
    struct cid_place place = {.worker = (uint8_t)worker->index, .sockets = 1};

    if (port) {
        must(worker->index < port->count);
        place.socket = (uint8_t)worker->index;
        place.sockets = (uint8_t)port->count;
    }
    return place;
}

struct quic_endpoint *quic_listen(struct worker *worker, const struct addr *addr,
                                  const struct quic_acceptor *acceptor, int *error)
{
    struct quic_port *port = acceptor->port;
    const struct cid_place place = endpoint_place(worker, port);
    struct quic_socket_options options = {
        .bind = addr, .bound = port, .fd = port ? port->seats[worker->index].fd : -1};
    struct quic_endpoint *endpoint = endpoint_new(worker, acceptor->secret, &place);

    *error = -ENOMEM;
    if (!endpoint)
        return NULL;
    endpoint->server = true;
    endpoint->wildcard = addr_is_wildcard(port ? &port->addr : addr);
    endpoint->acceptor = *acceptor;
    endpoint->handshakes = mem_new(sizeof(*endpoint->handshakes));
    if (!endpoint->handshakes || port_join(endpoint, port) < 0)
        goto free_endpoint;
    endpoint->handshakes->seed = endpoint->ids.seed;
    *error = endpoint_open_socket(endpoint, &options);
    if (*error < 0)
        goto free_endpoint;
    return endpoint;

free_endpoint:
    endpoint_free(endpoint);
    return NULL;
}

void quic_endpoint_addr(const struct quic_endpoint *endpoint, struct addr *addr)
{
    *addr = endpoint->local;
}

void quic_endpoint_change(struct quic_endpoint *endpoint, const struct quic_config *config,
                          struct tls_context *tls)
{
    endpoint->acceptor.config = *config;
    endpoint->acceptor.tls = tls;
}

void quic_endpoint_refuse_new(struct quic_endpoint *endpoint)
{
    endpoint->refusing = true;
}

void quic_endpoint_stop(struct quic_endpoint *endpoint, quic_idle_fn *idle, void *context)
{
    must(!endpoint->stopping && !endpoint->half_open &&
         (!endpoint->server || list_empty(&endpoint->connections)));
    graves_clear(endpoint);
    endpoint->stopping = true;
    endpoint->idle = idle;
    endpoint->context = context;
    socket_stop(endpoint->socket, endpoint_socket_idle, endpoint);
}
