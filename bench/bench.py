#!/usr/bin/env python3
"""Runs rows beside peers, in pairs, in the network namespace it was started in; see README.md."""

import argparse
import json
import os
import platform
import re
import socket
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from lib import baseline, plots, report, stages  # noqa: E402
from lib.network import PATHS  # noqa: E402
from lib.process import Failed  # noqa: E402
from lib.rows import ROWS, STANDARD  # noqa: E402
from lib.runner import FOREIGN_LIMIT, STEAL_LIMIT, Runner, say  # noqa: E402
from lib.systems import all_systems, find_binaries  # noqa: E402

PACKET = 1350  # UDP payload on a wire of 1500 bytes, with room for what others wrap around it


def read(path):
    with open(path) as file:
        return file.read().strip()


def congestion_in_use():
    """Asked of a connection that lives, as ss shows it."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        with socket.create_connection(server.getsockname()) as user:
            port = user.getsockname()[1]
            words = ["ss", "-tin", "state", "established", f"( sport = :{port} )"]
            text = subprocess.run(words, capture_output=True, text=True, check=False).stdout
    found = re.search(r"\b(cubic|bbr|reno)\b", text)
    return found.group(1) if found else "unknown"


def machine(options, runner, binaries):
    model = re.search(r"model name\s*: (.*)", read("/proc/cpuinfo"))
    version = subprocess.run(
        [binaries["qmux-uring"], "--version"], capture_output=True, text=True, check=False
    ).stdout.split("libraries:")
    pins = ", ".join(f"{role} {cores}" for role, cores in runner.pins().items())
    return {
        "date": time.strftime("%Y-%m-%d %H:%M"),
        "version": version[0].strip(),
        "libraries": " ".join(version[-1].split()),
        "cpu": model.group(1) if model else platform.machine(),
        "cores": os.cpu_count(),
        "kernel": platform.release(),
        "load at start": f"{os.getloadavg()[0]:.2f}",
        "TCP congestion control (ss -ti)": congestion_in_use(),
        "path": f"{options.path}: {PATHS[options.path].words}",
        "tunnel's UDP payload": f"mtu = {options.mtu}",
        "workers": options.workers,
        "cores of each role": f"{pins}; peers may use all, their user and service as ours",
        "rounds": f"{options.rounds} of {options.seconds} s, ABBA",
    }


def parse():
    parser = argparse.ArgumentParser(prog="bench/run.sh", description=__doc__)
    add = parser.add_argument
    add("--quick", action="store_true", help="about two minutes, 3 pairs, no verdicts")
    add("--full", action="store_true", help="every row beside every peer at hand")
    add("--only", metavar="ROW,…", help="these rows, or those that begin so: " + ", ".join(
        row.name for row in ROWS) + ", stages")  # fmt: skip
    add("--peers", metavar="NAME,…", type=lambda text: [p for p in text.split(",") if p],
        help="only these peers; `all` of a row; an empty word for none")  # fmt: skip
    add("--peer", action="append", default=[], metavar="NAME=PATH", help="a peer's binary")
    add("--path", default="lo", choices=PATHS, help="what lies between the two sides")
    add("--workers", type=int, default=1, metavar="N")
    add("--mtu", metavar="BYTES", help="the tunnel's largest UDP payload, or `auto`; default 1350, "
        "as on a wire of 1500 bytes, and auto on veth9000")
    add("--rounds", type=int, metavar="N", help="pairs of each row; 7 are needed for a verdict")
    add("--seconds", type=int, metavar="N", help="of each measurement")
    add("--baseline", metavar="FILE", help="a results.json of this machine; fails past --threshold")
    add("--threshold", type=float, default=10, metavar="PERCENT")
    add("--keep-disturbed", action="store_true", help="keep rounds that others disturbed, and say so")
    add("--out", metavar="FOLDER", help="where to write; default bench/results/DATE")
    add("--redraw", metavar="FILE", help="measure nothing: draw and write what a results.json says, "
        "where it lies or into --out")  # fmt: skip
    add("--binary", help=argparse.SUPPRESS)
    add("--tools", help=argparse.SUPPRESS)
    add("--far", help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.rounds = options.rounds or (3 if options.quick else 7)
    options.seconds = options.seconds or (1 if options.quick else 3)
    options.mtu = options.mtu or ("auto" if options.path == "veth9000" else str(PACKET))
    return options


def chosen_rows(options):
    """Rows, and whether stages are measured too."""
    if options.only:
        wanted = options.only.split(",")
        names = [row.name for row in ROWS] + ["stages"]
        unknown = [word for word in wanted if not any(name.startswith(word) for name in names)]
        if unknown:
            sys.exit(f"bench: no such row: {', '.join(unknown)}")
        exact = [row for row in ROWS if row.name in wanted]
        begin = [word for word in wanted if word not in names]
        rows = [r for r in ROWS if r in exact or any(r.name.startswith(word) for word in begin)]
        return rows, "stages" in wanted
    if options.full:
        return ROWS, True
    return [row for row in ROWS if row.name in STANDARD], True


def stage_packet(options):
    if options.mtu != "auto":
        return int(options.mtu)
    return {"lo": 65000, "veth9000": 8952}.get(options.path, PACKET)


def check_names(options, binaries):
    """Before minutes are spent: every peer that was named must be one that we know."""
    known = set(all_systems()) | {"all"}
    for name in options.peers or []:
        if name not in known:
            sys.exit(f"bench: no such peer: {name}; known are {', '.join(sorted(known))}")
    for word in options.peer:
        name, _, path = word.partition("=")
        if name not in binaries:
            sys.exit(f"bench: no configuration for {name}; known are {', '.join(sorted(binaries))}")
        if not os.access(path, os.X_OK):
            sys.exit(f"bench: {path} is no program")


def measure(options, runner, results, with_stages, rows):
    started = time.monotonic()
    for number, row in enumerate(rows):
        say(f"[{number + 1}/{len(rows)}, {time.monotonic() - started:.0f} s]")
        results["rows"][row.name] = runner.row(row)
        report.print_row(results["rows"][row.name], say)
    if not with_stages:
        return
    say(f"stages [{time.monotonic() - started:.0f} s]")
    try:
        results["stages"] = stages.measure(runner, stage_packet(options))
        ceiling = results["stages"]["ceiling"]["gbit_s"]
        say(f"    ceiling {ceiling:.1f} Gbit/s")
        runner.judge_ceiling(results["rows"], ceiling)
    except Failed as error:
        results["stages"] = {"why": str(error)}
        say(f"    not measured: {error}")


def write(options, results):
    """The exit code."""
    folder = options.out or os.path.join("bench", "results", time.strftime("%Y-%m-%d-%H%M%S"))
    os.makedirs(folder, exist_ok=True)
    failed = False
    if options.baseline:
        results["baseline"], failed = baseline.compare(
            results, options.baseline, options.threshold / 100
        )
        say("\n".join(results["baseline"]))
    with open(os.path.join(folder, "results.json"), "w") as file:
        json.dump(results, file, indent=1)
    show(results, folder)
    return 1 if failed else 0


def show(results, folder):
    """What a person reads of it: plots, and the summary that shows them."""
    note = plots.draw(results, folder)
    if note:
        say(note)
    report.write(results, folder)
    say(f"written: {folder}/summary.md, results.json and plots")


def redraw(options):
    folder = options.out or os.path.dirname(options.redraw) or "."
    os.makedirs(folder, exist_ok=True)
    with open(options.redraw) as file:
        show(json.load(file), folder)
    return 0


def shown_command(words):
    """As it was typed, without where things lie on this machine."""
    hidden = ("--binary", "--tools", "--far", "--out")
    shown, skip = [], False
    for word in words:
        if skip or word in hidden:
            skip = not skip
        else:
            shown.append(re.sub(r"^(\w+)=/.*/", r"\1=", word))
    return " ".join(shown)


def main():
    options = parse()
    if options.redraw:
        return redraw(options)
    given = {"qmux-uring": os.path.abspath(options.binary)}
    binaries = find_binaries(given, os.path.abspath(options.tools))
    rows, with_stages = chosen_rows(options)
    check_names(options, binaries)
    for word in options.peer:
        name, path = word.split("=", 1)
        binaries[name] = os.path.abspath(path)
    with tempfile.TemporaryDirectory(prefix="qmux-bench-") as folder:
        runner = Runner(options, binaries, folder)
        results = {
            "machine": machine(options, runner, binaries),
            "command": shown_command(sys.argv[1:]),
            "rows": {},
        }
        for key, value in results["machine"].items():
            say(f"{key}: {value}")
        try:
            measure(options, runner, results, with_stages, rows)
        except KeyboardInterrupt:
            say("interrupted: what was measured is written")
        finally:
            runner.leave_path()
        results["dropped_rounds"] = runner.dropped
        results["kept_disturbed"] = runner.kept_disturbed
    say(
        f"rounds dropped for steal above {STEAL_LIMIT:.0%} or others above {FOREIGN_LIMIT:.0%} of a"
        f" core: {runner.dropped}"
    )
    return write(options, results)


if __name__ == "__main__":
    sys.exit(main())
