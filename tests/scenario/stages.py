"""stages.py - the two set-ups that most scenarios play on: a direct relay, and a tunnel."""
import functools

from ends import LOOPBACK, free_port
from lab import REGISTERED, SCENARIOS

PROCESS = "drain_timeout = 5s\n"
workers = 1  # of each program; workers.py plays with more


class Stage:
    """address: where users connect; programs: what stands between them and the service."""

    def __init__(self, address, server, client=None):
        self.address, self.server, self.client = address, server, client

    @property
    def programs(self):
        return [program for program in (self.server, self.client) if program]


def direct_config(address, targets, listener="", backend="", process=PROCESS):
    servers = "".join(f"server = {target}\n" for target in targets)
    return (f"[server]\nworkers = {workers}\n{process}[log]\nlevel = debug\n"
            f"[listener web]\nbind = {address}\nbackend = web\n{listener}"
            f"[backend web]\n{servers}{backend}")


def direct(lab, *targets, **options):
    address = f"{LOOPBACK}:{free_port()}"
    return Stage(address, lab.run("direct", direct_config(address, targets, **options)))


def server_config(address, dial, tunnel="", listener="", process=PROCESS, allow="client, client-*"):
    return (f"[server]\nworkers = {workers}\n{process}[log]\nlevel = debug\n"
            f"[tls edge]\ncert = server.crt\nkey = server.key\nca = ca.crt\n"
            f"[tunnel pods]\nlisten = {dial}\ntls = edge\nauth = mtls\nallow = {allow}\n{tunnel}"
            f"[listener web]\nbind = {address}\nbackend = pods\n{listener}")


def client_config(dial, target, name="client", service="", client="", server_name="localhost",
                  ca="ca.crt", process=PROCESS, tls=None):
    if tls is None:
        tls = f"cert = {name}.crt\nkey = {name}.key\n"
    return (f"[client]\nworkers = {workers}\n{process}server = {dial} name={server_name}\ntls = edge\n{client}"
            f"[log]\nlevel = debug\n"
            f"[tls edge]\n{tls}ca = {ca}\n"
            f"[service default]\ntarget = {target}\n{service}")


def tunnel_server(lab, name="server", certs=True, **options):
    """A server alone: (stage, the address clients dial)."""
    if certs:
        lab.certs()
    address = f"{LOOPBACK}:{free_port()}"
    dial = f"{LOOPBACK}:{free_port()}"
    return Stage(address, lab.run(name, server_config(address, dial, **options))), dial


def tunnel_client(lab, dial, target, name="client", **options):
    """With a connection to each worker of the server."""
    program = lab.start(name, client_config(dial, target, name=name, **options))
    program.await_line(REGISTERED, workers)
    return program.ready(REGISTERED)


def tunnel(lab, target, tunnel="", listener="", service="", process=PROCESS):
    stage, dial = tunnel_server(lab, tunnel=tunnel, listener=listener, process=process)
    stage.client = tunnel_client(lab, dial, target, service=service)
    stage.server.await_line(REGISTERED, workers)
    stage.server.descriptors = stage.server.count_descriptors()
    return stage


def on_both(function):
    """Registers a claim as direct_… and as tunnel_…; it gets the lab and a way to set its stage."""
    for stage in (direct, tunnel):
        def claim(lab, stage=stage):
            function(lab, functools.partial(stage, lab))
        SCENARIOS[f"{function.__module__}.{stage.__name__}_{function.__name__}"] = claim
    return function
