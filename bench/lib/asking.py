"""Rows of small exchanges: requests, connections, latency at a fixed rate, idle connections, ports."""

import re
import resource
import socket
import time

from lib.measure import Span, children, private_memory, resident_memory
from lib.process import Failed, listening
from lib.systems import FIRST_PORT, LAST_PORT
from lib.tools import REQUEST, disturbance

WRK_RATE = re.compile(r"^Requests/sec:\s+([0-9.]+)", re.M)
WRK_P = re.compile(r"^\s+(50|75|90|99)%\s+([0-9.]+)(us|ms|s)", re.M)
WRK_ERRORS = re.compile(r"(?:connect|read|write|timeout) (\d+)")
WRK_STATUS = re.compile(r"Non-2xx or 3xx responses: (\d+)")
UNIT_US = {"us": 1.0, "ms": 1e3, "s": 1e6}
SHARES = (20, 50, 80)


def wrk(bench, system, connections=64, close=False):
    host, port = bench.target(system)
    words = [bench.binaries["wrk"], "-t1", f"-c{connections}", f"-d{bench.seconds}s", "--latency"]
    words += ["-H", "Connection: close"] if close else []
    with Span(system.pids()) as span:
        rc, text = bench.run_tool(words + [f"http://{host}:{port}/"], bench.seconds + 20)
    match = WRK_RATE.search(text)
    if rc or not match:
        raise Failed(f"wrk through {system.name}: {text[-500:]}")
    rate = float(match.group(1))
    socket_errors = re.search(r"Socket errors:.*", text)
    errors = sum(int(n) for n in WRK_ERRORS.findall(socket_errors.group(0))) if socket_errors else 0
    status = WRK_STATUS.search(text)
    each = 1e6 / max(rate * span.seconds, 1)
    figures = {
        "per_s": rate,
        "errors": errors + (int(status.group(1)) if status else 0),
        "cpu_us_each": sum(span.cpu.values()) * each,
        "machine_us_each": span.busy * each,
    }
    for percent, value, unit in WRK_P.findall(text):
        figures[f"p{percent}_us"] = float(value) * UNIT_US[unit]
    return figures | disturbance(span)


def echo(bench, system, connections):
    """64 bytes there and back on kept connections, as fast as answers come."""
    with Span(system.pids()) as span:
        got = bench.load(system, "requests", ["--connections", str(connections)], bench.seconds)
    if got["lost"] or got["failed"]:
        raise Failed(f"{system.name} closed {got['lost'] + got['failed']} connections")
    each = 1e6 / max(got["answered"], 1)
    return {
        "per_s": got["per_s"],
        "cpu_us_each": sum(span.cpu.values()) * each,
        "machine_us_each": span.busy * each,
        "p50_us": got["p50_us"],
        "p99_us": got["p99_us"],
    } | disturbance(span)


def latency(bench, system, connections=64, anew=False):
    """The highest rate first, then p50 and p99 at shares of it, counted from when each was due; with
    anew on a new connection each."""
    extra = ["--connections", str(connections), "--http"] + (["--anew"] if anew else [])
    figures = {}
    with Span(system.pids()) as span:
        most = bench.load(system, "requests", extra, bench.seconds)["per_s"]
        if not most:
            raise Failed(f"{system.name} answered nothing")
        figures |= {"highest_per_s": most, "errors": 0}
        for share in SHARES:
            rate = most * share / 100
            got = bench.load(system, "requests", extra + ["--rate", f"{rate:.0f}"], bench.seconds)
            figures[f"p50_us_at_{share}"] = got["p50_us"]
            figures[f"p99_us_at_{share}"] = got["p99_us"]
            figures[f"histogram_at_{share}"] = got["histogram"]
            figures["errors"] += got["lost"] + got["failed"]
    return figures | disturbance(span)


def idle_memory(bench, system):
    """The slope of private memory over connections that each moved 1 KB and then rest."""
    few, many = 500, 4000
    with Span(system.pids()) as span:
        before, after = memory_by_idle(bench, system, (few, many))
    figures = {f"bytes_each.{name}": (after[name] - before[name]) / (many - few) for name in after}
    figures["bytes_each"] = max(figures.values())
    return figures | disturbance(span)


def idle_crowd(bench, system, count=8000):
    """Private memory of so many connections, above that of the system when it had none."""
    with Span(system.pids()) as span:
        before, after = memory_by_idle(bench, system, (0, count))
    above = sum(after.values()) - sum(before.values())
    return {"mb_above_empty": above / 1e6, "bytes_each": above / count} | disturbance(span)


def memory_by_idle(bench, system, counts):
    """By process, at each number of connections."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    users, memory = [], []
    try:
        for goal in counts:
            while len(users) < goal:
                users.append(idle_user(bench, system, len(users)))
            time.sleep(1.0)  # acknowledgements travel; nothing can be awaited from outside
            memory.append({name: private_memory(pid) for name, pid in system.pids().items()})
    finally:
        for user in users:
            user.close()
    return memory


def idle_user(bench, system, number):
    user = socket.create_connection(bench.target(system), 10)
    user.sendall(REQUEST)
    got = 0
    while got < 1024:
        data = user.recv(65536)
        if not data:
            raise Failed(f"{system.name} closed connection {number}")
        got += len(data)
    return user


def bind_ports(bench, system):
    """From start until ten thousand ports are listened on.  The system is not running yet."""
    wanted = LAST_PORT - FIRST_PORT + 1
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if limit < wanted + 1000:
        raise Failed(f"the limit of descriptors here is {limit}")
    started = time.monotonic()
    system.start(bench.binaries, bench.folder, bench.cores, bench.values, bench.path.space)
    with Span(system.pids()) as span:
        while time.monotonic() - started < 60:
            if not all(process.alive() for process in system.processes):
                raise Failed(f"{system.name} ended: {system.processes[0].words(300)}")
            if listening(system.processes[0].pid, LAST_PORT):
                if listening(system.processes[0].pid, FIRST_PORT, LAST_PORT) >= wanted:
                    break
            time.sleep(0.01)
        else:
            raise Failed(f"{system.name} did not bind {wanted} ports in a minute")
    seconds = time.monotonic() - started
    memory = sum(private_memory(pid) for pid in system.pids().values())
    pid = system.processes[0].pid
    resident = sum(resident_memory(each) for each in [pid, *children(pid)])
    return {
        "seconds": seconds,
        "kb_each": memory / wanted / 1e3,
        "rss_mb": resident / 1e6,
    } | disturbance(span)
