/* Any text as an address, a run of ports, a network, a host with a port. */
#include <stdint.h>
#include <string.h>

#include "core/addr.h"
#include "core/cidr.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_addr(const char *text)
{
    struct addr addr, again;
    char shown[ADDR_TEXT_SIZE];

    if (addr_parse(&addr, text))
        return;
    must(addr_parse(&again, addr_format(&addr, shown)) == 0);
    must(addr_equal(&addr, &again));
}

static void fuzz_range(const char *text)
{
    struct addr addr;
    uint16_t last;

    if (addr_parse_range(&addr, &last, text) == 0)
        must(last >= addr_port(&addr));
}

static void fuzz_cidr(const char *text)
{
    struct cidr cidr, again;
    char shown[CIDR_TEXT_SIZE];

    if (cidr_parse(&cidr, text))
        return;
    must(cidr_parse(&again, cidr_format(&cidr, shown)) == 0);
    must(memcmp(&cidr, &again, sizeof(cidr)) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char text[300], host[256];
    uint16_t port;

    if (size >= sizeof(text))
        return 0;
    if (size)
        memcpy(text, data, size);
    text[size] = '\0';
    fuzz_addr(text);
    fuzz_range(text);
    fuzz_cidr(text);
    if (host_port_split(text, host, &port) == 0)
        must(*host);
    return 0;
}
