#!/usr/bin/env python3
"""Runs rows beside peers, in pairs, in the network namespace it was started in; see README.md."""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from lib import stats  # noqa: E402
from lib.process import Failed  # noqa: E402
from lib.rows import IPERF_COOKIE, REQUEST, ROWS, Bench  # noqa: E402
from lib.systems import all_systems, find_binaries  # noqa: E402

STEAL_LIMIT = 0.01
OURS = {"tunnel": "qmux-uring", "relay": "qmux-uring-direct"}
QUICK_PEERS = {
    "tunnel-tcp-up": ["rathole-tls"],
    "tunnel-tcp-down": ["rathole-tls"],
    "tunnel-udp": [],
    "tunnel-connections": ["frp-quic"],
    "tunnel-requests": ["rathole-noise"],
    "direct-tcp-1": ["nginx-64k"],
    "direct-requests": ["haproxy"],
    "idle-memory": [],
}


def say(text):
    print(text, flush=True)


def nginx_modules():
    path = "/usr/lib/nginx/modules/ngx_stream_module.so"
    return f"load_module {path};" if os.path.exists(path) else ""


def noise_keys(binaries):
    if not binaries.get("rathole"):
        return "", ""
    text = subprocess.run(
        [binaries["rathole"], "--genkey"], capture_output=True, text=True, check=True
    ).stdout.split()
    return text[text.index("Private") + 2], text[text.index("Public") + 2]


class Runner:
    def __init__(self, options, binaries, folder):
        self.options, self.binaries, self.folder = options, binaries, folder
        self.systems = all_systems()
        cores = sorted(os.sched_getaffinity(0))
        first, last = {cores[0]}, {cores[-1]}
        # The user and the server stand on one core, the client and the service on the other.
        self.cores = {"user": first, "server": first, "relay": last, "client": last, "service": last}
        self.peer_cores = dict.fromkeys(self.cores, set(cores)) | {"user": first, "service": last}
        private, public = noise_keys(binaries)
        self.values = {
            "nginx_modules": nginx_modules(),
            "noise_private": private,
            "noise_public": public,
        }
        self.dropped = 0

    def once(self, row, name):
        """One measurement from nothing: origin, system, row, all ended again."""
        system = self.systems[name]
        ours = name in OURS.values()
        bench = Bench(self.binaries, self.folder, self.cores, self.options.seconds)
        try:
            if row.origin == "iperf3":
                bench.start_iperf_server()
            else:
                bench.start_http_origin(self.values)
            system.start(
                self.binaries, self.folder, self.cores if ours else self.peer_cores, self.values
            )
            if system.kind != "direct":
                system.await_service(REQUEST if row.origin == "http" else IPERF_COOKIE)
                if row.origin == "iperf3":
                    bench.stop_origin()  # it still talks to the probe
                    bench.start_iperf_server()
            return row.measure(bench, system)
        finally:
            system.stop()
            bench.stop_origin()

    def pairs(self, row, names):
        """ABBA: forth and back, so that drift hits all alike."""
        samples = {name: [] for name in names}
        for number in range(self.options.rounds):
            order = names if number % 2 == 0 else names[::-1]
            round_samples = {}
            for name in order:
                try:
                    round_samples[name] = self.once(row, name)
                except Failed as error:
                    say(f"    {name}: not measured: {error}")
                    names = [other for other in names if other != name]
            if any(s.get("steal", 0) > STEAL_LIMIT for s in round_samples.values()):
                self.dropped += 1
                continue
            for name, sample in round_samples.items():
                samples[name].append(sample)
        return {name: got for name, got in samples.items() if got}

    def row(self, row):
        ours = OURS[row.kind]
        peers = self.options.peers if self.options.peers is not None else (
            QUICK_PEERS.get(row.name, []) if self.options.quick else row.peers
        )
        names, notes = [ours], {}
        for name in peers:
            if name not in self.systems or self.systems[name].kind != row.kind:
                continue
            why = self.systems[name].missing(self.binaries)
            if why:
                notes[name] = f"not measured: {why}"
            else:
                names.append(name)
        say(f"{row.title}: {', '.join(names)}, {self.options.rounds} rounds")
        samples = self.pairs(row, names)
        result = {"title": row.title, "unit": row.unit, "samples": samples, "notes": notes}
        self.report(row, ours, result)
        return result

    def report(self, row, ours, result):
        samples = result["samples"]
        for name, got in samples.items():
            keys = sorted({key for sample in got for key in sample if key != "steal"})
            for key in keys:
                values = [sample[key] for sample in got]
                low, high = stats.interval(values)
                say(f"    {name:18} {key:32} {stats.median(values):12.3f}  [{low:.3f}, {high:.3f}]")
        result["ratios"] = {}
        for name, got in samples.items():
            if name == ours or ours not in samples or not got:
                continue
            for key in ("gbit_s", "per_s", "cpu_s_per_gb", "cpu_us_each"):
                if key not in got[0]:
                    continue
                values = stats.ratios([s[key] for s in samples[ours]], [s[key] for s in got])
                low, high = stats.interval(values)
                result["ratios"][f"{key} to {name}"] = [stats.median(values), low, high]
                say(f"    {'':18} {key} to {name}: {stats.median(values):.2f} [{low:.2f}, {high:.2f}]")
        for name, note in result["notes"].items():
            say(f"    {name:18} {note}")


def machine():
    with open("/proc/cpuinfo") as file:
        model = next((line.split(":", 1)[1].strip() for line in file if "model name" in line), "?")
    with open("/proc/sys/net/ipv4/tcp_congestion_control") as file:
        congestion = file.read().strip()
    return {
        "kernel": platform.release(),
        "cpu": model,
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0],
        "congestion": congestion,
        "date": time.strftime("%Y-%m-%d %H:%M"),
    }


def parse():
    parser = argparse.ArgumentParser(prog="bench/run.sh", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="about two minutes, 3 pairs, no verdict")
    parser.add_argument("--only", help="rows, comma-separated: " + ", ".join(r.name for r in ROWS))
    parser.add_argument("--peers", type=lambda text: [p for p in text.split(",") if p])
    parser.add_argument("--peer", action="append", default=[], metavar="NAME=PATH")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--seconds", type=int)
    parser.add_argument("--out", help="folder of the results")
    parser.add_argument("--binary", required=True, help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.rounds = options.rounds or (3 if options.quick else 7)
    options.seconds = options.seconds or (2 if options.quick else 4)
    return options


def chosen_rows(options):
    if options.only:
        wanted = options.only.split(",")
        unknown = [name for name in wanted if not any(r.name.startswith(name) for r in ROWS)]
        if unknown:
            sys.exit(f"bench: no such row: {', '.join(unknown)}")
        return [row for row in ROWS if any(row.name.startswith(name) for name in wanted)]
    if options.quick:
        return [row for row in ROWS if row.name in QUICK_PEERS]
    return ROWS


def main():
    options = parse()
    given = dict(word.split("=", 1) for word in options.peer)
    given = {name: os.path.abspath(path) for name, path in given.items()}
    binaries = find_binaries(given | {"qmux-uring": os.path.abspath(options.binary)})
    results = {"machine": machine(), "command": " ".join(sys.argv[1:]), "rows": {}}
    say("  ".join(f"{key} {value}" for key, value in results["machine"].items()))
    with tempfile.TemporaryDirectory(prefix="qmux-bench-") as folder:
        runner = Runner(options, binaries, folder)
        for row in chosen_rows(options):
            results["rows"][row.name] = runner.row(row)
        results["dropped_rounds"] = runner.dropped
    say(f"rounds dropped for steal above {STEAL_LIMIT:.0%}: {runner.dropped}")
    out = options.out or os.path.join("bench", "results", time.strftime("%Y-%m-%d-%H%M%S"))
    os.makedirs(out, exist_ok=True)
    with open(os.path.join(out, "results.json"), "w") as file:
        json.dump(results, file, indent=1)
    say(f"written: {out}/results.json")


if __name__ == "__main__":
    main()
