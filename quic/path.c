#include "quic/path.h"

#define PAUSE_MIN_NS (60 * NGTCP2_SECONDS)
#define PAUSE_MAX_NS (600 * NGTCP2_SECONDS)

enum { PTOS_IN_A_ROW = 1 + 2 + 4, HEADERS_IPV4 = 28, HEADERS_IPV6 = 48 };

/* 1350 is for tunnels under us, where 1452 does not pass: it is not tried where 1452 did. */
static const uint16_t sizes[PATH_PROBES] = {1452, 1350, 8952, 16000, PATH_LARGEST};

/* Largest UDP payload that the interface towards peer takes; the first probe where it cannot be
 * learned. */
static uint32_t path_interface_payload(struct os *os, const struct addr *peer)
{
    bool six = addr_family(peer) == AF_INET6;
    int fd = os->socket(os, addr_family(peer), SOCK_DGRAM);
    uint32_t headers = six ? HEADERS_IPV6 : HEADERS_IPV4;
    int mtu = 0;
    socklen_t size = sizeof(mtu);

    if (fd < 0)
        return sizes[0];
    if (os->connect(os, fd, peer) < 0 || os->get_option(os, fd, six ? IPPROTO_IPV6 : IPPROTO_IP,
                                                        six ? IPV6_MTU : IP_MTU, &mtu, &size) < 0)
        mtu = 0;
    os->close(os, fd);
    return mtu > PATH_SAFE ? (uint32_t)mtu - headers : sizes[0];
}

static void path_probe(struct path *path, ngtcp2_settings *settings, uint32_t largest)
{
    settings->max_tx_udp_payload_size = PATH_SAFE;
    for (unsigned i = 0; i < PATH_PROBES; i++) {
        if (sizes[i] > largest)
            continue;
        path->probes[path->probe_count++] = sizes[i];
        if (sizes[i] > settings->max_tx_udp_payload_size)
            settings->max_tx_udp_payload_size = sizes[i];
    }
    settings->pmtud_probes = path->probes;
    settings->pmtud_probeslen = path->probe_count;
    settings->no_pmtud = !path->probe_count;
}

uint32_t path_fixed_payload(uint32_t mtu)
{
    return mtu < PATH_SAFE ? PATH_SAFE : (mtu > PATH_LARGEST ? PATH_LARGEST : mtu);
}

void path_init(struct path *path, ngtcp2_settings *settings, uint32_t mtu, struct os *os,
               const struct addr *peer)
{
    *path = (struct path){.pause_ns = PAUSE_MIN_NS, .acknowledged_ns = settings->initial_ts};
    if (!mtu) {
        path_probe(path, settings, path_interface_payload(os, peer));
        return;
    }
    settings->max_tx_udp_payload_size = path_fixed_payload(mtu);
    settings->no_tx_udp_payload_size_shaping = 1;
    settings->no_pmtud = 1;
}

uint32_t path_payload(const struct path *path, const ngtcp2_conn *native)
{
    if (path->capped)
        return PATH_SAFE;
    return (uint32_t)ngtcp2_conn_get_path_max_tx_udp_payload_size2(native);
}

void path_turn(struct path *path, const ngtcp2_conn *native, uint64_t now_ns)
{
    ngtcp2_conn_info info;

    if (path->capped) {
        if (now_ns >= path->retry_ns) {
            path->capped = false;
            path->acknowledged_ns = now_ns;
        }
        return;
    }
    if (now_ns - path->acknowledged_ns < PTOS_IN_A_ROW * NGTCP2_MILLISECONDS)
        return;
    ngtcp2_conn_get_conn_info2(native, &info);
    if (!info.bytes_in_flight) {
        path->acknowledged_ns = now_ns;
        return;
    }
    if (now_ns - path->acknowledged_ns < PTOS_IN_A_ROW * ngtcp2_conn_get_pto2(native) ||
        path_payload(path, native) <= PATH_SAFE)
        return;
    path->capped = true;
    path->retry_ns = now_ns + path->pause_ns;
    path->pause_ns = path->pause_ns * 2 < PAUSE_MAX_NS ? path->pause_ns * 2 : PAUSE_MAX_NS;
}
