"""The programs under test: how each is configured, started and reached.

A tunnel takes users on USER_PORT and brings them to the service on SERVICE_PORT; a relay does the
same without a tunnel.  Configuration files stand in bench/peers/, with the reason of each line."""

import os
import re
import shutil
import string
import subprocess

from lib.process import Process, await_answer, await_free, forget

USER_PORT, SERVICE_PORT, TUNNEL_PORT = 7000, 7001, 7443
FIRST_PORT, LAST_PORT = 10000, 19999
COUNTED = re.compile(r"counted\b.*\bname=(\w+) value=(\d+)")
HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


class System:
    """name; kind: tunnel, relay or direct; parts: (role, binary, template, arguments); values: what
    its templates are filled with beside what all are."""

    def __init__(self, name, kind, parts, needs=(), certs=None):
        self.name, self.kind, self.parts = name, kind, parts
        self.needs, self.certs = needs, certs
        self.values = {}
        self.pinned = name.startswith("qmux-uring")  # one worker, one core; peers use what they like
        self.processes = []

    def missing(self, binaries):
        for need in self.needs:
            if not binaries.get(need):
                return f"no binary of {need}"
        return None

    def prepare(self, binaries, folder, values):
        """Writes its files; the commands that start it, by role."""
        folder = os.path.join(folder, self.name)
        os.makedirs(folder, exist_ok=True)
        values = dict(values, folder=folder, **self.values)
        if self.certs:
            self.certs(binaries, folder)
        commands = []
        for role, binary, template, arguments in self.parts:
            filled = os.path.join(folder, os.path.basename(template))
            with open(os.path.join(HERE, "peers", template)) as source:
                text = string.Template(source.read()).substitute(values)
            with open(filled, "w") as out:
                out.write(text)
            words = [binaries[binary]] + [word.replace("{file}", filled) for word in arguments]
            commands.append((role, words, folder))
        return commands

    def start(self, binaries, folder, cores, values, far=None):
        """The client stands on the far side of the path, all else on the near one."""
        self.processes = []
        await_free({USER_PORT, TUNNEL_PORT, FIRST_PORT, LAST_PORT})
        for role, words, folder in self.prepare(binaries, folder, values):
            space = far if role == "client" else None
            self.processes.append(Process(f"{self.name}-{role}", words, cores[role], folder, space))

    def pids(self):
        """By role."""
        return {process.name[len(self.name) + 1 :]: process.pid for process in self.processes}

    def lacks(self, binaries, folder, values):
        """What of its configuration our binary does not know yet; None when it knows all."""
        if self.needs != ["qmux-uring"]:
            return None
        for _, words, _ in self.prepare(binaries, folder, values):
            done = subprocess.run(
                [words[0], "check", words[-1]], capture_output=True, text=True, check=False
            )
            if "not in this version" in done.stdout + done.stderr:
                return "not in this version"
        return None

    def counters(self):
        """What ours counted, by role; known once it has ended."""
        found = {}
        for process in self.processes:
            lines = COUNTED.findall(process.words(100000))
            if lines:
                found[process.name[len(self.name) + 1 :]] = {n: int(v) for n, v in lines}
        return found

    def await_service(self, request=b""):
        await_answer(USER_PORT, self.processes, request=request)

    def stop(self):
        for process in reversed(self.processes):
            process.stop()
        forget(USER_PORT)


class TwoWorkers(System):
    """Another of ours, with two workers that may use every core."""

    def __init__(self, other):
        super().__init__(other.name + "-2w", other.kind, other.parts, other.needs, other.certs)
        self.values = {"server_process": "[server]\nworkers = 2", "client_process": "workers = 2"}
        self.pinned = False


class Direct(System):
    """No program at all: the user talks to the service."""

    def __init__(self):
        super().__init__("direct", "direct", [])

    def await_service(self, request=b""):
        pass


def own_certs(binaries, folder):
    if not os.path.exists(os.path.join(folder, "ca.crt")):
        subprocess.run(
            [binaries["qmux-uring"], "certs", folder, "--server-name", "bench.example"],
            check=True,
            stdout=subprocess.DEVNULL,
        )


def openssl_certs(_binaries, folder):
    """A CA, a server and a client certificate, and the PKCS#12 file that rathole wants."""
    if os.path.exists(os.path.join(folder, "server.p12")):
        return

    def run(command):
        subprocess.run(command, shell=True, check=True, cwd=folder, stderr=subprocess.DEVNULL)

    run(
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key"
        " -out ca.crt -days 30 -subj /CN=bench-ca"
    )
    for name in ("server", "client"):
        run(
            f"openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout {name}.key"
            f" -out {name}.csr -subj /CN=bench.example"
        )
        run(
            "printf 'subjectAltName=DNS:bench.example\\nextendedKeyUsage=serverAuth,clientAuth\\n'"
            f" >{name}.ext; openssl x509 -req -in {name}.csr -CA ca.crt -CAkey ca.key"
            f" -CAcreateserial -days 30 -extfile {name}.ext -out {name}.crt"
        )
    run("openssl pkcs12 -export -in server.crt -inkey server.key -out server.p12 -passout pass:bench")


def all_systems():
    pair = ["server", "client"]

    def tunnel(name, binaries, templates, arguments, needs, certs):
        parts = [
            (role, binary, template, arguments)
            for role, binary, template in zip(pair, binaries, templates)
        ]
        return System(name, "tunnel", parts, needs, certs)

    def relay(name, binary, template, arguments):
        return System(name, "relay", [("relay", binary, template, arguments)], [binary])

    both = lambda name: [name, name]  # noqa: E731
    files = lambda name, ending: [f"{name}-server.{ending}", f"{name}-client.{ending}"]  # noqa: E731
    qmux = System(
        "qmux",
        "tunnel",
        [
            ("server", "qmux", "qmux-server.yaml", ["run", "server", "-c", "{file}"]),
            ("client", "qmux", "qmux-client.yaml", ["run", "client", "-c", "{file}"]),
        ],
        ["qmux", "openssl"],
        openssl_certs,
    )
    systems = [
        Direct(),
        tunnel(
            "qmux-uring",
            both("qmux-uring"),
            files("qmux-uring", "ini"),
            ["{file}"],
            ["qmux-uring"],
            own_certs,
        ),
        tunnel(
            "rathole-tls",
            both("rathole"),
            files("rathole-tls", "toml"),
            ["{file}"],
            ["rathole", "openssl"],
            openssl_certs,
        ),
        tunnel(
            "rathole-noise",
            both("rathole"),
            files("rathole-noise", "toml"),
            ["{file}"],
            ["rathole"],
            None,
        ),
        tunnel(
            "frp-tls",
            ["frps", "frpc"],
            files("frp-tls", "toml"),
            ["-c", "{file}"],
            ["frps", "frpc", "openssl"],
            openssl_certs,
        ),
        tunnel(
            "frp-quic",
            ["frps", "frpc"],
            files("frp-quic", "toml"),
            ["-c", "{file}"],
            ["frps", "frpc", "openssl"],
            openssl_certs,
        ),
        qmux,
        relay("qmux-uring-direct", "qmux-uring", "qmux-uring-direct.ini", ["{file}"]),
        relay("qmux-uring-copy", "qmux-uring", "qmux-uring-copy.ini", ["{file}"]),
        relay("haproxy", "haproxy", "haproxy.cfg", ["-db", "-f", "{file}"]),
        relay("haproxy-splice", "haproxy", "haproxy-splice.cfg", ["-db", "-f", "{file}"]),
        relay("nginx-16k", "nginx", "nginx-16k.conf", ["-c", "{file}"]),
        relay("nginx-64k", "nginx", "nginx-64k.conf", ["-c", "{file}"]),
        relay("nvelox", "nvelox", "nvelox.yaml", ["-config", "{file}"]),
        relay("nvelox-ports", "nvelox", "nvelox-ports.yaml", ["-config", "{file}"]),
        relay("qmux-uring-ports", "qmux-uring", "qmux-uring-ports.ini", ["{file}"]),
        relay("haproxy-ports", "haproxy", "haproxy-ports.cfg", ["-db", "-f", "{file}"]),
        relay("nginx-ports", "nginx", "nginx-ports.conf", ["-c", "{file}"]),
    ]
    found = {system.name: system for system in systems}
    for name in ("qmux-uring", "qmux-uring-direct"):
        found[name + "-2w"] = TwoWorkers(found[name])
    return found


def find_binaries(given, tools):
    """Names to paths: what --peer gave, our tools, then what the machine has."""
    names = "qmux-uring rathole frps frpc qmux haproxy nginx nvelox iperf3 wrk openssl".split()
    found = {name: shutil.which(name) or shutil.which(f"/usr/sbin/{name}") for name in names}
    for name in ("bench-load", "bench-stage", "bench-wire"):
        found[name] = os.path.join(tools, name)
    found.update(given)
    return found
