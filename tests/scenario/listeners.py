"""Where users arrive and who may: runs of ports, paths, IPv6, allow and deny, rates, PROXY headers,
the access log."""
import json
import os
import shutil
import signal
import socket
import stat
import struct
import subprocess
import time

from ends import (LOOPBACK, DatagramService, DatagramUser, Service, connect, echo, echo_once,
                  free_port, host_port, is_over, is_served, keyed, receive_all)
from lab import Skip, scenario, until
import stages
from stages import PROCESS, direct, tunnel

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


def config(listener, backend, process=PROCESS, log="level = debug\n"):
    return (f"[server]\nworkers = {stages.workers}\n{process}[log]\n{log}[listener web]\nbackend = web\n{listener}"
            f"[backend web]\n{backend}")


def everything(sock):
    """A handler: all that the user said."""
    data = receive_all(sock)
    sock.sendall(b"done")
    return data


def say(address, *parts, source=None):
    """Says the parts one by one, each in a segment of its own; the answer, or None for a reset."""
    try:
        with connect(address, source=source) as user:
            for part in parts:
                user.sendall(part)
            user.shutdown(socket.SHUT_WR)
            return receive_all(user)
    except OSError:
        return None  # the reset may come before connect has returned, or before the last word


def v2(source, destination, port_source, port_destination, kind=0x11):
    return (SIGNATURE + bytes([0x21, kind]) + struct.pack("!H", 12) + socket.inet_aton(source) +
            socket.inet_aton(destination) + struct.pack("!HH", port_source, port_destination))


def access_lines(lab, count, name="access.log"):
    def lines():
        try:
            with open(lab.path(name), encoding="ascii") as file:
                return file.read().splitlines()
        except FileNotFoundError:
            return []
    until(lambda: len(lines()) >= count, f"{count} lines in {name}")
    return [json.loads(line) for line in lines()]


ACCESS = "level = debug\naccess = access.log\naccess_format = json\n"


# ---- where ----

@scenario
def a_run_of_ports_keeps_the_port_towards_a_server_without_one(lab):
    service = lab.add(Service(echo))
    datagrams = lab.add(DatagramService())
    first, last = service.port - 5, service.port + 5
    lab.run("tcp", config(f"bind = 127.0.0.2:{first}-{last}\n", f"server = {LOOPBACK}\n"))
    echo_once(f"127.0.0.2:{service.port}")
    port = host_port(datagrams.address)[1]
    lab.run("udp", config(f"bind = 127.0.0.2:{port}-{port + 3}\nprotocol = udp\nudp_timeout = 1s\n",
                          f"server = {LOOPBACK}\n"))
    assert lab.add(DatagramUser(f"127.0.0.2:{port}")).ask(b"hello") == b"hello"


@scenario
def ten_thousand_ports_are_bound_at_once_and_cost_little(lab):
    begun = time.monotonic()
    program = lab.run("many", config("bind = 127.0.0.3:20000-29999\n", f"server = {LOOPBACK}\n"))
    spent = time.monotonic() - begun
    with open(f"/proc/{program.pid}/maps", encoding="utf-8") as file:
        sanitized = "asan" in file.read()
    if not sanitized:
        assert spent < 1, f"it took {spent} s"
        assert program.memory() < 30 << 20, f"it has {program.memory()} bytes"
    assert not is_served("127.0.0.3:29999")
    program.await_line("connection ended.*(?i:refused)")


@scenario
def more_ports_than_descriptors_are_refused_with_the_number(lab):
    lab.write("file.ini", config("bind = 127.0.0.3:20000-20999\n", f"server = {LOOPBACK}\n",
                                 process="nofile = 500\n"))
    code, text = lab.call("check", "file.ini")
    assert code == 2 and "1064" in text, (code, text)


@scenario
def one_listener_takes_tcp_and_udp_at_several_addresses(lab):
    service, datagrams = lab.add(Service(echo)), None
    while not datagrams:  # a server's port is one for both
        try:
            datagrams = lab.add(DatagramService(port=service.port))
        except OSError:
            service = lab.add(Service(echo))
    first, second = free_port(), free_port()
    lab.run("both", config(f"bind = 127.0.0.2:{first}\nbind = 127.0.0.3:{second}\n"
                           "protocol = both\nudp_timeout = 1s\n", f"server = {service.address}\n"))
    for address in (f"127.0.0.2:{first}", f"127.0.0.3:{second}"):
        echo_once(address)
        assert lab.add(DatagramUser(address)).ask(b"hello") == b"hello"


def path_user(path):
    user = socket.socket(socket.AF_UNIX)
    user.settimeout(15)
    user.connect(path)
    return user


@scenario
def users_and_servers_may_be_at_a_path(lab):
    service = lab.add(Service(echo))
    outer, inner = lab.path("outer.sock"), lab.path("inner.sock")
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(inner)  # its file stays behind
    lab.run("inner", config(f"bind = unix:{inner}\n", f"server = {service.address}\n"))
    program = lab.run("outer", config(f"bind = unix:{outer} mode=0600\n", f"server = unix:{inner}\n"))
    assert stat.S_IMODE(os.stat(outer).st_mode) == 0o600
    with path_user(outer) as user:
        user.sendall(keyed(1, 5000))
        user.shutdown(socket.SHUT_WR)
        assert receive_all(user) == keyed(1, 5000)
    program.stop()
    assert not os.path.exists(outer), "the file is removed at the end"


@scenario
def users_at_a_path_are_nobody_in_a_proxy_header(lab):
    service, path = lab.add(Service(everything)), lab.path("outer.sock")
    for version, header in (("v1", b"PROXY UNKNOWN\r\n"), ("v2", SIGNATURE + b"\x20\0\0\0")):
        lab.run("outer", config(f"bind = unix:{path}\n",
                                f"server = {service.address}\nsend_proxy = {version}\n"))
        with path_user(path) as user:
            user.sendall(b"hello")
            user.shutdown(socket.SHUT_WR)
            assert receive_all(user) == b"done"
        assert service.result() == header + b"hello"
        lab.programs.pop().stop()


@scenario
def a_path_that_somebody_uses_is_not_taken_away(lab):
    path, other = lab.path("s.sock"), lab.write("file", "not a socket")
    with socket.socket(socket.AF_UNIX) as owner:
        owner.bind(path)
        owner.listen()
        for taken in (path, other):
            lab.write("file.ini", config(f"bind = unix:{taken}\n", f"server = {LOOPBACK}:1\n"))
            code, text = lab.call("file.ini")
            assert code == 1 and taken in text, (code, text)
            assert os.path.exists(taken)


@scenario
def both_wildcards_share_a_port(lab):
    service = lab.add(Service(echo))
    port = free_port()
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError as error:
        raise Skip(f"no IPv6: {error}") from error
    lab.run("both", config(f"bind = [::]:{port}\nbind = 0.0.0.0:{port}\n",
                           f"server = {service.address}\n"))
    echo_once(f"{LOOPBACK}:{port}")
    echo_once(f"::1:{port}")


# ---- who ----

@scenario
def deny_wins_over_allow_and_the_refused_have_a_line(lab):
    service = lab.add(Service(everything))
    stage = direct(lab, service.address, listener="allow = 127.0.0.0/24\ndeny = 127.0.0.7\n")
    assert say(stage.address, b"x") == b"done"
    assert say(stage.address, b"x", source="127.0.0.7") is None
    assert say(stage.address, b"x", source="127.0.1.1") is None
    stage.server.await_line("connection ended.*source=127.0.1.1.*not allowed")
    assert service.accepted == 1


@scenario
def a_source_that_comes_too_often_is_refused_and_others_are_not(lab):
    service = lab.add(Service(everything))
    stage = direct(lab, service.address, listener="rate_limit = 1/h burst=3\n")
    answers = [say(stage.address, b"x", source="127.0.0.8") for _ in range(5)]
    assert answers == [b"done"] * 3 + [None] * 2, answers
    assert say(stage.address, b"x", source="127.0.0.9") == b"done"


@scenario
def udp_sources_are_refused_alike(lab):
    service = lab.add(DatagramService())
    stage = direct(lab, service.address, listener="protocol = udp\nudp_timeout = 1s\n"
                   "udp_sessions_per_source = 2\ndeny = 127.0.0.7\n")
    users = [lab.add(DatagramUser(stage.address)) for _ in range(3)]
    assert [user.ask(b"x") for user in users[:2]] == [b"x", b"x"]
    users[2].socket.send(b"x")
    assert users[0].ask(b"y") == b"y"
    assert len(service.sources) == 2
    until(lambda: _served(users[2]), "there is room again")


def _served(user):
    try:
        return user.ask(b"again", 0.3) == b"again"
    except TimeoutError:
        return False


# ---- PROXY ----

def proxied(lab, listener="", backend="send_proxy = v2\n", **options):
    service = lab.add(Service(everything))
    stage = direct(lab, service.address, listener="accept_proxy = any\naccept_proxy_from = 127.0.0.1\n"
                   + listener, backend=backend, **options)
    return service, stage


@scenario
def a_proxy_header_in_any_pieces_says_who_the_user_is(lab):
    service, stage = proxied(lab)
    expected = v2("192.0.2.1", "198.51.100.2", 40000, 443) + b"hello"
    for header in (b"PROXY TCP4 192.0.2.1 198.51.100.2 40000 443\r\n", expected[:28]):
        assert say(stage.address, header + b"hello") == b"done"
        assert service.result() == expected
        assert say(stage.address, *(bytes([byte]) for byte in header + b"hello")) == b"done"
        assert service.result() == expected


@scenario
def a_local_header_keeps_the_real_address(lab):
    service, stage = proxied(lab, backend="send_proxy = v1\n")
    port = host_port(stage.address)[1]
    local = SIGNATURE + b"\x20\0\0\0"
    assert say(stage.address, local + b"x", source=LOOPBACK) == b"done"
    line, rest = service.result().split(b"\r\n")
    assert line.startswith(b"PROXY TCP4 127.0.0.1 127.0.0.1 ") and rest == b"x", line
    assert line.endswith(f" {port}".encode()), line


@scenario
def a_missing_wrong_or_spoofed_header_is_refused(lab):
    service, stage = proxied(lab, listener="selection_timeout = 500ms\n")
    header = b"PROXY TCP4 192.0.2.1 198.51.100.2 40000 443\r\n"
    assert say(stage.address, b"GET / HTTP/1.1\r\n\r\n") is None
    assert say(stage.address, b"PROXY TCP4 192.0.2.1\r\n") is None
    assert say(stage.address, header[:20]) is None  # and no more
    assert say(stage.address, header, source="127.0.0.2") is None
    assert say(stage.address, SIGNATURE[:5], SIGNATURE[5:], source="127.0.0.2") is None
    assert say(stage.address, b"PROX", b"imity", source="127.0.0.2") == b"done"
    with connect(stage.address) as user:
        begun = time.monotonic()
        assert is_over(user)
        assert 0.3 < time.monotonic() - begun < 5
    stage.server.await_line("connection ended.*did not come in time")
    stage.server.await_line("connection ended.*may not send one")
    results = [service.result() for _ in range(service.results.qsize())]
    assert not any(b"192.0.2.1" in result for result in results if isinstance(result, bytes))


@scenario
def who_a_header_names_is_let_in_or_not(lab):
    _, stage = proxied(lab, listener="deny = 192.0.2.0/24\n")
    assert say(stage.address, b"PROXY TCP4 192.0.2.1 127.0.0.1 1 2\r\nx") is None
    assert say(stage.address, b"PROXY TCP4 192.0.3.1 127.0.0.1 1 2\r\nx") == b"done"


@scenario
def rate_limit_counts_those_whom_headers_name(lab):
    _, stage = proxied(lab, listener="rate_limit = 1/h burst=2\n")
    for user in ("192.0.2.1", "192.0.2.2"):
        header = f"PROXY TCP4 {user} 127.0.0.1 1 2\r\nx".encode()
        assert [say(stage.address, header) for _ in range(3)] == [b"done", b"done", None]


def server_of(stage, user, port):
    """Which one answers that user, as a header names it."""
    return say(stage.address, f"PROXY TCP4 {user} 127.0.0.1 {port} 2\r\n".encode())


def check_hashed(stage, answers):
    """Each user has a server of its own choice, whatever its port, and together they have all."""
    by_user = {}
    for user in (f"192.0.2.{number}" for number in range(1, 25)):
        by_user[user] = {server_of(stage, user, port) for port in (1, 2, 40000)}
        assert len(by_user[user]) == 1, (user, by_user[user])
    assert set().union(*by_user.values()) == set(answers), by_user


@scenario
def source_hash_goes_by_the_address_that_a_header_names(lab):
    answers = [b"a", b"b", b"c"]
    services = [lab.add(Service(lambda sock, answer=answer: sock.sendall(answer))) for answer in answers]
    stage = direct(lab, *[service.address for service in services], backend="balance = source_hash\n",
                   listener="accept_proxy = any\naccept_proxy_from = 127.0.0.1\n")
    check_hashed(stage, answers)


def other_reader(lab):
    """A program that reads PROXY headers with a library that is not ours."""
    if not shutil.which("go"):
        raise Skip("not measured: there is no go")
    source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "proxyproto")
    program = lab.path("proxyproto")
    built = subprocess.run(["go", "build", "-o", program, "."], cwd=source, check=False, timeout=90,
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if built.returncode:
        raise Skip(f"not measured: {built.stdout.strip()}")
    return program


def read_by(program, data):
    return subprocess.run([program], input=data, stdout=subprocess.PIPE, check=False,
                          timeout=15).stdout.decode()


@scenario
def an_independent_reader_understands_our_headers(lab):
    program = other_reader(lab)
    for version in (1, 2):
        service, stage = proxied(lab, backend=f"send_proxy = v{version}\n")
        for name, ends in ((b"TCP4 192.0.2.1 198.51.100.2 40000 443",
                            "192.0.2.1:40000 198.51.100.2:443"),
                           (b"TCP6 2001:db8::1 2001:db8::2 1 65535",
                            "[2001:db8::1]:1 [2001:db8::2]:65535")):
            assert say(stage.address, b"PROXY " + name + b"\r\nhello") == b"done"
            read = read_by(program, service.result())
            assert read == f"{version} false {ends} hello\n", read
        lab.close_ends()
        lab.programs.pop().stop()


@scenario
def an_independent_reader_understands_our_headers_of_datagrams(lab):
    program = other_reader(lab)
    _, user, heard, _ = udp_proxied(lab, "every")
    port = user.socket.getsockname()[1]
    assert user.ask(b"hello") == b"hello"
    asked = user.socket.getpeername()[1]
    read = read_by(program, heard[0])
    assert read == f"2 true {LOOPBACK}:{port} {LOOPBACK}:{asked} hello\n", read


@scenario
def an_independent_reader_understands_the_headers_of_a_tunnel_client(lab):
    program = other_reader(lab)
    for version in (1, 2):
        service = lab.add(Service(everything))
        stage = tunnel(lab, service.address, service=f"send_proxy = v{version}\n")
        with connect(stage.address) as user:
            user.sendall(b"hello")
            user.shutdown(socket.SHUT_WR)
            assert receive_all(user) == b"done"
            source = user.getsockname()[1]
        read = read_by(program, service.result())
        assert read == f"{version} false {LOOPBACK}:{source} {stage.address} hello\n", read
        lab.close_ends()
        while lab.programs:
            lab.programs.pop().stop()
        for name in os.listdir(lab.folder):
            if name.endswith((".crt", ".key")):
                os.unlink(lab.path(name))


# ---- UDP ----

def udp_proxied(lab, where):
    heard = []

    def hear(data):
        heard.append(data)
        return data[-5:]
    service = lab.add(DatagramService(hear))
    stage = direct(lab, service.address, listener="protocol = udp\nudp_timeout = 1s\n",
                   backend=f"send_proxy = v2\nsend_proxy_udp = {where}\n")
    user = lab.add(DatagramUser(stage.address))
    port, asked = user.socket.getsockname()[1], host_port(stage.address)[1]
    return stage, user, heard, v2(LOOPBACK, LOOPBACK, port, asked, 0x12)


@scenario
def udp_headers_go_where_they_should(lab):
    for where, wanted in (("every", "H1 H2"), ("first", "H1 2"), ("own", "H 1 2")):
        _, user, heard, header = udp_proxied(lab, where)
        user.socket.send(b"first")
        user.socket.send(b"other")
        until(lambda heard=heard, wanted=wanted: len(heard) == len(wanted.split()), "all are there")
        signs = {"H": header, "1": b"first", "2": b"other"}
        expected = [b"".join(signs[sign] for sign in word) for word in wanted.split()]
        assert heard == expected, (where, heard)
        lab.close_ends()
        lab.programs.pop().stop()


@scenario
def a_datagram_without_room_for_its_header_is_dropped_and_counted(lab):
    stage, user, heard, header = udp_proxied(lab, "every")
    user.socket.send(bytes(65507 - len(header) + 1))
    assert user.ask(b"after") == b"after"
    assert user.ask(bytes(65507 - len(header))) == bytes(5)
    assert [len(data) for data in heard] == [len(header) + 5, 65507]
    stage.server.stop()
    assert stage.server.count(r"name=proxy_too_large value=1\b")


@scenario
def udp_answers_leave_from_the_address_that_was_asked(lab):
    service = lab.add(DatagramService())
    port = free_port()
    lab.run("any", config(f"bind = 0.0.0.0:{port}\nprotocol = udp\nudp_timeout = 1s\n",
                          f"server = {service.address}\n"))
    for host in ("127.0.0.1", "127.0.0.5", "127.1.2.3"):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as user:
            user.settimeout(15)
            user.sendto(b"x", (host, port))
            assert user.recvfrom(10) == (b"x", (host, port))


@scenario
def udp_carries_every_size_and_keeps_listeners_apart(lab):
    one, two = (lab.add(DatagramService(lambda data, mark=mark: mark + data[1:]))
                for mark in (b"1", b"2"))
    first, second = free_port(), free_port()
    udp = "protocol = udp\nudp_timeout = 1s\n"
    lab.run("two", config(f"bind = {LOOPBACK}:{first}\n{udp}", f"server = {one.address}\n") +
            f"[listener more]\nbind = {LOOPBACK}:{second}\n{udp}backend = more\n"
            f"[backend more]\nserver = {two.address}\n")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as user:
        user.settimeout(15)
        for port, mark in ((first, b"1"), (second, b"2"), (first, b"1")):
            user.sendto(b"x", (LOOPBACK, port))
            assert user.recvfrom(10) == (mark, (LOOPBACK, port))
    user = lab.add(DatagramUser(f"{LOOPBACK}:{first}"))
    for size in (0, 1, 1200, 1500, 9000, 65506, 65507):
        data = keyed(size, size)
        assert user.ask(data) == b"1" + data[1:], size


# ---- the access log ----

@scenario
def each_connection_session_and_refused_user_is_a_line(lab):
    service, datagrams = lab.add(Service(echo)), lab.add(DatagramService())
    tcp, udp = free_port(), free_port()
    program = lab.run("access", config(
        f"bind = {LOOPBACK}:{tcp}\ndeny = 127.0.0.7\n", f"server = {service.address} name=a\n",
        log=ACCESS) + f"[listener dns]\nbind = {LOOPBACK}:{udp}\nprotocol = udp\n"
        f"udp_timeout = 1s\nbackend = dns\n[backend dns]\nserver = {datagrams.address} name=b\n")
    echo_once(f"{LOOPBACK}:{tcp}", size=1000)
    assert say(f"{LOOPBACK}:{tcp}", b"x", source="127.0.0.7") is None
    assert lab.add(DatagramUser(f"{LOOPBACK}:{udp}")).ask(b"four") == b"four"
    lines = {(line["listener"], line["reason"]): line for line in access_lines(lab, 3)}
    line = lines["web", "done"]
    assert set(line) == {"time", "listener", "protocol", "connection", "source", "destination",
                         "backend", "member", "bytes_in", "bytes_out", "duration_ms", "connect_ms",
                         "reason"}
    assert (line["bytes_in"], line["bytes_out"], line["member"]) == (1000, 1000, "a")
    assert line["destination"] == f"{LOOPBACK}:{tcp}" and line["protocol"] == "tcp"
    assert lines["web", "source_denied"]["member"] is None
    assert lines["dns", "idle_timeout"]["bytes_in"] == 4
    os.rename(lab.path("access.log"), lab.path("old.log"))
    program.signal(signal.SIGUSR1)
    program.await_line("log reopened")
    until(lambda: os.path.exists(lab.path("access.log")), "the file is there again")
    echo_once(f"{LOOPBACK}:{tcp}")
    assert len(access_lines(lab, 1)) == 1 and len(access_lines(lab, 3, "old.log")) == 3
