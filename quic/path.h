/* quic/path.h - how large the packets of a connection may be.  Internal to quic.
 *
 * ngtcp2 finds larger sizes by probing but never notices when a path stops taking them.  So each
 * connection has a cap: nothing acknowledged for three PTOs (1 + 2 + 4 times the first) while
 * packets above 1200 bytes are in flight makes it write packets of 1200; larger ones are tried
 * again after 60 s, doubling to 10 min.
 *
 * Owner: the connection.  Thread: its worker's. */
#ifndef QUIC_PATH_H
#define QUIC_PATH_H

#include <ngtcp2/ngtcp2.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/addr.h"
#include "core/os.h"

enum { PATH_SAFE = 1200, PATH_LARGEST = 65000, PATH_PROBES = 5 };

struct path {
    bool capped;
    uint64_t acknowledged_ns; /* last progress, or when packets went out after a pause */
    uint64_t retry_ns;        /* while capped: when larger packets are tried again */
    uint64_t pause_ns;        /* before the next try */
    uint16_t probes[PATH_PROBES];
    uint8_t probe_count;
};

/* Fills the settings that rule packet sizes: `mtu` fixes the UDP payload, 0 probes up to what the
 * interface towards `peer` takes.  The settings borrow from path. */
void path_init(struct path *path, ngtcp2_settings *settings, uint32_t mtu, struct os *os,
               const struct addr *peer);
/* `mtu` within what QUIC can do; a peer is told not to send larger ones either. */
uint32_t path_fixed_payload(uint32_t mtu);
/* Bytes of UDP payload that a packet may have now. */
uint32_t path_payload(const struct path *path, const ngtcp2_conn *native);
/* Something was acknowledged. */
static inline void path_acknowledged(struct path *path, uint64_t now_ns)
{
    path->acknowledged_ns = now_ns;
}
/* Once a turn, before writing. */
void path_turn(struct path *path, const ngtcp2_conn *native, uint64_t now_ns);

#endif
