"""What others get wrong: headers cut and changed anywhere, a disk that is full, a scraper that never
reads, a port that we may not have.  Each is survived, counted and named."""
import ctypes
import os
import socket
import subprocess

from admin import admin_lines, ask, fetch
from ends import (LOOPBACK, DatagramService, DatagramUser, Service, check_echo, connect, echo,
                  echo_once, free_port, is_served, pour)
from lab import Skip, scenario, until
from listeners import SIGNATURE, everything, say, v2
from stages import direct, direct_config

V1 = b"PROXY TCP4 192.0.2.1 198.51.100.2 40000 443\r\n"
V2 = v2("192.0.2.1", "198.51.100.2", 40000, 443)
HELLO = b"hello"
DROP_FROM_BOUNDING_SET, BIND_LOW_PORTS = 24, 10  # prctl(2), capabilities(7)


# ---- PROXY headers ----

def accepting(lab):
    service = lab.add(Service(everything))
    stage = direct(lab, service.address, backend="send_proxy = v2\n" + admin_lines(),
                   listener=f"accept_proxy = any\naccept_proxy_from = {LOOPBACK}\n")
    return service, stage


@scenario
def a_proxy_header_cut_at_any_offset_is_refused_and_counted(lab):
    service, stage = accepting(lab)
    cuts = [header[:cut] for header in (V1, V2) for cut in range(1, len(header))]
    for part in cuts:
        assert say(stage.address, part) is None, part
    assert ask(lab)["counters"]["proxy_refused"] == len(cuts)
    assert not service.accepted, "a refused user reached the service"
    assert say(stage.address, V1 + HELLO) == b"done" and service.result() == V2 + HELLO


@scenario
def a_proxy_header_changed_at_any_offset_is_refused_or_read_whole(lab):
    """Whatever becomes of it, a header never reaches the service as if a user had said it."""
    service, stage = accepting(lab)
    served = refused = 0
    for header in (V1, V2):
        for offset in range(len(header)):
            if header is V2 and offset in (14, 15):
                continue  # another length: it may end elsewhere
            for change in (0x01, 0x80):
                wrong = bytearray(header)
                wrong[offset] ^= change
                if say(stage.address, bytes(wrong) + HELLO) is None:
                    refused += 1
                    continue
                served += 1
                heard = service.result()
                assert heard.startswith(SIGNATURE) and heard.endswith(HELLO), (wrong, heard)
                # A header of a kind that names nobody says who connected: an IPv4 address, too.
                assert len(heard) == len(V2) + len(HELLO), (wrong, heard)
    assert ask(lab)["counters"]["proxy_refused"] == refused
    assert served > 20 and refused > 60, (served, refused)


# ---- the machine ----

ON_A_SMALL_DISK = ["unshare", "-rm", "sh", "-c",
                   "mkdir -p disk && mount -t tmpfs -o size=64k none disk && "
                   "head -c 49152 /dev/zero >disk/filler && exec \"$@\"", "-"]


@scenario
def a_full_disk_under_the_logs_costs_lines_and_nothing_else(lab):
    lab.system("unshare", "-rm", "true")
    service = lab.add(Service(echo))
    address = f"{LOOPBACK}:{free_port()}"
    config = direct_config(address, [service.address]).replace(
        "level = debug\n", "level = debug\nfile = disk/log\naccess = disk/access\n") + admin_lines()
    program = lab.start("direct", config, wrapper=ON_A_SMALL_DISK)
    until(lambda: os.path.exists(lab.path("admin.sock")), "it is there")
    root = f"/proc/{program.pid}/root{lab.folder}"
    until(lambda: "ready" in read(f"{root}/disk/log"), "it is ready")
    for turn in range(200):
        echo_once(address, key=turn)
    with open(f"{root}/disk/more", "wb") as file:
        try:
            file.write(bytes(1 << 20))
        except OSError:
            pass
    for turn in range(50):
        echo_once(address, key=turn)
    until(lambda: ask(lab)["counters"]["log_dropped"], "lost lines are counted")
    os.truncate(f"{root}/disk/filler", 0)
    before = os.path.getsize(f"{root}/disk/access")
    echo_once(address)
    until(lambda: os.path.getsize(f"{root}/disk/access") > before, "lines are written again")
    whole = read(f"{root}/disk/access").splitlines()
    assert all(line.startswith("20") for line in whole if line), "a line was cut and went on in another"


def read(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except FileNotFoundError:
        return ""


@scenario
def a_port_that_needs_a_right_is_named(lab):
    with open("/proc/sys/net/ipv4/ip_unprivileged_port_start", encoding="ascii") as file:
        if int(file.read()) <= 81:
            raise Skip("here all ports are free for all")
    address = f"{LOOPBACK}:81"
    lab.write("file.ini", direct_config(address, ["127.0.0.1:1"]))

    def without_the_right():
        if not os.geteuid():
            ctypes.CDLL(None).prctl(DROP_FROM_BOUNDING_SET, BIND_LOW_PORTS, 0, 0, 0)
    code, text = lab.call("file.ini", preexec_fn=without_the_right)
    assert code == 1 and address in text and "ermission" in text, (code, text)


@scenario
def without_descriptors_udp_users_wait_and_others_do_not_notice(lab):
    service = lab.add(DatagramService())
    stage = direct(lab, service.address, process="nofile = 100\n", backend=admin_lines(),
                   listener="protocol = udp\nudp_timeout = 2s\n")
    first = lab.add(DatagramUser(stage.address))
    assert first.ask(b"hello") == b"hello"
    crowd = [lab.add(DatagramUser(stage.address)) for _ in range(150)]
    for user in crowd:
        user.socket.send(b"x")
    assert first.ask(b"still") == b"still"
    until(lambda: ask(lab)["counters"]["opens_failed"] > 0, "those without a descriptor are counted")
    begun = stage.server.cpu_seconds()
    stage.server.await_line("(?i)descriptor")
    assert first.ask(b"here") == b"here"
    until(lambda: answers(crowd[-1]), "there is room again")
    assert lab.sanitized(stage.server) or stage.server.cpu_seconds() - begun < 0.5, "it spins"


def answers(user):
    try:
        return user.ask(b"x", 0.3) == b"x"
    except TimeoutError:
        return False


@scenario
def a_scraper_that_never_reads_holds_up_nobody(lab):
    http = free_port()
    service = lab.add(Service(echo))
    stage = direct(lab, service.address, backend=admin_lines(http))
    with connect(stage.address) as user, socket.create_connection((LOOPBACK, http)) as deaf:
        pour(deaf, b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        before = stage.server.memory()
        for _ in range(20):
            assert fetch(http)[0] == 200
            check_echo(user)
        assert stage.server.memory() - before < 8 << 20 or lab.sanitized(stage.server)
        until(lambda: ask(lab)["counters"]["limit_admin_time"] >= 1, "the deaf one is given up")


@scenario
def a_program_started_without_standard_streams_writes_into_nobodys_socket(lab):
    """The first descriptors of such a process are those of its own sockets and rings."""
    service = lab.add(Service(echo))
    address = f"{LOOPBACK}:{free_port()}"
    lab.write("direct.ini", direct_config(address, [service.address]) + admin_lines())
    process = subprocess.Popen(
        ["sh", "-c", 'exec "$0" direct.ini <&- >&- 2>&-', lab.binary], cwd=lab.folder,
        env=lab.environment)
    lab.cleanups.append(process.kill)
    until(lambda: is_served(address), "it is there")
    for turn in range(50):
        echo_once(address, key=turn)
    assert ask(lab, "stop")["ok"] and process.wait(10) == 0
