"""What the parts of the way cost in this run, and the ceiling that they set for the tunnel.

ceiling = cores / sum of CPU seconds per GB of all that a byte passes: the user's and the service's
own TCP, TCP into our server, QUIC out of it and into our client, TCP out of that."""

import json
import subprocess

from lib import bulk
from lib.process import Failed
from lib.tools import Bench

STAGES = ("aead", "udp", "tcp", "quic")


def stage(runner, name, extra=()):
    cores = runner.cores
    words = [runner.binaries["bench-stage"], name, "--seconds", str(min(runner.options.seconds, 2))]
    words += ["--cores", f"{min(cores['user'])},{max(cores['service'])}", *extra]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode:
        raise Failed(f"bench-stage {name}: {done.stderr[-500:]}")
    return [json.loads(line) for line in done.stdout.splitlines()]


def ends(runner):
    """CPU seconds per GB of iperf3's two ends when nothing stands between."""
    bench = Bench(
        runner.binaries, runner.folder, runner.cores, runner.options.seconds, runner.path,
        runner.values,
    )  # fmt: skip
    bench.start_origin("iperf3")
    try:
        return bulk.tcp_bulk(bench, runner.systems["direct"])
    finally:
        bench.stop_origin()


def measure(runner, packet):
    """All lines of all stages, and the ceiling at this UDP payload."""
    runner.take_path("lo")
    found = []
    for name in STAGES:
        found += stage(runner, name, ("--packet", str(packet)))
    direct = ends(runner)
    return {"lines": found, "ceiling": ceiling(found, direct, packet, cores_of(runner))}


def cores_of(runner):
    return len(set().union(*runner.cores.values()))


def ceiling(lines, direct, packet, cores):
    tcp = next(line for line in lines if line["stage"] == "tcp")
    quic = next(line for line in lines if line["stage"] == "quic")
    parts = {
        "user (iperf3)": direct["user_s_per_gb"],
        "TCP into the server": tcp["in_s_per_gb"],
        "QUIC out of the server": quic["out_s_per_gb"],
        "QUIC into the client": quic["in_s_per_gb"],
        "TCP out of the client": tcp["out_s_per_gb"],
        "service (iperf3)": direct["service_s_per_gb"],
    }
    total = sum(parts.values())
    return {
        "parts_s_per_gb": parts,
        "cores": cores,
        "packet": packet,
        "gbit_s": 8 * cores / total,
        "direct_gbit_s": direct["gbit_s"],
    }
