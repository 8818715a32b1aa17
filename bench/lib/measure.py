"""What a span of time cost: CPU seconds of processes and of the whole machine, steal, memory."""

import os
import time

TICK = os.sysconf("SC_CLK_TCK")


def children(pid):
    """Processes that it started; nginx works in one."""
    found = []
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat") as file:
                parent = int(file.read().rsplit(")", 1)[1].split()[1])
        except (FileNotFoundError, ProcessLookupError):
            continue
        if parent == pid:
            found.append(int(name))
    return found


def process_cpu(pid):
    """CPU seconds of all threads of a process and its children that live now."""
    total = 0.0
    for task in os.listdir(f"/proc/{pid}/task"):
        try:
            with open(f"/proc/{pid}/task/{task}/schedstat") as file:
                total += int(file.read().split()[0]) / 1e9
        except FileNotFoundError:
            pass  # a thread that ended meanwhile
    return total + sum(process_cpu(child) for child in children(pid))


def machine_cpu():
    """Busy seconds (softirq included) and stolen seconds of all cores since boot."""
    with open("/proc/stat") as file:
        fields = [int(word) / TICK for word in file.readline().split()[1:]]
    user, nice, system, _idle, _iowait, irq, softirq, steal = fields[:8]
    return user + nice + system + irq + softirq, steal


def private_memory(pid):
    """Bytes that only this process has."""
    total = 0
    with open(f"/proc/{pid}/smaps_rollup") as file:
        for line in file:
            if line.startswith("Private_"):
                total += int(line.split()[1]) * 1024
    return total


class Span:
    """with Span({"server": pid, …}) as span: …; then span.seconds, span.cpu[name], span.busy."""

    def __init__(self, pids):
        self.pids = pids

    def __enter__(self):
        self._cpu = {name: process_cpu(pid) for name, pid in self.pids.items()}
        self._machine = machine_cpu()
        self._time = time.monotonic()
        return self

    def __exit__(self, *_):
        self.seconds = time.monotonic() - self._time
        busy, steal = machine_cpu()
        self.busy = busy - self._machine[0]
        self.steal = (steal - self._machine[1]) / self.seconds
        self.cpu = {name: process_cpu(pid) - self._cpu[name] for name, pid in self.pids.items()}
