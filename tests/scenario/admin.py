"""A running process is asked and commanded: by its socket, by HTTP, by a service manager."""
import fcntl
import json
import os
import pty
import re
import select
import shutil
import signal
import socket
import struct
import subprocess
import termios
import time
import urllib.error
import urllib.request

from ends import (LOOPBACK, Service, check_echo, connect, echo, echo_once, free_port, is_served,
                  pour, receive_exactly)
from lab import REGISTERED, Skip, scenario, until
from prometheus import read_metrics
from stages import client_config, direct_config, server_config, tunnel_client

HTTP_SIZE_MAX = 8192


def admin_lines(http=0, more=""):
    return f"[admin]\nsocket = admin.sock\n{more}" + (f"http = {LOOPBACK}:{http}\n" if http else "")


def started(lab, targets, http=0, process="drain_timeout = 5s\n", more="", **options):
    """A direct relay with [admin]: (program, its address)."""
    address = f"{LOOPBACK}:{free_port()}"
    config = direct_config(address, targets, process=process) + admin_lines(http, more)
    return lab.run("direct", config, **options), address


def ask(lab, word="status", path="admin.sock"):
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(10)
        sock.connect(lab.path(path))
        sock.sendall(word.encode() + b"\n")
        return json.loads(sock.makefile().readline())


def fetch(port, path="/metrics"):
    try:
        with urllib.request.urlopen(f"http://{LOOPBACK}:{port}{path}", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def talk(port, data):
    """Raw bytes to the HTTP port, and all that comes back."""
    with socket.create_connection((LOOPBACK, port), 10) as sock:
        sock.sendall(data)
        answer = b""
        while chunk := sock.recv(65536):
            answer += chunk
        return answer.decode()


# ---- the socket ----

@scenario
def status_names_all_that_there_is(lab):
    lab.certs()
    service = lab.add(Service(echo))
    address, dial = f"{LOOPBACK}:{free_port()}", f"{LOOPBACK}:{free_port()}"
    http = free_port()
    server = lab.run("server", server_config(address, dial) + admin_lines(http))
    client = lab.start("client", client_config(dial, service.address, client="id = pod-7\n") +
                       "[admin]\nsocket = client.sock\n")
    client.ready(REGISTERED)
    server.await_line("tunnel client registered")
    server.descriptors = server.count_descriptors()
    echo_once(address)
    status = ask(lab)
    assert status["v"] == 1 and status["ok"] is True and status["state"] == "running"
    assert status["pid"] == server.pid and status["listeners"][0]["name"] == "web"
    assert status["listeners"][0]["address"] == address
    tunnel = status["tunnels"][0]
    assert tunnel["name"] == "pods" and tunnel["address"] == dial
    assert tunnel["members"][0]["state"] == "fit" and tunnel["members"][0]["total"] >= 1
    there = tunnel["clients"][0]
    assert there["identity"] == "client" and there["id"] == "pod-7" and there["version"] >= 1
    assert there["address"].startswith(LOOPBACK) and there["rtt_ms"] > 0
    assert there["congestion_window"] > 0 and there["packets_lost"] >= 0 and there["bytes_in"] > 0
    here = ask(lab, path="client.sock")["servers"][0]
    assert here["state"] == "registered" and here["address"] == dial, here
    code, text = lab.call("status", "--socket", "admin.sock")
    assert code == 0 and "pod-7" in text and "pods" in text and address in text, text
    rows = read_metrics(fetch(http)[1])
    assert rows["qmux_client_connections", '{tunnel="pods",client="client"}'] == 1


@scenario
def counters_move_while_a_connection_is_open(lab):
    service, http = lab.add(Service(echo)), free_port()
    _, address = started(lab, [service.address], http=http)
    with connect(address) as user:
        for turn in (1, 2, 3):
            user.sendall(b"x" * 1000)
            assert receive_exactly(user, 1000)
            status = ask(lab)
            for row in (status["listeners"][0], status["backends"][0]["members"][0]):
                assert row["bytes_in"] == row["bytes_out"] == 1000 * turn, row
            assert status["listeners"][0]["connections"] == 1
            assert status["backends"][0]["members"][0]["active"] == 1
            assert status["counters"]["bytes_in"] == 1000 * turn
            rows = read_metrics(fetch(http)[1])
            assert rows["qmux_listener_bytes_total",
                        '{listener="web",direction="in"}'] == 1000 * turn
    until(lambda: ask(lab)["listeners"][0]["connections"] == 0, "the connection is seen to end")


@scenario
def drain_answers_at_once_and_the_process_ends_when_all_is_done(lab):
    service = lab.add(Service(echo))
    program, address = started(lab, [service.address])
    with connect(address) as user:
        check_echo(user)
        assert lab.call("drain", "--socket", "admin.sock")[0] == 0
        program.await_line("draining")
        assert ask(lab)["state"] == "draining"
        assert not is_served(address)
        check_echo(user, b"y")
    assert program.await_exit() == 0


@scenario
def stop_ends_within_two_seconds(lab):
    service = lab.add(Service(echo))
    program, address = started(lab, [service.address], process="drain_timeout = 60s\n")
    with connect(address) as user:
        check_echo(user)
        begun = time.monotonic()
        assert lab.call("stop", "--socket", "admin.sock")[0] == 0
        assert program.await_exit() == 0 and time.monotonic() - begun < 2
    assert not os.path.exists(lab.path("admin.sock"))


@scenario
def orders_that_cannot_be_carried_out_say_so(lab):
    started(lab, ["127.0.0.1:1"])
    code, text = lab.call("status", "--socket", "nobody.sock")
    assert code == 1 and "nobody.sock" in text, text
    code, text = lab.call("status", "--what")
    assert code == 2, text
    code, text = lab.call("top", "--socket", "admin.sock")
    assert code == 1 and "status" in text, text


@scenario
def the_socket_is_the_owners_alone_and_one_process_has_it(lab):
    first, _ = started(lab, ["127.0.0.1:1"])
    assert os.stat(lab.path("admin.sock")).st_mode & 0o777 == 0o600
    second = lab.start("second", direct_config(f"{LOOPBACK}:{free_port()}", ["127.0.0.1:1"]) +
                       admin_lines())
    assert second.await_exit() == 1 and re.search("admin socket .* is taken", second.text())
    second.expected_exit = 1
    lab.write("plain", "no socket\n")
    lab.write("plain.ini", direct_config(f"{LOOPBACK}:{free_port()}", ["127.0.0.1:1"]) +
              "[admin]\nsocket = plain\n")
    assert re.search("admin socket plain: File exists", lab.call("plain.ini")[1])
    first.kill()  # leaves its socket behind
    third = lab.run("third", direct_config(f"{LOOPBACK}:{free_port()}", ["127.0.0.1:1"]) +
                    admin_lines())
    assert ask(lab)["pid"] == third.pid


def counted(lab, name):
    return ask(lab)["counters"][name]


@scenario
def clients_that_misbehave_are_bounded_and_counted(lab):
    program, _ = started(lab, ["127.0.0.1:1"])
    assert ask(lab, "nonsense")["ok"] is False
    assert ask(lab, "\0\xff")["ok"] is False
    assert counted(lab, "admin_invalid") == 2
    with socket.socket(socket.AF_UNIX) as long_one:
        long_one.connect(lab.path("admin.sock"))
        try:
            long_one.sendall(b"s" * 5000)
            assert long_one.recv(1) == b""
        except (BrokenPipeError, ConnectionResetError):
            pass
    assert counted(lab, "limit_admin_size") == 1
    begun = time.monotonic()
    with socket.socket(socket.AF_UNIX) as half:
        half.connect(lab.path("admin.sock"))
        half.sendall(b"stat")
        assert half.recv(1) == b"" and 4 < time.monotonic() - begun < 10
    assert counted(lab, "limit_admin_time") == 1
    crowd = [socket.socket(socket.AF_UNIX) for _ in range(16)]
    for one in crowd:
        one.connect(lab.path("admin.sock"))
    with socket.socket(socket.AF_UNIX) as over:
        over.connect(lab.path("admin.sock"))
        assert over.recv(1) == b""
    crowd[0].sendall(b"status\n")
    assert json.loads(crowd[0].makefile().readline())["counters"]["limit_admin_clients"] == 1
    for one in crowd:
        one.close()
    assert program.process.poll() is None


@scenario
def a_client_that_never_reads_holds_up_nobody(lab):
    program, _ = started(lab, ["127.0.0.1:1"])
    with socket.socket(socket.AF_UNIX) as deaf:
        deaf.connect(lab.path("admin.sock"))
        pour(deaf, b"status\n")
        before = program.memory()
        for _ in range(50):
            assert ask(lab)["ok"]
        assert program.memory() - before < 8 << 20
        until(lambda: counted(lab, "limit_admin_time") == 1, "the deaf one is given up")


@scenario
def requests_behind_one_another_are_answered_in_order(lab):
    started(lab, ["127.0.0.1:1"])
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(lab.path("admin.sock"))
        sock.sendall(b"status\r\nreload\nstatus\n")
        lines = sock.makefile()
        assert [len(json.loads(lines.readline())) > 3 for _ in range(3)] == [True, False, True]


# ---- HTTP ----

@scenario
def probes_tell_life_and_readiness(lab):
    service, http = lab.add(Service(echo)), free_port()
    program, address = started(lab, [service.address], http=http)
    assert fetch(http, "/healthz")[0] == 200 and fetch(http, "/readyz")[0] == 200
    assert json.loads(fetch(http, "/api/v1/status?x=1")[1])["ok"] is True
    assert fetch(http, "/nothing")[0] == 404
    with connect(address) as user:
        check_echo(user)
        program.signal(signal.SIGTERM)
        program.await_line("draining")
        assert fetch(http, "/readyz")[0] == 503 and fetch(http, "/healthz")[0] == 200
    assert program.await_exit() == 0


@scenario
def a_client_is_ready_with_its_first_tunnel(lab):
    lab.certs()
    http, dial = free_port(), f"{LOOPBACK}:{free_port()}"
    client = lab.start("client", client_config(dial, "127.0.0.1:1") + admin_lines(http))
    client.await_line("listening for scrapers")
    until(lambda: fetch(http, "/readyz")[0] == 503, "it is not ready")
    lab.run("server", server_config(f"{LOOPBACK}:{free_port()}", dial))
    until(lambda: fetch(http, "/readyz")[0] == 200, "it is ready")


@scenario
def http_is_read_strictly(lab):
    http = free_port()
    started(lab, ["127.0.0.1:1"], http=http)
    get = "GET /healthz HTTP/1.1\r\nHost: x\r\n"
    for status, request in (
            (200, get + "Connection: close\r\n\r\n"), (200, "GET /healthz HTTP/1.0\r\n\r\n"),
            (405, "POST /metrics HTTP/1.1\r\n\r\n"), (505, "GET / HTTP/2.0\r\n\r\n"),
            (413, get + "Content-Length: 5\r\n\r\nhello"), (400, "GET /\n\n"),
            (413, get + "Transfer-Encoding: chunked\r\n\r\n"), (400, get + "bad header\r\n\r\n"),
            (414, f"GET /{'a' * 300} HTTP/1.1\r\n\r\n"),
            (431, get + "X: " + "a" * HTTP_SIZE_MAX + "\r\n\r\n")):
        answer = talk(http, request.encode())
        assert answer.startswith(f"HTTP/1.1 {status} "), (status, answer)
    head = talk(http, b"HEAD /healthz HTTP/1.1\r\nConnection: close\r\n\r\n")
    assert head.endswith("\r\n\r\n") and "Content-Length: 6" in head, head
    begun = time.monotonic()
    assert talk(http, b"GET /heal") == "" and time.monotonic() - begun < 10
    crowd = [socket.create_connection((LOOPBACK, http)) for _ in range(64)]
    until(lambda: ask(lab)["ok"], "the socket has clients of its own")
    with socket.create_connection((LOOPBACK, http), 10) as over:
        assert over.recv(1) == b""
    for one in crowd:
        one.close()


@scenario
def http_stays_on_loopback_unless_told_otherwise(lab):
    config = direct_config(f"{LOOPBACK}:{free_port()}", ["127.0.0.1:1"])
    lab.write("open.ini", config + "[admin]\nsocket = a.sock\nhttp = 0.0.0.0:9090\n")
    code, text = lab.call("check", "open.ini")
    assert code == 2 and "http_public" in text, text
    lab.write("open.ini", config + "[admin]\nhttp = 0.0.0.0:9090\nhttp_public = yes\n")
    assert lab.call("check", "open.ini")[0] == 0


# ---- top ----

@scenario
def top_draws_and_ends_with_q(lab):
    started(lab, ["127.0.0.1:1 name=a-server-whose-name-is-longer-than-a-line-has-room-for"])
    terminal, end = pty.openpty()
    fcntl.ioctl(end, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    top = subprocess.Popen([lab.binary, "top", "--socket", "admin.sock"], cwd=lab.folder, stdin=end,
                           stdout=end, stderr=end, env=lab.environment)
    os.close(end)
    lab.cleanups.append(top.kill)
    drawn = b""
    while drawn.count(b"LISTENER") < 2:
        assert select.select([terminal], [], [], 10)[0], drawn
        drawn += os.read(terminal, 65536)
    assert b"qmux-uring" in drawn
    assert re.search(rb"BACKEND .*STATE .*ACTIVE .*FAILED .*IN bit/s OUT bit/s\x1b", drawn), drawn
    assert b"a-server-whose-name" in drawn and b"~ fit" in drawn, drawn
    os.write(terminal, b"q")
    assert top.wait(10) == 0
    os.close(terminal)


# ---- users, files, service managers ----

@scenario
def it_runs_as_another_user_once_bound(lab):
    if os.geteuid():
        raise Skip("only root can become another user")
    service = lab.add(Service(echo))
    os.chmod(lab.folder, 0o755)
    program, address = started(lab, [service.address],
                               process="user = nobody\npid_file = run.pid\n")
    program.await_line("dropped to user")
    with open(f"/proc/{program.pid}/status", encoding="ascii") as file:
        status = file.read()
    assert re.search(r"^Uid:\t65534\t65534\t65534\t65534$", status, re.M), status
    assert re.search(r"^CapEff:\t0+$", status, re.M) and "NoNewPrivs:\t1" in status
    for task in os.listdir(f"/proc/{program.pid}/task"):
        assert os.stat(f"/proc/{program.pid}/task/{task}").st_uid == 65534
    with open(lab.path("run.pid"), encoding="ascii") as file:
        assert int(file.read()) == program.pid
    echo_once(address)
    assert ask(lab)["ok"]
    lab.write("bad.ini", direct_config(address, ["127.0.0.1:1"], process="user = nobody-at-all\n"))
    code, text = lab.call("check", "bad.ini")
    assert code == 2 and "nobody-at-all" in text, text


@scenario
def the_pid_file_goes_with_the_process(lab):
    program, _ = started(lab, ["127.0.0.1:1"], process="pid_file = run.pid\n")
    until(lambda: os.path.exists(lab.path("run.pid")), "it is written")
    assert program.stop() == 0 and not os.path.exists(lab.path("run.pid"))


@scenario
def a_pid_file_belongs_to_one_process(lab):
    first, _ = started(lab, ["127.0.0.1:1"], process="pid_file = run.pid\n")
    second = lab.start("second", direct_config(f"{LOOPBACK}:{free_port()}", ["127.0.0.1:1"],
                                               process="pid_file = run.pid\n"))
    assert second.await_exit() == 1
    assert re.search(f"pid_file .*run.pid belongs to process {first.pid}", second.text())
    second.expected_exit = 1
    with open(lab.path("run.pid"), encoding="ascii") as file:
        assert int(file.read()) == first.pid
    first.kill()  # leaves it behind
    third = lab.run("third", direct_config(f"{LOOPBACK}:{free_port()}", ["127.0.0.1:1"],
                                           process="pid_file = run.pid\n"))
    with open(lab.path("run.pid"), encoding="ascii") as file:
        assert int(file.read()) == third.pid
    third.signal(signal.SIGHUP)  # its settings are others from now on
    third.await_line("other settings are in force")
    assert third.stop() == 0 and not os.path.exists(lab.path("run.pid"))


@scenario
def lines_that_a_full_disk_refuses_are_counted_for_both_logs(lab):
    service, address = lab.add(Service(echo)), f"{LOOPBACK}:{free_port()}"
    config = direct_config(address, [service.address]) + admin_lines()
    lab.run("full", config.replace("[log]\n", "[log]\naccess = /dev/full\n"))
    echo_once(address)
    until(lambda: counted(lab, "log_dropped") == 1, "it is counted")


class Manager:
    """The end of NOTIFY_SOCKET that a service manager has."""

    def __init__(self, lab, **environment):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sock.bind(lab.path("notify.sock"))
        self.sock.settimeout(10)
        lab.environment.update(NOTIFY_SOCKET=lab.path("notify.sock"), **environment)
        self.lab = lab

    def hear(self, word):
        while True:
            text = self.sock.recv(4096).decode()
            if word in text.split("\n"):
                return text

    def close(self):
        self.sock.close()


@scenario
def a_service_manager_is_told_what_happens(lab):
    manager = lab.add(Manager(lab))
    program, _ = started(lab, ["127.0.0.1:1"])
    assert f"MAINPID={program.pid}" in manager.hear("READY=1")
    program.signal(signal.SIGHUP)
    assert "MONOTONIC_USEC=" in manager.hear("RELOADING=1")
    manager.hear("READY=1")
    program.signal(signal.SIGTERM)
    manager.hear("STOPPING=1")
    assert program.await_exit() == 0


@scenario
def the_watchdog_is_fed_while_workers_move(lab):
    manager = lab.add(Manager(lab, WATCHDOG_USEC="400000"))
    program, _ = started(lab, ["127.0.0.1:1"])
    for _ in range(5):
        manager.hear("WATCHDOG=1")
    assert program.process.poll() is None


# Hands over what systemd would: sockets from 3 on, and their number.
HAND_OVER = """
import os, socket, sys
fds = []
for kind, port in (pair.split(":") for pair in sys.argv[1].split(",")):
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(("127.0.0.1", int(port)))
    if kind == "tcp":
        sock.listen(16)
    fds.append(sock.detach())
high = [os.dup2(fd, 100 + i) for i, fd in enumerate(fds)]
for i, fd in enumerate(high):
    os.dup2(fd, 3 + i)
os.closerange(3 + len(high), 200)
os.environ["LISTEN_PID"], os.environ["LISTEN_FDS"] = str(os.getpid()), str(len(fds))
os.execv(sys.argv[2], sys.argv[2:])
"""


@scenario
def sockets_that_were_handed_over_are_used_where_they_fit(lab):
    lab.certs()
    service = lab.add(Service(echo))
    tcp, quic, stray = free_port(), free_port(), free_port()
    server = lab.run("server", server_config(f"{LOOPBACK}:{tcp}", f"{LOOPBACK}:{quic}"), wrapper=[
        "python3", "-c", HAND_OVER, f"tcp:{tcp},udp:{quic},tcp:{stray}"])
    server.await_line("handed over.*sockets=1")
    tunnel_client(lab, f"{LOOPBACK}:{quic}", service.address)
    server.await_line("tunnel client registered")
    server.descriptors = server.count_descriptors()
    echo_once(f"{LOOPBACK}:{tcp}")


# ---- packaging ----

PACKAGING = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../tools/packaging")


@scenario
def the_unit_is_rated_as_well_protected(lab):
    if not shutil.which("systemd-analyze"):
        raise Skip("there is no systemd-analyze")
    text = lab.system("systemd-analyze", "security", "--offline=true", "--no-pager",
                      os.path.join(PACKAGING, "qmux-uring.service"))
    rating = re.search(r"exposure level .*: ([0-9.]+)", text)
    assert rating and float(rating[1]) <= 2.0, text[-300:]


@scenario
def the_man_page_has_every_command_and_option(lab):
    run = subprocess.run([os.path.join(PACKAGING, "man.py"), lab.binary], stdout=subprocess.PIPE,
                         text=True, env=lab.environment, check=True)
    page = run.stdout.replace("\\-", "-")
    for name in re.findall(r"^\| `(\w+)` ", lab.call("config", "--reference")[1], re.M):
        assert f"\n.B {name}\n" in page, name
    for command in ("check", "certs", "status", "top", "reload", "drain", "stop"):
        assert f".SS qmux-uring {command}" in page, command
    if shutil.which("groff"):
        read = subprocess.run(["groff", "-man", "-ww", "-Tutf8"], input=run.stdout, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=True)
        assert not read.stderr, read.stderr
