#include "relay/proxy_header.h"

#include <stdio.h>
#include <string.h>

#include "relay/wire_bytes.h"

enum {
    V2_LOCAL = 0x20,
    V2_PROXY = 0x21,
    V2_IP4 = 0x10,
    V2_IP6 = 0x20,
    V2_STREAM = 1,
    V2_DGRAM = 2
};

/* The family both have, or AF_UNSPEC. */
static int proxy_family(const struct addr *source, const struct addr *destination)
{
    int family = addr_family(source);

    if (family != addr_family(destination) || (family != AF_INET && family != AF_INET6))
        return AF_UNSPEC;
    return family;
}

size_t proxy_header_v1(const struct addr *source, const struct addr *destination,
                       uint8_t to[PROXY_HEADER_MAX])
{
    char line[PROXY_HEADER_MAX + 1], from[ADDR_TEXT_SIZE], at[ADDR_TEXT_SIZE];
    int family = proxy_family(source, destination), length;

    if (family == AF_UNSPEC)
        length = snprintf(line, sizeof(line), "PROXY UNKNOWN\r\n");
    else
        length =
            snprintf(line, sizeof(line), "PROXY TCP%c %s %s %u %u\r\n",
                     family == AF_INET ? '4' : '6', addr_format_host(source, from),
                     addr_format_host(destination, at), addr_port(source), addr_port(destination));
    must(length > 0 && length <= PROXY_HEADER_MAX);
    memcpy(to, line, (size_t)length);
    return (size_t)length;
}

static void proxy_put_ip4(struct byte_writer *writer, const struct addr *source,
                          const struct addr *destination)
{
    bytes_put_number(writer, 12, 2);
    bytes_put(writer, &source->in4.sin_addr, 4);
    bytes_put(writer, &destination->in4.sin_addr, 4);
}

static void proxy_put_ip6(struct byte_writer *writer, const struct addr *source,
                          const struct addr *destination)
{
    bytes_put_number(writer, 36, 2);
    bytes_put(writer, &source->in6.sin6_addr, 16);
    bytes_put(writer, &destination->in6.sin6_addr, 16);
}

size_t proxy_header_v2(const struct addr *source, const struct addr *destination, bool datagrams,
                       uint8_t to[PROXY_HEADER_MAX])
{
    static const uint8_t signature[12] = {0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d,
                                          0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a};
    struct byte_writer writer = byte_writer(to, PROXY_HEADER_MAX);
    int family = proxy_family(source, destination);
    uint8_t transport = datagrams ? V2_DGRAM : V2_STREAM;

    bytes_put(&writer, signature, sizeof(signature));
    if (family == AF_UNSPEC) {
        bytes_put_number(&writer, V2_LOCAL, 1);
        bytes_put_number(&writer, 0, 3);
        return bytes_written(&writer);
    }
    bytes_put_number(&writer, V2_PROXY, 1);
    bytes_put_number(&writer, (family == AF_INET ? V2_IP4 : V2_IP6) | transport, 1);
    if (family == AF_INET)
        proxy_put_ip4(&writer, source, destination);
    else
        proxy_put_ip6(&writer, source, destination);
    bytes_put_number(&writer, addr_port(source), 2);
    bytes_put_number(&writer, addr_port(destination), 2);
    return bytes_written(&writer);
}
