/* The client's side of the face: dialling, and moving to another local address. */
#include <errno.h>

#include "quic/conn.h"

static void endpoint_unused(void *context)
{
}

struct quic_connection *quic_connect(struct worker *worker, const struct quic_dial *dial,
                                     const struct quic_events *events, void *owner, int *error)
{
    struct quic_endpoint *endpoint = endpoint_connect(worker, &dial->peer, error);
    struct connection_birth birth = {.endpoint = endpoint,
                                     .config = &dial->config,
                                     .tls = dial->tls,
                                     .server_name = dial->server_name,
                                     .peer = dial->peer,
                                     .worker = dial->worker,
                                     .workers = dial->workers};
    struct quic_connection *connection;

    if (!endpoint)
        return NULL;
    birth.local = endpoint->local;
    connection = connection_new(&birth);
    if (!connection) {
        *error = -ENOMEM;
        quic_endpoint_stop(endpoint, endpoint_unused, NULL);
        return NULL;
    }
    quic_own(connection, events, owner);
    return connection;
}

/* A peer that gave no spare id, or a handshake not confirmed yet, forbids a migration; the change
 * is then left for the server to notice, as it does when a NAT forgets. */
int quic_rebind(struct quic_connection *connection)
{
    ngtcp2_path path;
    struct addr local;
    int rc;

    if (connection->server || !connection_alive(connection))
        return -EINVAL;
    rc = endpoint_rebind(connection->endpoint, &connection->peer);
    if (rc < 0)
        return rc;
    local = connection->endpoint->local;
    path = (ngtcp2_path){
        .local = {&local.sa,            local.length           },
        .remote = {&connection->peer.sa, connection->peer.length}
    };
    if (ngtcp2_conn_initiate_immediate_migration(connection->native, &path,
                                                 connection->worker->now_ns))
        ngtcp2_conn_set_local_addr(connection->native, &path.local);
    connection_wake(connection);
    return 0;
}
