#include "bench/stage/quic.h"

static void side_ready(struct quic_connection *connection)
{
    ((struct quic_side *)quic_owner(connection))->ready = true;
}

static void side_opened(struct quic_connection *connection, struct stream *stream)
{
    struct quic_side *side = quic_owner(connection);

    bulk_read(&side->bulk, side->end, stream);
}

static void side_datagram(struct quic_connection *connection, const uint8_t *data, uint32_t length)
{
}

static void side_closed(struct quic_connection *connection, const struct quic_closing *closing)
{
    struct quic_side *side = quic_owner(connection);

    side->closed = true;
    side->connection = NULL;
}

static const struct quic_events side_events = {side_ready, side_opened, side_datagram, side_closed};

/* What a tunnel has by default. */
static struct quic_config side_config(const struct quic_side *side)
{
    return (struct quic_config){
        .alpn = "qmux/2",
        .handshake_timeout_ns = 5000000000u,
        .idle_timeout_ns = 30000000000u,
        .stream_window = 256 << 10,
        .stream_window_max = 8 << 20,
        .connection_window_max = 16 << 20,
        .max_streams = 8,
        .datagram_queue = 64,
        .mtu = side->mtu,
    };
}

static bool side_accepted(void *context, struct quic_connection *connection)
{
    struct quic_side *side = context;

    if (side->connection)
        return false;
    side->connection = connection;
    quic_own(connection, &side_events, side);
    return true;
}

bool quic_side_listen(struct quic_side *side, const struct addr *bind, struct addr *bound)
{
    struct quic_acceptor acceptor = {
        .config = side_config(side),
        .tls = stage_papers(NULL)->server,
        .accept = side_accepted,
        .context = side,
        .secret = {1, 2, 3},
    };
    int error;

    side->endpoint = quic_listen(side->worker, bind, &acceptor, &error);
    if (side->endpoint)
        quic_endpoint_addr(side->endpoint, bound);
    return side->endpoint;
}

static void side_idle(void *context)
{
    ((struct quic_side *)context)->idle = true;
}

void quic_side_unlisten(struct quic_side *side)
{
    quic_endpoint_stop(side->endpoint, side_idle, side);
}

bool quic_side_dial(struct quic_side *side, const struct addr *peer)
{
    const struct quic_dial dial = {
        .peer = *peer,
        .server_name = "stage.example",
        .tls = stage_papers(NULL)->client,
        .config = side_config(side),
    };
    int error;

    side->connection = quic_connect(side->worker, &dial, &side_events, side, &error);
    return side->connection;
}
