"""Runs a row on its systems, in pairs: forth and back (ABBA), so that drift hits all alike."""

import os
import subprocess

from lib import report, stats
from lib.network import PATHS
from lib.process import Failed
from lib.rows import CEILING_ROWS, CEILING_SHARE, GOALS, REFERENCE_LOSS, ROWS, path_of
from lib.systems import all_systems
from lib.tools import PROBES, Bench

STEAL_LIMIT = 0.01
FOREIGN_LIMIT = 0.05  # of one core
VERDICT_PAIRS = 7
STEADY_ROUNDS = 3
MEDIAN_ROUNDS = 5
WIRE_SECONDS = 6
COMPARED = (
    "gbit_s", "per_s", "packets_per_s", "mbit_s", "cpu_s_per_gb", "cpu_us_each", "bytes_each", "seconds",
    "p99_us_at_50",
)  # fmt: skip


def say(text):
    print(text, flush=True)


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
        self.path = None
        self.dropped, self.kept_disturbed = 0, 0
        cores = sorted(os.sched_getaffinity(0))
        first, last, every = {cores[0]}, {cores[-1]}, set(cores)
        many = options.workers != 1
        # The user and the server stand on one core, the client and the service on the other.
        self.cores = {
            "user": first,
            "server": every if many else first,
            "relay": every if many else last,
            "client": every if many else last,
            "service": last,
        }
        self.peer_cores = dict.fromkeys(self.cores, every) | {"user": first, "service": last}
        private, public = noise_keys(binaries)
        module = "/usr/lib/nginx/modules/ngx_stream_module.so"
        workers = f"workers = {options.workers}" if many else ""
        self.values = {
            "nginx_modules": f"load_module {module};" if os.path.exists(module) else "",
            "noise_private": private,
            "noise_public": public,
            "server_process": f"[server]\n{workers}" if workers else "",
            "client_process": workers,
            "tunnel_options": "" if options.mtu == "auto" else f"mtu = {options.mtu}",
        }

    def pins(self):
        return {role: sorted(cores) for role, cores in self.cores.items()}

    # ---- paths ----
    def take_path(self, name):
        if self.path and self.path.name == name:
            return
        self.leave_path()
        path = PATHS[name]
        every = set(os.sched_getaffinity(0))
        path.open(self.options.far, self.binaries, self.folder, every)
        self.path = path
        self.values["tunnel_host"], self.values["service_host"] = path.hosts()
        say(f"path: {path.describe()}")

    def leave_path(self):
        if self.path:
            self.path.close()
            self.path = None

    # ---- one measurement ----
    def bench(self, seconds=None):
        return Bench(
            self.binaries, self.folder, self.cores, seconds or self.options.seconds, self.path,
            self.values,
        )  # fmt: skip

    def once(self, row, name):
        """From nothing: origin, system, row, all ended again."""
        # A wire that delays needs time until a connection has found its rate.
        seconds = max(self.options.seconds, WIRE_SECONDS) if self.path.wire else None
        system, bench = self.systems[name], self.bench(seconds)
        cores = self.cores if system.pinned else self.peer_cores
        try:
            if row.origin:
                bench.start_origin(row.origin)
            if not row.starts_itself:
                system.start(self.binaries, self.folder, cores, self.values, self.path.space)
                system.await_service(PROBES.get(row.origin, b""))
                if row.origin in ("iperf3", "discard"):
                    bench.stop_origin()  # it still talks to the probe, or counted it
                    bench.start_origin(row.origin)
            figures = row.measure(bench, system)
        finally:
            system.stop()
            bench.stop_origin()
        return figures | self.counted(system, figures.pop("moved_bytes", None))

    def counted(self, system, moved):
        """Packets in a batch and user bytes in a packet, as our binary counted them itself."""
        figures = {}
        for role, found in system.counters().items():
            for way in ("in", "out"):
                packets, batches = found.get(f"packets_{way}"), found.get(f"batches_{way}")
                if packets and batches:
                    figures[f"segments_{way}.{role}"] = packets / batches
            if moved and found.get("packets_out"):
                figures[f"bytes_a_packet.{role}"] = moved / found["packets_out"]
        return figures

    def disturbed(self, samples):
        return any(
            s.get("steal", 0) > STEAL_LIMIT or s.get("foreign", 0) > FOREIGN_LIMIT
            for s in samples.values()
        )

    # ---- a row ----
    def rounds(self, row):
        """Memory and ports hardly vary from round to round, and take long."""
        if not row.steady:
            return self.options.rounds
        return min(self.options.rounds, 1 if self.options.quick else STEADY_ROUNDS)

    def pairs(self, row, names, notes):
        samples, dropped = {name: [] for name in names}, 0
        number, wanted = 0, self.rounds(row)
        while number < (3 * wanted + 1) // 2 and len(samples[row.ours]) < wanted and names:
            order = names if number % 2 == 0 else names[::-1]
            number += 1
            got = {}
            for name in order:
                try:
                    got[name] = self.once(row, name)
                except (Failed, OSError) as error:
                    notes[name] = f"not measured: {error}"
                    say(f"    {name}: not measured: {error}")
                    names = [other for other in names if other != name]
            if row.ours not in names:
                break
            if self.disturbed(got):
                dropped += 1
                if not self.options.keep_disturbed:
                    say(f"    round {number} dropped: the machine was disturbed")
                    continue
            for name, sample in got.items():
                samples[name].append(sample)
        return {name: got for name, got in samples.items() if got}, dropped

    def choose(self, row, notes):
        if self.options.peers == ["all"] or self.options.full:
            wanted = row.peers
        elif self.options.peers is not None:
            wanted = [name for name in row.peers if name in self.options.peers]
        else:
            wanted = row.standard or row.peers
        if self.options.quick and self.options.peers is None:
            wanted = wanted[:1]
        names = [row.ours]
        for name in wanted:
            why = self.systems[name].missing(self.binaries)
            if why:
                notes[name] = f"not measured: {why}"
            else:
                names.append(name)
        return names

    def row(self, row):
        notes = {}
        result = {"title": row.title, "unit": row.unit, "key": row.key, "better": row.better,
                  "ours": row.ours, "samples": {}, "ratios": {}, "verdicts": [], "notes": notes,
                  "dropped": 0}  # fmt: skip
        try:
            self.take_path(path_of(row, self.options.path))
        except Failed as error:
            notes[row.ours] = f"not measured: {error}"
            say(f"{row.title}: {notes[row.ours]}")
            return result
        result["path"] = self.path.name
        names = self.choose(row, notes)
        lacks = self.systems[row.ours].lacks(self.binaries, self.folder, self.values)
        if lacks:
            notes[row.ours] = lacks
            say(f"{row.title}: {lacks}")
            return result
        say(f"{row.title}: {', '.join(names)}, {self.rounds(row)} rounds")
        result["samples"], result["dropped"] = self.pairs(row, names, notes)
        if self.options.keep_disturbed:
            self.kept_disturbed += result["dropped"]
        else:
            self.dropped += result["dropped"]
        if result["dropped"] and not result["samples"] and row.ours not in notes:
            notes[row.ours] = "not measured: every round was disturbed by others"
        self.compare(row, result)
        return result

    def compare(self, row, result):
        samples = result["samples"]
        for name, got in samples.items():
            if name == row.ours or row.ours not in samples:
                continue
            for key in COMPARED:
                pairs = [
                    (a[key], b[key]) for a, b in zip(samples[row.ours], got) if key in a and key in b
                ]
                values = stats.ratios([a for a, _ in pairs], [b for _, b in pairs])
                if values:
                    result["ratios"].setdefault(name, {})[key] = [
                        stats.median(values), *stats.interval(values), len(values), values,
                    ]  # fmt: skip
        for goal_row, key, peer, way, bound in GOALS:
            if goal_row == row.name:
                values = self.values_of(row, result, key, peer)
                if values:
                    verdict = self.verdict(row, values, (key, peer, way, bound))
                    result["verdicts"].append(self.judge_reference(result, key, verdict))

    @staticmethod
    def judge_reference(result, key, verdict):
        """A loss that the machine has by itself is nobody's."""
        lost = [sample[key] for sample in result["samples"].get("direct", []) if key in sample]
        if key != "lost_percent" or not lost or stats.median(lost) <= REFERENCE_LOSS:
            return verdict
        why = f"iperf3 alone loses {stats.median(lost):.4f} %: no verdict"
        return verdict | {"holds": None, "why": why}

    @staticmethod
    def values_of(row, result, key, peer):
        if peer is None:
            return [sample[key] for sample in result["samples"].get(row.ours, []) if key in sample]
        return result["ratios"].get(peer, {}).get(key, [[]])[-1]

    def judge_ceiling(self, results, ceiling):
        """How much of what its parts allow the tunnel reaches, once those were measured: on the
        loopback, as they were."""
        for row in ROWS:
            result = results.get(row.name)
            if row.name in CEILING_ROWS and result and result.get("path") == "lo":
                values = [got / ceiling for got in self.values_of(row, result, "gbit_s", None)]
                if values:
                    goal = ("gbit_s", "the ceiling", "at least", CEILING_SHARE)
                    verdict = self.verdict(row, values, goal)
                    result["verdicts"].append(verdict)
                    say(f"    {report.verdict_word(verdict)}: {row.name} {verdict['words']}")

    def verdict(self, row, values, goal):
        key, peer, way, bound = goal
        low, high = stats.interval(values)
        words = f"{key} {way} {bound}" + (f" of {peer}" if peer else "")
        digits = 4 if key == "lost_percent" else 2
        words += f": {stats.median(values):.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"
        why = f"{len(values)} pairs" if peer else f"{len(values)} rounds"
        needed = STEADY_ROUNDS if row.steady else VERDICT_PAIRS
        if way == "median at most":
            needed = MEDIAN_ROUNDS
        if self.options.quick or len(values) < needed:
            return {"words": words, "holds": None, "why": f"{why}: no verdict"}
        return {"words": words, "holds": stats.WAYS[way](values, bound), "why": why}
