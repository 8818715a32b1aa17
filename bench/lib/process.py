"""Processes of a benchmark: started in a namespace, pinned, awaited by an event, ended by pid."""

import os
import signal
import socket
import subprocess
import time


class Failed(Exception):
    """A measurement that could not be made; the words say why."""


class Process:
    """One that runs until stop().  space: the network namespace, None for the one we are in."""

    def __init__(self, name, command, cores, folder, space=None):
        self.name = name
        self.log = os.path.join(folder, name + ".log")
        if space:
            command = ["ip", "netns", "exec", space] + command
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=lambda: os.sched_setaffinity(0, cores),
            )
        self.pid = self.process.pid

    def alive(self):
        return self.process.poll() is None

    def words(self, most=2000):
        with open(self.log, errors="replace") as file:
            return file.read()[-most:]

    def stop(self):
        if self.alive():
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(3)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


def await_answer(port, processes, seconds=15, request=b"", host="127.0.0.1"):
    """Until something behind the port talks (or, with a request, answers it)."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for process in processes:
            if not process.alive():
                raise Failed(f"{process.name} ended:\n{process.words()}")
        try:
            with socket.create_connection((host, port), 1) as user:
                if not request:
                    return
                user.settimeout(1)
                user.sendall(request)
                if user.recv(1):
                    return
        except OSError:
            pass
        time.sleep(0.05)
    raise Failed(f"no answer on port {port}:\n" + "\n".join(p.words() for p in processes))


def await_free(ports, space=None, seconds=5):
    """Until nobody has these ports.  A kernel that still ends the operations of a process that is gone
    keeps its sockets a little longer; whoever starts meanwhile would find its port taken, and whoever
    looks whether it listens already would see the old socket."""
    end = time.monotonic() + seconds
    while ports & bound(space):
        if time.monotonic() > end:
            raise Failed(f"one port of {', '.join(map(str, ports))} is still taken")
        time.sleep(0.01)


def forget(port):
    """Drops what the kernel remembers of closed connections to a port: a program that binds it with
    SO_REUSEPORT alone (Go's gnet does) leaves remains beside which nobody else can listen."""
    words = ["ss", "-K", "-tan", f"sport = :{port}"]
    subprocess.run(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)


def bound(space):
    """Ports that are listened on (TCP) or bound (UDP) in a namespace."""
    words = ["ip", "netns", "exec", space] if space else []
    words += ["cat"] + [f"/proc/self/net/{kind}" for kind in ("tcp", "udp", "tcp6", "udp6")]
    text = subprocess.run(words, capture_output=True, text=True, check=False).stdout
    return {port for port, state in sockets(text.splitlines()) if state in ("0A", "07")}


def sockets(lines):
    """(local port, state) of each in the kernel's table."""
    for line in lines:
        fields = line.split(None, 4)
        if fields[0] != "sl":
            yield int(fields[1].rsplit(":", 1)[1], 16), fields[3]


def listening(pid, first, last=None):
    """How many of these TCP ports are listened on, in the namespace of a process."""
    count, last = 0, last or first
    for family in ("tcp", "tcp6"):
        path = f"/proc/{pid}/net/{family}"
        if not os.path.exists(path):
            continue  # it ended, or this kernel has no IPv6
        with open(path) as file:
            for port, state in sockets(file):
                count += state == "0A" and first <= port <= last
    return count
