"""The rows: each measures one thing on one system that runs, and returns figures by name."""

import json
import os
import re
import resource
import socket
import subprocess
import time

from lib.measure import Span, private_memory
from lib.process import Failed, Process, await_answer
from lib.systems import SERVICE_PORT, USER_PORT

IPERF_COOKIE = b"bench" * 7 + b"x\0"  # what its client says first; the server answers a byte
REQUEST = b"GET / HTTP/1.1\r\nHost: bench\r\n\r\n"


class Bench:
    """What a row may use: tools, cores, where to write."""

    def __init__(self, binaries, folder, cores, seconds):
        self.binaries, self.folder, self.cores, self.seconds = binaries, folder, cores, seconds
        self.origin = None

    def start_iperf_server(self):
        self.origin = Process(
            "iperf3-server",
            [self.binaries["iperf3"], "-s", "-p", str(SERVICE_PORT)],
            self.cores["service"],
            self.folder,
        )
        time_limit = time.monotonic() + 5
        while not listening(SERVICE_PORT):
            if time.monotonic() > time_limit or not self.origin.alive():
                raise Failed("iperf3 does not listen: " + self.origin.words())
            time.sleep(0.02)

    def start_http_origin(self, values):
        import string

        path = os.path.join(self.folder, "origin.conf")
        here = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
        with open(os.path.join(here, "peers", "origin.conf")) as source, open(path, "w") as out:
            out.write(
                string.Template(source.read()).substitute(
                    dict(values, folder=self.folder, body="x" * 1024)
                )
            )
        self.origin = Process(
            "origin", [self.binaries["nginx"], "-c", path], self.cores["service"], self.folder
        )
        await_answer(SERVICE_PORT, [self.origin], request=REQUEST)

    def stop_origin(self):
        if self.origin:
            self.origin.stop()
            self.origin = None


def listening(port):
    """Whether a TCP socket listens there, without talking to it (iperf3 counts every caller)."""
    needle = f":{port:04X} "
    for path in ("/proc/net/tcp", "/proc/net/tcp6"):
        with open(path) as file:
            for line in file:
                fields = line.split()
                if len(fields) > 3 and fields[3] == "0A" and (fields[1] + " ").endswith(needle):
                    return True
    return False


def port_of(system):
    return SERVICE_PORT if system.kind == "direct" else USER_PORT


def run_tool(bench, words, timeout):
    done = subprocess.run(
        words,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=timeout,
        preexec_fn=lambda: os.sched_setaffinity(0, bench.cores["user"]),
        check=False,
        text=True,
    )
    return done.returncode, done.stdout


def iperf(bench, system, extra, seconds):
    words = [
        bench.binaries["iperf3"], "-c", "127.0.0.1", "-p", str(port_of(system)),
        "-t", str(seconds), "-J", *extra,
    ]  # fmt: skip
    rc, text = run_tool(bench, words, seconds + 20)
    try:
        report = json.loads(text[text.index("{"):])
    except ValueError as error:
        raise Failed(f"iperf3 through {system.name}: {text[-500:]}") from error
    if rc or "error" in report:
        raise Failed(f"iperf3 through {system.name}: {report.get('error', rc)}")
    return report["end"]


def per_gigabyte(span, gigabytes):
    figures = {f"cpu_s_per_gb.{name}": cpu / gigabytes for name, cpu in span.cpu.items()}
    figures["cpu_s_per_gb"] = sum(span.cpu.values()) / gigabytes
    figures["machine_s_per_gb"] = span.busy / gigabytes
    figures["steal"] = span.steal
    return figures


def tcp_bulk(bench, system, reverse, streams):
    extra = ["-C", "cubic", "-P", str(streams), "-O", "0"] + (["-R"] if reverse else [])
    with Span(system.pids()) as span:
        end = iperf(bench, system, extra, bench.seconds)
    received = end["sum_received"]
    figures = per_gigabyte(span, received["bytes"] / 1e9)
    figures["gbit_s"] = received["bits_per_second"] / 1e9
    return figures


def udp_rate(bench, system, megabits, size):
    extra = ["-u", "-b", f"{megabits}M", "-l", str(size)]
    with Span(system.pids()) as span:
        end = iperf(bench, system, extra, bench.seconds)
    total = end["sum"]
    packets = total["packets"]
    return {
        "lost_percent": 100 * total["lost_packets"] / packets if packets else 100.0,
        "cpu_us_per_datagram": sum(span.cpu.values()) / max(packets, 1) * 1e6,
        "steal": span.steal,
    }


WRK_RATE = re.compile(r"^Requests/sec:\s+([0-9.]+)", re.M)
WRK_P = re.compile(r"^\s+(50|99)%\s+([0-9.]+)(us|ms|s)", re.M)
WRK_ERRORS = re.compile(r"(?:connect|read|write|timeout) (\d+)")
WRK_STATUS = re.compile(r"Non-2xx or 3xx responses: (\d+)")
UNIT_MS = {"us": 1e-3, "ms": 1.0, "s": 1e3}


def wrk(bench, system, connections, close):
    words = [
        bench.binaries["wrk"], "-t1", f"-c{connections}", f"-d{bench.seconds}s", "--latency",
    ]  # fmt: skip
    if close:
        words += ["-H", "Connection: close"]
    with Span(system.pids()) as span:
        rc, text = run_tool(bench, words + [f"http://127.0.0.1:{port_of(system)}/"], bench.seconds + 20)
    match = WRK_RATE.search(text)
    if rc or not match:
        raise Failed(f"wrk through {system.name}: {text[-500:]}")
    rate = float(match.group(1))
    socket_errors = re.search(r"Socket errors:.*", text)
    errors = sum(int(n) for n in WRK_ERRORS.findall(socket_errors.group(0))) if socket_errors else 0
    status = WRK_STATUS.search(text)
    figures = {
        "per_s": rate,
        "errors": errors + (int(status.group(1)) if status else 0),
        "cpu_us_each": sum(span.cpu.values()) / max(rate * span.seconds, 1) * 1e6,
        "steal": span.steal,
    }
    for percent, value, unit in WRK_P.findall(text):
        figures[f"p{percent}_ms"] = float(value) * UNIT_MS[unit]
    return figures


def idle_memory(bench, system):
    """The slope of private memory over connections that each moved 1 KB and then rest."""
    few, many = 500, 4000
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    users, memory = [], {}
    try:
        for goal in (few, many):
            while len(users) < goal:
                user = socket.create_connection(("127.0.0.1", port_of(system)), 10)
                users.append(user)
                user.sendall(REQUEST)
                got = 0
                while got < 1024:
                    data = user.recv(65536)
                    if not data:
                        raise Failed(f"{system.name} closed connection {len(users)}")
                    got += len(data)
            time.sleep(1.0)  # acknowledgements travel; nothing can be awaited from outside
            memory[goal] = {name: private_memory(pid) for name, pid in system.pids().items()}
    finally:
        for user in users:
            user.close()
    return {
        f"bytes_each.{name}": (memory[many][name] - memory[few][name]) / (many - few)
        for name in memory[few]
    }


class Row:
    def __init__(self, name, kind, origin, title, measure, key, unit, peers, better="higher"):
        self.name, self.kind, self.origin, self.title = name, kind, origin, title
        self.measure, self.key, self.unit, self.peers = measure, key, unit, peers
        self.better = better


TUNNEL_PEERS = ["rathole-tls", "rathole-noise", "frp-tls", "frp-quic", "qmux"]
RELAY_PEERS = ["haproxy", "nginx-64k"]

ROWS = [
    Row("tunnel-tcp-up", "tunnel", "iperf3", "Tunnel, one TCP stream, user to service",
        lambda b, s: tcp_bulk(b, s, False, 1), "gbit_s", "Gbit/s", TUNNEL_PEERS),
    Row("tunnel-tcp-down", "tunnel", "iperf3", "Tunnel, one TCP stream, service to user",
        lambda b, s: tcp_bulk(b, s, True, 1), "gbit_s", "Gbit/s", TUNNEL_PEERS),
    Row("tunnel-udp", "tunnel", "iperf3", "Tunnel, UDP, 1200 bytes at 400 Mbit/s: lost",
        lambda b, s: udp_rate(b, s, 400, 1200), "lost_percent", "%", TUNNEL_PEERS, "lower"),
    Row("tunnel-connections", "tunnel", "http", "Tunnel, a new connection per request",
        lambda b, s: wrk(b, s, 64, True), "per_s", "per s", TUNNEL_PEERS),
    Row("tunnel-requests", "tunnel", "http", "Tunnel, 1 KB requests on 64 kept connections",
        lambda b, s: wrk(b, s, 64, False), "per_s", "per s", TUNNEL_PEERS),
    Row("direct-tcp-1", "relay", "iperf3", "Direct relay, one TCP stream",
        lambda b, s: tcp_bulk(b, s, False, 1), "gbit_s", "Gbit/s", RELAY_PEERS),
    Row("direct-tcp-4", "relay", "iperf3", "Direct relay, four TCP streams",
        lambda b, s: tcp_bulk(b, s, False, 4), "gbit_s", "Gbit/s", RELAY_PEERS),
    Row("direct-connections", "relay", "http", "Direct relay, a new connection per request",
        lambda b, s: wrk(b, s, 64, True), "per_s", "per s", RELAY_PEERS),
    Row("direct-requests", "relay", "http", "Direct relay, 1 KB requests on 64 kept connections",
        lambda b, s: wrk(b, s, 64, False), "per_s", "per s", RELAY_PEERS),
    Row("idle-memory", "tunnel", "http", "Memory of an idle tunnelled connection",
        idle_memory, "bytes_each.", "bytes", TUNNEL_PEERS, "lower"),
]  # fmt: skip
