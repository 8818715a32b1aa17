"""What a span of time cost: CPU seconds of processes and of the whole machine, steal, memory, and
what others took meanwhile."""

import os
import threading
import time

TICK = os.sysconf("SC_CLK_TCK")


def processes():
    """pid -> (parent, CPU seconds with those of children that ended), of all but kernel threads."""
    found = {}
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat") as file:
                fields = file.read().rsplit(")", 1)[1].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        parent = int(fields[1])
        if parent != 2 and name != "2":
            found[int(name)] = (parent, sum(int(word) for word in fields[11:15]) / TICK)
    return found


def children(pid):
    """Processes that it started; nginx works in one."""
    return [child for child, (parent, _) in processes().items() if parent == pid]


def others_cpu():
    """CPU seconds of everybody who does not descend from us.  What ends meanwhile lives on in its
    parent's figures, so differences hold."""
    table, total = processes(), 0.0
    for pid, (_, seconds) in table.items():
        at = pid
        while at in table and at != os.getpid():
            at = table[at][0]
        if at != os.getpid():
            total += seconds
    return total


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
    """Bytes that only this process (and its children) has."""
    total = sum(private_memory(child) for child in children(pid))
    with open(f"/proc/{pid}/smaps_rollup") as file:
        for line in file:
            if line.startswith("Private_"):
                total += int(line.split()[1]) * 1024
    return total


def resident_memory(pid):
    with open(f"/proc/{pid}/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class Span:
    """with Span({"server": pid, …}) as span: …; then span.seconds, .cpu[name], .busy, .steal and
    .foreign (a share of one core that others took)."""

    def __init__(self, pids):
        self.pids = pids

    def __enter__(self):
        self._others = others_cpu()
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
        self.foreign = max(others_cpu() - self._others, 0) / self.seconds


class Sampler:
    """Average and maximum of CPU (percent of a core) and resident memory, ten times a second."""

    def __init__(self, pids, every=0.2):
        self.pids, self.every = pids, every
        self.cpu = {name: [] for name in pids}
        self.memory = {name: [] for name in pids}
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self):
        before = {name: process_cpu(pid) for name, pid in self.pids.items()}
        at = time.monotonic()
        while not self._end.wait(self.every):
            now = time.monotonic()
            for name, pid in self.pids.items():
                cpu = process_cpu(pid)
                self.cpu[name].append(100 * (cpu - before[name]) / (now - at))
                self.memory[name].append(resident_memory(pid))
                before[name] = cpu
            at = now

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._end.set()
        self._thread.join()

    def figures(self):
        """Summed over the processes, as the ends are used together."""
        found = {}
        for word, table, unit in (("cpu_percent", self.cpu, 1), ("memory_mb", self.memory, 1e6)):
            moments = [sum(values) / unit for values in zip(*table.values())]
            if moments:
                found[f"{word}_average"] = sum(moments) / len(moments)
                found[f"{word}_maximum"] = max(moments)
        return found
