"""What a row works with: the service behind the system, the tools in front of it, the path."""

import json
import os
import string
import subprocess
import time

from lib.process import Failed, Process, await_answer, await_free, listening
from lib.systems import HERE, SERVICE_PORT, USER_PORT

IPERF_COOKIE = b"bench" * 7 + b"x\0"  # what its client says first; the server answers a byte
REQUEST = b"GET / HTTP/1.1\r\nHost: bench\r\n\r\n"
PROBES = {"iperf3": IPERF_COOKIE, "http": REQUEST, "echo": b"x"}


class Bench:
    """One measurement's surroundings.  cores: by role; values: what templates are filled with."""

    def __init__(self, binaries, folder, cores, seconds, path, values):
        self.binaries, self.folder, self.cores = binaries, folder, cores
        self.seconds, self.path, self.values = seconds, path, values
        self.origin = None

    # ---- the service ----
    def start_origin(self, kind):
        words = {
            "iperf3": [self.binaries["iperf3"], "-s", "-p", str(SERVICE_PORT)],
            "http": [self.binaries["nginx"], "-c", os.path.join(self.folder, "origin.conf")],
            "echo": [self.binaries["bench-load"], "echo", str(SERVICE_PORT)],
            "discard": [self.binaries["bench-load"], "discard", str(SERVICE_PORT)],
        }[kind]
        if kind == "http":
            self._fill("origin.conf")
        await_free({SERVICE_PORT}, self.path.space)
        self.origin = Process(
            kind + "-origin", words, self.cores["service"], self.folder, self.path.space
        )
        end = time.monotonic() + 5
        while not listening(self.origin.pid, SERVICE_PORT):
            if time.monotonic() > end or not self.origin.alive():
                raise Failed(f"the {kind} service does not listen: {self.origin.words()}")
            time.sleep(0.02)
        if kind == "http":
            await_answer(SERVICE_PORT, [self.origin], request=REQUEST, host=self.path.hosts()[1])

    def _fill(self, template):
        values = dict(self.values, folder=self.folder, body="x" * 1024)
        with open(os.path.join(HERE, "peers", template)) as source:
            text = string.Template(source.read()).substitute(values)
        with open(os.path.join(self.folder, template), "w") as out:
            out.write(text)

    def stop_origin(self):
        if self.origin:
            self.origin.stop()
            self.origin = None

    # ---- the user ----
    def target(self, system):
        if system.kind == "direct":
            return self.path.hosts()[1], SERVICE_PORT
        return "127.0.0.1", USER_PORT

    def run_tool(self, words, timeout):
        try:
            done = subprocess.run(
                words,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=timeout,
                preexec_fn=lambda: os.sched_setaffinity(0, self.cores["user"]),
                check=False,
                text=True,
            )
        except subprocess.TimeoutExpired as error:
            raise Failed(f"{os.path.basename(words[0])} did not end in {timeout} s") from error
        return done.returncode, done.stdout

    def iperf(self, system, extra, seconds, patience=20):
        host, port = self.target(system)
        words = [self.binaries["iperf3"], "-c", host, "-p", str(port), "-t", str(seconds), "-J"]
        rc, text = self.run_tool(words + extra, seconds + patience)
        try:
            report = json.loads(text[text.index("{") :])
        except ValueError as error:
            raise Failed(f"iperf3 through {system.name}: {text[-500:]}") from error
        if rc or "error" in report:
            raise Failed(f"iperf3 through {system.name}: {report.get('error', rc)}")
        return report["end"]

    def load(self, system, mode, extra, seconds):
        host, port = self.target(system)
        words = [self.binaries["bench-load"], mode, f"{host}:{port}", "--seconds", str(seconds)]
        rc, text = self.run_tool(words + extra, seconds + 20)
        if rc:
            raise Failed(f"bench-load through {system.name}: {text[-500:]}")
        return json.loads(text[text.index("{") :])


def disturbance(span):
    return {"steal": span.steal, "foreign": span.foreign}


def per_gigabyte(span, gigabytes):
    figures = {f"cpu_s_per_gb.{name}": cpu / gigabytes for name, cpu in span.cpu.items()}
    if span.cpu:
        figures["cpu_s_per_gb"] = sum(span.cpu.values()) / gigabytes
    figures["machine_s_per_gb"] = span.busy / gigabytes
    return figures | disturbance(span)
