"""What is measured, in the form that Prometheus reads."""
import os
import shutil
import subprocess

from admin import admin_lines, fetch, started, talk
from ends import LOOPBACK, DatagramService, DatagramUser, Service, echo, echo_once, free_port
from lab import Skip, scenario
from prometheus import read_metrics
from stages import server_config, tunnel_client


@scenario
def read_well_by_prometheus(lab):
    service, http = lab.add(Service(echo)), free_port()
    _, address = started(lab, [service.address], http=http)
    echo_once(address)
    text = fetch(http)[1]
    rows = read_metrics(text)
    assert any(name == "qmux_build_info" for name, _ in rows)
    for limit in ("max_connections", "admin_clients", "max_clients", "udp_sessions"):
        assert ("qmux_limit_reached_total", f'{{limit="{limit}"}}') in rows
    assert rows["qmux_member_up", '{backend="web",member="%s"}' % service.address] == 1
    answer = talk(http, b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert "Content-Type: text/plain; version=0.0.4" in answer.split("\r\n\r\n")[0], answer[:300]


def found_promtool():
    """Where tools/test.sh has put it, if nowhere else."""
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    kept = os.path.join(cache, "qmux-uring", "tools", "promtool")
    return shutil.which("promtool") or (kept if os.access(kept, os.X_OK) else None)


@scenario
def of_all_kinds_pass_promtool(lab):
    promtool = found_promtool()
    if not promtool:
        raise Skip("there is no promtool")
    lab.certs()
    service, datagrams = lab.add(Service(echo)), lab.add(DatagramService())
    dial, http = f"{LOOPBACK}:{free_port()}", free_port()
    tcp, udp, users = free_port(), free_port(), f"{LOOPBACK}:{free_port()}"
    server = lab.run("server", server_config(users, dial) + admin_lines(http) +
                     f"[listener tcp]\nbind = {LOOPBACK}:{tcp}\nbackend = tcp\n"
                     f"[backend tcp]\nserver = {service.address}\nserver = {LOOPBACK}:1 name=a-b.c_d\n"
                     f"[listener udp]\nbind = {LOOPBACK}:{udp}\nprotocol = udp\nudp_timeout = 1s\n"
                     f"backend = udp\n[backend udp]\nserver = {datagrams.address}\n")
    tunnel_client(lab, dial, service.address)
    server.await_line("tunnel client registered")
    server.descriptors = server.count_descriptors()
    for address in (users, f"{LOOPBACK}:{tcp}", f"{LOOPBACK}:{tcp}"):
        echo_once(address)
    assert lab.add(DatagramUser(f"{LOOPBACK}:{udp}")).ask(b"x") == b"x"
    text = fetch(http)[1]
    read_metrics(text)
    run = subprocess.run([promtool, "check", "metrics"], input=text, text=True, check=False,
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert run.returncode == 0 and not run.stdout, run.stdout
