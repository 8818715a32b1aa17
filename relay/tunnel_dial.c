/* What a client says when it dials: the connection's limits, and its registration. */
#include <stdio.h>
#include <string.h>

#include "relay/tunnel_link.h"

enum { SERVER_STREAMS = 65535, DATAGRAM_QUEUE = 256 };
#define IDLE_TIMEOUT_NS       30000000000ull
#define STREAM_WINDOW         262144ull
#define STREAM_WINDOW_MAX     8388608ull
#define CONNECTION_WINDOW_MAX 16777216ull

void tunnel_dial_config(const struct tunnel_link *link, struct quic_config *config)
{
    *config = (struct quic_config){.alpn = WIRE_ALPN,
                                   .handshake_timeout_ns = tunnel_retry_patience(link),
                                   .idle_timeout_ns = IDLE_TIMEOUT_NS,
                                   .stream_window = STREAM_WINDOW,
                                   .stream_window_max = STREAM_WINDOW_MAX,
                                   .connection_window_max = CONNECTION_WINDOW_MAX,
                                   .max_streams = SERVER_STREAMS,
                                   .datagram_queue = DATAGRAM_QUEUE,
                                   .congestion = QUIC_CUBIC,
                                   .code_of = wire_code_of_reset};
}

static void dial_service(const struct service_settings *settings, struct wire_service *service)
{
    service->protocols = (uint8_t)settings->protocol;
    snprintf(service->name, sizeof(service->name), "%s", settings->name);
}

static void dial_services(const struct tunnel_client *client, struct wire_register *reg)
{
    const struct list *all = &client->services.offered;

    reg->service_count = 0;
    for (struct list *at = all->next; at != all; at = at->next)
        dial_service(&container_of(at, struct service, link)->settings,
                     &reg->services[reg->service_count++]);
}

void tunnel_dial_offer(const struct tunnel_client *client, struct wire_message *message)
{
    *message = (struct wire_message){.type = WIRE_OFFER};
    dial_services(client, &message->reg);
}

void tunnel_dial_register(const struct tunnel_link *link, struct wire_message *message)
{
    const struct tunnel_client *client = link->client;

    *message = (struct wire_message){
        .type = WIRE_REGISTER,
        .reg = {.version_min = WIRE_VERSION_MIN,
                .version_max = WIRE_VERSION_MAX,
                .features = WIRE_FEATURES,
                .slot = link->slot}
    };
    memcpy(message->reg.instance, client->options.share->instance, WIRE_INSTANCE_SIZE);
    snprintf(message->reg.label, sizeof(message->reg.label), "%s", client->settings->id);
    dial_services(client, &message->reg);
}
