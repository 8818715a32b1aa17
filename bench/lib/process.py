"""Processes of a benchmark: started in its namespace, pinned, awaited by an event, ended by pid."""

import os
import signal
import socket
import subprocess
import time


class Failed(Exception):
    pass


class Process:
    def __init__(self, name, command, cores, folder, env=None):
        self.name = name
        self.log = os.path.join(folder, name + ".log")
        full_env = dict(os.environ, **(env or {}))
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=full_env,
                start_new_session=True,
                preexec_fn=lambda: os.sched_setaffinity(0, cores),
            )
        self.pid = self.process.pid

    def alive(self):
        return self.process.poll() is None

    def words(self):
        with open(self.log, errors="replace") as file:
            return file.read()[-2000:]

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
