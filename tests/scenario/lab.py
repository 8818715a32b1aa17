"""lab.py - what scenarios stand on: a folder, certificates, processes, and the checks that every
scenario ends with.

A process is awaited by its own words (Program.await_line), never by the clock.  Lab.end stops what
still runs and checks: exit status, no sanitizer's word, no descriptor left over, no key in a log.
"""
import base64
import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time

SCENARIOS = {}

PATIENCE = 20  # seconds that any single awaited thing may take before the scenario fails

# What the program says of itself; the only place that knows its words.
READY = r"\bready\b"
REGISTERED = r"registered"
ALARMS = re.compile(r"AddressSanitizer|LeakSanitizer|ThreadSanitizer|runtime error:|qmux-uring: BUG:")


class Skip(Exception):
    """This machine cannot run the scenario, and says why."""


def scenario(function):
    """Registers a function; its name, with its room, is the claim."""
    room = function.__module__
    SCENARIOS[f"{room}.{function.__name__}"] = function
    return function


def until(condition, what, patience=PATIENCE):
    """For states the kernel has no event for (/proc): asks again until they hold."""
    end = time.monotonic() + patience
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"not within {patience} s: {what}")
        time.sleep(0.02)


class Program:
    """A running qmux-uring; its log is read as it comes."""

    def __init__(self, lab, name, arguments, **options):
        self.lab, self.name, self.lines = lab, name, []
        self.expected_exit = 0
        self.descriptors = None
        self.changed = threading.Condition()
        self.process = subprocess.Popen(
            [*options.pop("wrapper", []), lab.binary, *arguments], cwd=lab.folder,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            env=lab.environment, **options)
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    @property
    def pid(self):
        return self.process.pid

    def _read(self):
        for line in self.process.stdout:
            with self.changed:
                self.lines.append(line.decode(errors="replace").rstrip("\n"))
                self.changed.notify_all()
        with self.changed:
            self.lines.append(None)  # the end
            self.changed.notify_all()

    def text(self):
        with self.changed:
            return "\n".join(line for line in self.lines if line is not None)

    def count(self, pattern):
        return len(re.findall(pattern, self.text()))

    def await_line(self, pattern, times=1, patience=PATIENCE):
        """Until the pattern was said that many times since the start; returns the last match."""
        regex, end = re.compile(pattern), time.monotonic() + patience
        with self.changed:
            while True:
                found = [match for line in self.lines if line and (match := regex.search(line))]
                if len(found) >= times:
                    return found[times - 1]
                left = end - time.monotonic()
                if left <= 0 or (self.lines and self.lines[-1] is None):
                    why = "ended" if left > 0 else f"not within {patience} s"
                    raise AssertionError(f"{self.name} never said /{pattern}/ x{times} ({why})")
                self.changed.wait(left)

    def ready(self, pattern=READY):
        self.await_line(pattern)
        self.descriptors = self.count_descriptors()
        return self

    def count_descriptors(self):
        """Without pipes: a relay keeps some for the next bulky flow."""
        folder, count = f"/proc/{self.pid}/fd", 0
        for name in os.listdir(folder):
            try:
                count += not os.readlink(f"{folder}/{name}").startswith("pipe:")
            except FileNotFoundError:  # closed meanwhile
                pass
        return count

    def memory(self):
        """Private bytes now."""
        with open(f"/proc/{self.pid}/smaps_rollup", encoding="ascii") as file:
            return sum(int(line.split()[1]) * 1024 for line in file if line.startswith("Private_"))

    def cpu_seconds(self):
        with open(f"/proc/{self.pid}/stat", encoding="ascii") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def signal(self, number):
        self.process.send_signal(number)

    def await_exit(self, patience=PATIENCE):
        code = self.process.wait(patience)
        self.reader.join(5)
        return code

    def kill(self):
        """As the kernel's OOM killer would."""
        self.process.kill()
        self.process.wait()
        self.reader.join(5)
        self.expected_exit = -signal.SIGKILL

    def stop(self, patience=PATIENCE):
        if self.process.poll() is None:
            self.signal(signal.SIGTERM)
        return self.await_exit(patience)


class Lab:
    def __init__(self, name, binary):
        self.name, self.binary = name, binary
        self.folder = tempfile.mkdtemp(prefix="qmux-scenario-")
        self.programs, self.ends, self.cleanups = [], [], []
        self.environment = dict(os.environ, ASAN_OPTIONS="detect_leaks=1:abort_on_error=0",
                                UBSAN_OPTIONS="print_stacktrace=1")

    # ---- files ----
    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, text, mode=0o644):
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(self.path(name), mode)
        return self.path(name)

    def certs(self, folder=".", *words):
        code, text = self.call("certs", folder, *words)
        assert code == 0, text

    # ---- processes ----
    def call(self, *arguments, patience=PATIENCE, **options):
        """Runs a command to its end: exit status and all it said."""
        run = subprocess.run([self.binary, *arguments], cwd=self.folder, env=self.environment,
                             stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT, timeout=patience, check=False, **options)
        text = run.stdout.decode(errors="replace")
        assert not ALARMS.search(text), text
        return run.returncode, text

    def start(self, name, config, **options):
        """Starts the program with a configuration and returns before it is ready."""
        self.write(f"{name}.ini", config)
        program = Program(self, name, [f"{name}.ini"], **options)
        self.programs.append(program)
        return program

    def run(self, name, config, **options):
        return self.start(name, config, **options).ready()

    def again(self, name):
        """Starts one that ended, with the configuration that it had."""
        with open(self.path(f"{name}.ini"), encoding="utf-8") as file:
            return self.run(name, file.read())

    def add(self, end):
        """Something with a close() that ends before the programs do."""
        self.ends.append(end)
        return end

    def system(self, *words):
        run = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                             check=False)
        if run.returncode:
            raise Skip(f"{' '.join(words)}: {run.stdout.strip()}")
        return run.stdout

    # ---- the end ----
    def secrets(self):
        """Lines of every private key, and its bytes in hex."""
        for base, _, names in os.walk(self.folder):
            for name in names:
                if not name.endswith(".key"):
                    continue
                with open(os.path.join(base, name), encoding="ascii", errors="replace") as file:
                    lines = [line for line in file.read().split("\n") if line and line[0] != "-"]
                yield from lines
                yield base64.b64decode("".join(lines))[8:40].hex()

    def close_ends(self):
        while self.ends:
            self.ends.pop().close()

    def sanitized(self, program):
        """Its freed memory is quarantined: growth says nothing."""
        with open(f"/proc/{program.pid}/maps", encoding="ascii") as file:
            return "asan" in file.read()

    def check_descriptors(self, program):
        """All that connections opened is closed again."""
        if program.descriptors is None or program.process.poll() is not None:
            return
        until(lambda: program.count_descriptors() <= program.descriptors,
              f"{program.name} holds {program.count_descriptors()} descriptors, "
              f"{program.descriptors} when it was ready", 10)

    def end(self):
        self.close_ends()
        for program in self.programs:
            self.check_descriptors(program)
        for program in reversed(self.programs):
            code = program.stop()
            assert code == program.expected_exit, f"{program.name} ended with {code}"
        for program in self.programs:
            text = program.text()
            assert not ALARMS.search(text), f"{program.name}: a sanitizer spoke"
            for secret in self.secrets():
                assert secret not in text, f"{program.name} logged a part of a private key"
        self.abandon()

    def abandon(self, keep=False):
        self.close_ends()
        for program in self.programs:
            if program.process.poll() is None:
                program.process.kill()
                program.process.wait()
        for cleanup in reversed(self.cleanups):
            cleanup()
        if keep:
            print(f"kept: {self.folder}")
        else:
            shutil.rmtree(self.folder, ignore_errors=True)

    def print_logs(self):
        for program in self.programs:
            print(f"--- {program.name} (exit {program.process.poll()})")
            print("\n".join(program.text().split("\n")[-60:]))
