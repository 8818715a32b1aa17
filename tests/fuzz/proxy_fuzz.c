/* Any bytes as a PROXY header that comes in two parts. */
#include <stdint.h>

#include "core/must.h"
#include "relay/proxy_in.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t cut = size ? data[0] % size : 0;
    struct proxy_in in;
    char text[ADDR_TEXT_SIZE];

    if (!size)
        return 0;
    data++;
    size--;
    for (int versions = ACCEPT_PROXY_V1; versions <= ACCEPT_PROXY_ANY; versions++) {
        int part = proxy_in_parse(data, cut, (enum accept_proxy)versions, &in);
        int whole = proxy_in_parse(data, size, (enum accept_proxy)versions, &in);

        must(whole <= (int)size && whole <= PROXY_IN_MAX);
        must(!part || part == whole); /* a verdict does not change */
        if (whole > 0)
            must(addr_family(&in.source) == addr_family(&in.destination));
        must(addr_format(&in.source, text));
    }
    return 0;
}
