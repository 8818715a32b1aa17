"""The rows: each measures one thing on one system that runs, and returns figures by name."""

from lib import asking, bulk


class Row:
    """key: the figure that a row is about; peers: beside what, in the standard matrix and in full."""

    def __init__(self, name, kind, origin, title, measure, key, unit, peers, standard=None):
        self.name, self.kind, self.origin, self.title = name, kind, origin, title
        self.measure, self.key, self.unit = measure, key, unit
        self.peers, self.standard = peers, standard
        self.better = "lower" if key in LOWER else "higher"
        self.ours = OURS[name] if name in OURS else OURS[kind]
        self.starts_itself = measure is asking.bind_ports
        self.steady = measure in (asking.bind_ports, asking.idle_memory, asking.idle_crowd)


LOWER = ("lost_percent", "bytes_each", "mb_above_empty", "seconds", "p99_us_at_50")
OURS = {
    "tunnel": "qmux-uring",
    "relay": "qmux-uring-direct",
    "direct-bind": "qmux-uring-ports",
    "direct-copy-1": "qmux-uring-copy",
    "direct-copy-4": "qmux-uring-copy",
    "direct-copy-64": "qmux-uring-copy",
    "workers-direct-tcp": "qmux-uring-direct-2w",
    "workers-direct-connections": "qmux-uring-direct-2w",
    "workers-direct-requests": "qmux-uring-direct-2w",
    "workers-tunnel-tcp": "qmux-uring-2w",
    "workers-tunnel-requests": "qmux-uring-2w",
}
TUNNELS = ["rathole-tls", "rathole-noise", "frp-tls", "frp-quic", "qmux"]
COPIERS = ["haproxy", "nginx-16k", "nginx-64k"]
BEATEN = ["haproxy", "haproxy-splice", "nginx-16k", "nginx-64k"]  # those that GOALS speak of
RELAYS = BEATEN + ["nvelox"]
DATAGRAMS = ["nginx-64k", "nvelox"]

ROWS = [
    # The standard matrix: those with a last column, which names its peers.
    Row("tunnel-tcp-up", "tunnel", "iperf3", "Tunnel, one TCP stream, user to service",
        bulk.tcp_bulk, "gbit_s", "Gbit/s", TUNNELS, ["rathole-tls", "qmux"]),
    Row("tunnel-udp", "tunnel", "iperf3", "Tunnel, UDP, 1200 bytes, most with under 1 % lost",
        bulk.udp_search, "packets_per_s", "packets/s", TUNNELS, ["frp-quic"]),
    Row("tunnel-connections", "tunnel", "http", "Tunnel, a new connection per request",
        lambda b, s: asking.wrk(b, s, close=True), "per_s", "per s", TUNNELS, ["frp-quic"]),
    Row("tunnel-requests", "tunnel", "http", "Tunnel, 1 KB requests on 64 kept connections",
        asking.wrk, "per_s", "per s", TUNNELS, ["rathole-noise"]),
    Row("direct-tcp-1", "relay", "iperf3", "Direct relay, one TCP stream",
        bulk.tcp_bulk, "gbit_s", "Gbit/s", RELAYS, ["haproxy-splice", "nginx-64k"]),
    Row("direct-connections", "relay", "http", "Direct relay, a new connection per request",
        lambda b, s: asking.wrk(b, s, close=True), "per_s", "per s", RELAYS, ["haproxy"]),
    Row("direct-requests", "relay", "http", "Direct relay, 1 KB requests on 64 kept connections",
        asking.wrk, "per_s", "per s", RELAYS, ["haproxy"]),
    Row("idle-memory", "tunnel", "http", "Memory of an idle tunnelled connection, the heavier end",
        asking.idle_memory, "bytes_each", "bytes", TUNNELS, ["rathole-tls"]),
    # The rest of --full.
    Row("tunnel-tcp-down", "tunnel", "iperf3", "Tunnel, one TCP stream, service to user",
        lambda b, s: bulk.tcp_bulk(b, s, True), "gbit_s", "Gbit/s", TUNNELS),
    Row("tunnel-tcp-64", "tunnel", "iperf3", "Tunnel, 64 TCP streams",
        lambda b, s: bulk.tcp_bulk(b, s, streams=64), "gbit_s", "Gbit/s", TUNNELS),
    Row("tunnel-udp-loss", "tunnel", "iperf3", "Tunnel, UDP, 1200 bytes at 400 Mbit/s: lost",
        bulk.udp_rate, "lost_percent", "%", TUNNELS + ["direct"]),
    Row("tunnel-udp-512", "tunnel", "iperf3", "Tunnel, UDP, 512 bytes, most with under 1 % lost",
        lambda b, s: bulk.udp_search(b, s, 512), "packets_per_s", "packets/s", TUNNELS),
    Row("tunnel-udp-64", "tunnel", "iperf3", "Tunnel, UDP, 64 bytes, most with under 1 % lost",
        lambda b, s: bulk.udp_search(b, s, 64), "packets_per_s", "packets/s", TUNNELS),
    Row("tunnel-latency", "tunnel", "http", "Tunnel, 1 KB requests at half the highest rate, p99",
        asking.latency, "p99_us_at_50", "us", TUNNELS),
    Row("tunnel-connect-latency", "tunnel", "http",
        "Tunnel, a new connection per request at half the highest rate, p99",
        lambda b, s: asking.latency(b, s, anew=True), "p99_us_at_50", "us", TUNNELS),
    Row("tunnel-echo-1", "tunnel", "echo", "Tunnel, 64-byte echo, 1 connection",
        lambda b, s: asking.echo(b, s, 1), "per_s", "per s", TUNNELS),
    Row("tunnel-echo-64", "tunnel", "echo", "Tunnel, 64-byte echo, 64 connections",
        lambda b, s: asking.echo(b, s, 64), "per_s", "per s", TUNNELS),
    Row("tunnel-echo-512", "tunnel", "echo", "Tunnel, 64-byte echo, 512 connections",
        lambda b, s: asking.echo(b, s, 512), "per_s", "per s", TUNNELS),
    Row("direct-tcp-4", "relay", "iperf3", "Direct relay, four TCP streams",
        lambda b, s: bulk.tcp_bulk(b, s, streams=4), "gbit_s", "Gbit/s", RELAYS),
    Row("direct-tcp-64", "relay", "iperf3", "Direct relay, 64 TCP streams",
        lambda b, s: bulk.tcp_bulk(b, s, streams=64), "gbit_s", "Gbit/s", RELAYS),
    Row("direct-copy-1", "relay", "iperf3", "Direct relay that copies, one TCP stream",
        bulk.tcp_bulk, "gbit_s", "Gbit/s", COPIERS),
    Row("direct-copy-4", "relay", "iperf3", "Direct relay that copies, four TCP streams",
        lambda b, s: bulk.tcp_bulk(b, s, streams=4), "gbit_s", "Gbit/s", COPIERS),
    Row("direct-copy-64", "relay", "iperf3", "Direct relay that copies, 64 TCP streams",
        lambda b, s: bulk.tcp_bulk(b, s, streams=64), "gbit_s", "Gbit/s", COPIERS),
    Row("direct-requests-512", "relay", "http", "Direct relay, 1 KB requests on 512 kept connections",
        lambda b, s: asking.wrk(b, s, 512), "per_s", "per s", RELAYS),
    Row("direct-echo-1", "relay", "echo", "Direct relay, 64-byte echo, 1 connection",
        lambda b, s: asking.echo(b, s, 1), "per_s", "per s", RELAYS),
    Row("direct-echo-64", "relay", "echo", "Direct relay, 64-byte echo, 64 connections",
        lambda b, s: asking.echo(b, s, 64), "per_s", "per s", RELAYS),
    Row("direct-echo-512", "relay", "echo", "Direct relay, 64-byte echo, 512 connections",
        lambda b, s: asking.echo(b, s, 512), "per_s", "per s", RELAYS),
    Row("direct-latency", "relay", "http", "Direct relay, 1 KB requests at half the highest rate, p99",
        asking.latency, "p99_us_at_50", "us", RELAYS),
    Row("direct-connect-latency", "relay", "http",
        "Direct relay, a new connection per request at half the highest rate, p99",
        lambda b, s: asking.latency(b, s, anew=True), "p99_us_at_50", "us", RELAYS),
    Row("direct-udp", "relay", "iperf3", "Direct relay, UDP, 1200 bytes, most with under 1 % lost",
        bulk.udp_search, "packets_per_s", "packets/s", DATAGRAMS),
    Row("direct-udp-loss", "relay", "iperf3", "Direct relay, UDP, 1200 bytes at 1 Gbit/s: lost",
        lambda b, s: bulk.udp_rate(b, s, 1000), "lost_percent", "%", DATAGRAMS + ["direct"]),
    Row("direct-idle-memory", "relay", "http", "Memory of an idle relayed connection",
        asking.idle_memory, "bytes_each", "bytes", RELAYS),
    Row("direct-bind", "relay", None, "Direct relay, until 10,000 ports are bound",
        asking.bind_ports, "seconds", "s", ["haproxy-ports", "nginx-ports", "nvelox-ports"]),
    Row("direct-idle-8000", "relay", "http", "Direct relay, 8,000 idle connections, above none",
        asking.idle_crowd, "mb_above_empty", "MB", ["haproxy", "nginx-16k", "nginx-64k", "nvelox"]),
    # Two workers beside one, on cores that the load shares.
    Row("workers-direct-tcp", "relay", "iperf3", "Two workers of a direct relay, 64 TCP streams",
        lambda b, s: bulk.tcp_bulk(b, s, streams=64), "gbit_s", "Gbit/s", ["qmux-uring-direct"]),
    Row("workers-direct-connections", "relay", "http",
        "Two workers of a direct relay, a new connection per request",
        lambda b, s: asking.wrk(b, s, close=True), "per_s", "per s", ["qmux-uring-direct"]),
    Row("workers-direct-requests", "relay", "http",
        "Two workers of a direct relay, 1 KB requests on 64 kept connections",
        asking.wrk, "per_s", "per s", ["qmux-uring-direct"]),
    Row("workers-tunnel-tcp", "tunnel", "iperf3", "Two workers an end of a tunnel, 64 TCP streams",
        lambda b, s: bulk.tcp_bulk(b, s, streams=64), "gbit_s", "Gbit/s", ["qmux-uring"]),
    Row("workers-tunnel-requests", "tunnel", "http",
        "Two workers an end of a tunnel, 1 KB requests on 64 kept connections",
        asking.wrk, "per_s", "per s", ["qmux-uring"]),
    # The table that QMux publishes for itself.
    Row("table-discard-tcp", "tunnel", "discard", "Discard, TCP",
        bulk.discard, "gbit_s", "Gbit/s", TUNNELS),
    Row("table-discard-udp", "tunnel", "discard", "Discard, UDP, 1200 bytes, what arrived",
        lambda b, s: bulk.discard(b, s, True), "gbit_s", "Gbit/s", TUNNELS),
    Row("table-tcp-1", "tunnel", "iperf3", "iperf3 TCP, 1 stream",
        bulk.sampled(bulk.tcp_bulk), "gbit_s", "Gbit/s", TUNNELS + ["direct"]),
    Row("table-tcp-2", "tunnel", "iperf3", "iperf3 TCP, 2 streams",
        bulk.sampled(lambda b, s: bulk.tcp_bulk(b, s, streams=2)), "gbit_s", "Gbit/s",
        TUNNELS + ["direct"]),
    Row("table-tcp-4", "tunnel", "iperf3", "iperf3 TCP, 4 streams",
        bulk.sampled(lambda b, s: bulk.tcp_bulk(b, s, streams=4)), "gbit_s", "Gbit/s",
        TUNNELS + ["direct"]),
    Row("table-udp-1", "tunnel", "iperf3", "iperf3 UDP unlimited, 1 stream, what arrived",
        bulk.sampled(lambda b, s: bulk.udp_streams(b, s, 1)), "gbit_s", "Gbit/s", TUNNELS),
    Row("table-udp-2", "tunnel", "iperf3", "iperf3 UDP unlimited, 2 streams, what arrived",
        bulk.sampled(lambda b, s: bulk.udp_streams(b, s, 2)), "gbit_s", "Gbit/s", TUNNELS),
    # A wire that loses or delays, beside one plain TCP connection over the same wire.
    Row("wire-delay30", "tunnel", "iperf3", "30 ms, no loss, one TCP stream, beside plain TCP",
        bulk.tcp_bulk, "gbit_s", "Gbit/s", ["direct"]),
    Row("wire-loss0.1", "tunnel", "iperf3", "30 ms, 0.1 % lost, one TCP stream, beside plain TCP",
        bulk.tcp_bulk, "gbit_s", "Gbit/s", ["direct"]),
    Row("wire-loss1", "tunnel", "iperf3", "30 ms, 1 % lost, one TCP stream, beside plain TCP",
        bulk.tcp_bulk, "gbit_s", "Gbit/s", ["direct"]),
]  # fmt: skip

STANDARD = [row.name for row in ROWS if row.standard]


def path_of(row, default):
    """The wire rows bring their own path."""
    return row.name[len("wire-") :] if row.name.startswith("wire-") else default


# What is promised: (row, figure, peer, way, bound); without a peer the bound is the figure's own.
# A loss says nothing where iperf3 loses more than REFERENCE_LOSS percent with nothing between its ends.
REFERENCE_LOSS = 0.001
CEILING_ROWS = ("tunnel-tcp-up", "tunnel-tcp-down")
CEILING_SHARE = 0.75  # of what the tunnel's parts allow, at least
GOALS = (
    [
        ("tunnel-udp-loss", "lost_percent", None, "at most", 0.01),
        ("direct-udp-loss", "lost_percent", None, "median at most", 0.01),
        ("direct-udp", "packets_per_s", "nginx-64k", "at least", 1.5),
        ("idle-memory", "bytes_each", None, "at most", 4096),
        ("direct-idle-8000", "mb_above_empty", None, "at most", 20),
        ("direct-bind", "seconds", None, "at most", 0.3),
        ("direct-bind", "rss_mb", None, "at most", 30),
        ("wire-delay30", "gbit_s", "direct", "at least", 1.0),
    ]
    + [
        (row, figure, peer, way, bound)
        for row in ("tunnel-tcp-up", "tunnel-tcp-down")
        for figure, peer, way, bound in (
            ("gbit_s", "rathole-tls", "at least", 1.5),
            ("cpu_s_per_gb", "rathole-tls", "at most", 0.7),
            ("gbit_s", "qmux", "at least", 3.0),
        )
    ]
    + [
        (row, "per_s", peer, "at least", bound)
        for row, bound in (("tunnel-requests", 1.3), ("tunnel-connections", 2.0))
        for peer in TUNNELS
    ]
    # A relay that splices, beside one that splices; one that copies, beside those that copy.
    + [
        (row, figure, peer, way, bound)
        for row in ("direct-tcp-1", "direct-tcp-4", "direct-tcp-64")
        for peer in BEATEN
        for figure, way, bound in (
            ("gbit_s", "at least", 1.0),
            ("cpu_s_per_gb", "at most", 0.5 if peer == "haproxy-splice" else 1.0),
        )
    ]
    + [
        (row, figure, peer, way, bound)
        for row in ("direct-copy-1", "direct-copy-4", "direct-copy-64")
        for peer in COPIERS
        for figure, way, bound in (
            ("gbit_s", "at least", 1.0),
            ("cpu_s_per_gb", "at most", 0.6 if peer == "haproxy" else 1.0),
        )
    ]
    + [
        (row, figure, peer, way, bound)
        for row, cost in (
            ("direct-connections", 0.7),
            ("direct-requests", 1.0),
            ("direct-requests-512", 1.0),
        )
        for peer in BEATEN
        for figure, way, bound in (("per_s", "at least", 1.1), ("cpu_us_each", "at most", cost))
    ]
    + [("direct-connect-latency", "p99_us_at_50", peer, "at most", 1.0) for peer in BEATEN]
    + [
        (row, figure, peer, "at most", 1.25)
        for row, figure, peer in (
            ("workers-direct-tcp", "cpu_s_per_gb", "qmux-uring-direct"),
            ("workers-direct-connections", "cpu_us_each", "qmux-uring-direct"),
            ("workers-direct-requests", "cpu_us_each", "qmux-uring-direct"),
            ("workers-tunnel-tcp", "cpu_s_per_gb", "qmux-uring"),
            ("workers-tunnel-requests", "cpu_us_each", "qmux-uring"),
        )
    ]
)
