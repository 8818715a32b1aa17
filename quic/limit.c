#include "quic/limit.h"

#include <string.h>

bool bucket_take(struct bucket *bucket, uint32_t rate, uint32_t burst, uint64_t now_ns)
{
    uint64_t period_ns = 1000000000 / rate;
    uint64_t gained = (now_ns - bucket->filled_ns) / period_ns;

    if (!bucket->filled_ns || gained + bucket->tokens >= burst) {
        bucket->tokens = burst;
        bucket->filled_ns = now_ns;
    } else {
        bucket->tokens += (uint32_t)gained;
        bucket->filled_ns += gained * period_ns;
    }
    if (!bucket->tokens)
        return false;
    bucket->tokens--;
    return true;
}

bool prefix_limit_take(struct prefix_limit *limit, const struct addr *source, uint32_t rate,
                       uint32_t burst, uint64_t now_ns)
{
    struct addr prefix = *source;

    addr_set_port(&prefix, 0);
    if (addr_family(&prefix) == AF_INET6)
        memset(&prefix.in6.sin6_addr.s6_addr[7], 0, 9);
    else
        prefix.in4.sin_addr.s_addr &= htonl(0xffffff00);
    return bucket_take(&limit->buckets[addr_hash(&prefix, limit->seed) % LIMIT_PREFIXES], rate,
                       burst, now_ns);
}
