"""What only a tunnel has: datagrams inside it, names of services, the path below it."""
import os
import signal
import socket
import subprocess

import stages
from ends import (LOOPBACK, DatagramService, DatagramUser, Nat, Service, check_echo, check_stream,
                  connect, echo, echo_once, free_port, host_port, is_served, keyed, receive_all,
                  receive_exactly)
from lab import REGISTERED, Skip, scenario, until
from stages import client_config, server_config, tunnel, tunnel_client, tunnel_server

UDP = "protocol = udp\nudp_timeout = 1s\n"


@scenario
def carries_datagrams_of_every_size_that_fits(lab):
    service = lab.add(DatagramService())
    user = lab.add(DatagramUser(tunnel(lab, service.address, listener=UDP).address))
    for size in (1, 2, 100, 500, 1000, 1100):
        assert user.ask(keyed(size, size)) == keyed(size, size)


@scenario
def each_udp_user_has_a_session_of_its_own(lab):
    service = lab.add(DatagramService())
    stage = tunnel(lab, service.address, listener=UDP)
    users = [lab.add(DatagramUser(stage.address)) for _ in range(50)]
    for key, user in enumerate(users):
        user.socket.send(keyed(key, 200))
    for key, user in enumerate(users):
        assert user.socket.recv(2048) == keyed(key, 200)
    assert len(service.sources) == 50, "the service sees one source per user"


@scenario
def a_udp_session_ends_when_it_is_silent(lab):
    service = lab.add(DatagramService())
    stage = tunnel(lab, service.address, listener=UDP)
    user = lab.add(DatagramUser(stage.address))
    user.ask(b"one")
    until(lambda: stage.client.count_descriptors() <= stage.client.descriptors, "the session's end")
    assert user.ask(b"two") == b"two"
    assert len(service.sources) == 2


@scenario
def a_datagram_larger_than_the_path_is_dropped_counted_and_logged_once(lab):
    service = lab.add(DatagramService())
    stage = tunnel(lab, service.address, tunnel="mtu = 1200\n", listener=UDP)
    user = lab.add(DatagramUser(stage.address))
    user.ask(b"small")
    for _ in range(5):
        user.socket.send(keyed("large", 1400))
    assert user.ask(b"after") == b"after"
    stage.server.stop()
    text = stage.server.text()
    warnings = [line for line in text.split("\n")
                if "large" in line and "counter" not in line and "datagrams dropped" not in line]
    assert len(warnings) == 1, warnings
    assert stage.server.count(r"(datagram_too_large|larger than the path takes)\D*5\b"), text


@scenario
def a_client_offers_several_services_by_name(lab):
    web, ssh = (lab.add(Service(lambda sock, name=name: sock.sendall(name))) for name in
                (b"web", b"ssh"))
    lab.certs()
    dial = f"{LOOPBACK}:{free_port()}"
    first, second, third = (f"{LOOPBACK}:{free_port()}" for _ in range(3))
    lab.run("server", server_config(first, dial, listener="service = web\n") +
            f"[listener ssh]\nbind = {second}\nbackend = pods\nservice = ssh\n"
            f"[listener ftp]\nbind = {third}\nbackend = pods\nservice = ftp\n")
    client = lab.start("client", client_config(dial, web.address).replace(
        "[service default]", "[service web]") + f"[service ssh]\ntarget = {ssh.address}\n")
    client.await_line(REGISTERED, stages.workers)
    client.ready(REGISTERED)
    for address, answer in ((first, b"web"), (second, b"ssh")):
        with connect(address) as user:
            assert receive_all(user) == answer
    assert not is_served(third)
    lab.programs[0].await_line("(?i)no such service")


@scenario
def the_short_form_local_is_the_default_service(lab):
    service = lab.add(Service(echo))
    stage, dial = tunnel_server(lab)
    config = client_config(dial, "-").split("[service default]")[0]
    client = lab.start("client", config.replace("tls = edge\n",
                                                f"tls = edge\nlocal = {service.address}\n", 1))
    client.ready(REGISTERED)
    echo_once(stage.address)


@scenario
def send_proxy_v1_tells_the_service_who_the_user_is(lab):
    def reads_line(sock):
        return b"".join(iter(lambda: sock.recv(1), b"\n")), sock.recv(4096)
    service = lab.add(Service(reads_line))
    stage = tunnel(lab, service.address, service="send_proxy = v1\n")
    with connect(stage.address) as user:
        user.sendall(b"payload")
        line, rest = service.result()
        port, asked = user.getsockname()[1], host_port(stage.address)[1]
    assert line == f"PROXY TCP4 127.0.0.1 127.0.0.1 {port} {asked}\r".encode(), line
    assert rest == b"payload"


@scenario
def send_proxy_v2_tells_the_service_who_the_user_is(lab):
    def reads_header(sock):
        return receive_exactly(sock, 28), receive_exactly(sock, 7)
    service = lab.add(Service(reads_header))
    stage = tunnel(lab, service.address, service="send_proxy = v2\n")
    with connect(stage.address) as user:
        user.sendall(b"payload")
        header, rest = service.result()
        port, asked = user.getsockname()[1], host_port(stage.address)[1]
    assert header[:16] == b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c", header
    assert header[16:24] == socket.inet_aton(LOOPBACK) * 2
    assert header[24:] == port.to_bytes(2, "big") + asked.to_bytes(2, "big")
    assert rest == b"payload"


def through_nat(lab, listener=""):
    service = lab.add(Service(echo))
    stage, dial = tunnel_server(lab, listener=listener)
    nat = lab.add(Nat(dial))
    stage.client = tunnel_client(lab, nat.address, service.address)
    return stage, nat


@scenario
def connections_survive_a_new_port_of_the_nat(lab):
    stage, nat = through_nat(lab)
    with connect(stage.address) as user:
        user.sendall(keyed("before", 100000))
        check_stream("before", receive_exactly(user, 100000))
        nat.rebind()
        user.sendall(keyed("after", 100000))
        check_stream("after", receive_exactly(user, 100000))
    assert stage.client.count(REGISTERED) == 1, "the same connection all along"
    echo_once(stage.address)
    lab.check_descriptors(stage.server)  # while the NAT is there to carry the ends


@scenario
def a_new_port_of_the_nat_in_the_midst_of_a_transfer_loses_nothing(lab):
    stage, nat = through_nat(lab)
    size = 4 << 20
    with connect(stage.address) as user:
        user.sendall(keyed("a", 1 << 20))
        check_stream("a", receive_exactly(user, 1 << 20))
        for turn in range(4):
            nat.rebind()
            user.sendall(keyed(turn, size // 4))
            check_stream(turn, receive_exactly(user, size // 4))
    assert stage.client.count(REGISTERED) == 1
    lab.check_descriptors(stage.server)  # while the NAT is there to carry the end


class Namespace:
    """A network namespace of our own, joined to ours by a pair of virtual links."""

    def __init__(self, lab):
        if os.geteuid() != 0:
            raise Skip("namespaces need root")
        self.name = f"qmux{os.getpid()}"
        self.lab, self.net = lab, f"198.18.{os.getpid() % 250}"
        lab.system("ip", "netns", "add", self.name)
        lab.cleanups.append(lambda: lab.system("ip", "netns", "del", self.name))
        outer = f"qm{os.getpid()}"
        lab.system("ip", "link", "add", outer, "type", "veth", "peer", "name", "inner", "netns",
                   self.name)
        lab.system("ip", "addr", "add", f"{self.net}.1/24", "dev", outer)
        lab.system("ip", "link", "set", outer, "up")
        self.inside("ip", "link", "set", "lo", "up")
        self.inside("ip", "addr", "add", f"{self.net}.2/24", "dev", "inner")
        self.inside("ip", "link", "set", "inner", "up")

    def inside(self, *words):
        return self.lab.system("ip", "netns", "exec", self.name, *words)


@scenario
def connections_survive_a_new_address_of_the_client(lab):
    space = Namespace(lab)
    lab.certs()
    outer = f"{space.net}.1"
    dial, address = f"{outer}:{free_port()}", f"{LOOPBACK}:{free_port()}"
    lab.run("server", server_config(address, dial))
    # The service stands beside the client, inside.
    lab.write("echo.py", "import socket\ns = socket.create_server(('127.0.0.1', 7000))\n"
              "c = s.accept()[0]\nwhile d := c.recv(65536):\n    c.sendall(d)\n")
    inner = subprocess.Popen(["ip", "netns", "exec", space.name, "python3", lab.path("echo.py")])
    lab.cleanups.append(lambda: (inner.kill(), inner.wait()))
    client = lab.start("client", client_config(dial, f"{LOOPBACK}:7000"),
                       wrapper=["ip", "netns", "exec", space.name])
    client.ready(REGISTERED)
    until(lambda: "7000" in space.inside("ss", "-Hltn"), "the service listens")
    with connect(address) as user:
        check_echo(user, b"before")
        space.inside("ip", "addr", "add", f"{space.net}.3/24", "dev", "inner")
        space.inside("ip", "addr", "del", f"{space.net}.2/24", "dev", "inner")
        space.inside("ip", "addr", "replace", f"{space.net}.3/24", "dev", "inner")
        user.sendall(keyed("after", 100000))
        check_stream("after", receive_exactly(user, 100000))
    assert client.count(REGISTERED) == 1, "the same connection all along"


@scenario
def garbage_on_the_tunnels_port_disturbs_nobody(lab):
    service = lab.add(Service(echo))
    stage, dial = tunnel_server(lab)
    tunnel_client(lab, dial, service.address)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger, connect(stage.address) as user:
        stranger.connect(host_port(dial))
        for turn in range(2000):
            junk = bytearray(keyed(turn, turn % 1500))
            if junk and turn % 2:
                junk[0] |= 0xC0  # a long header, so that more of it is read
            try:
                stranger.send(junk)
            except OSError:
                pass
        check_echo(user, b"still here")
    stage.server.stop()
    assert stage.server.count(r"packets_invalid|packets dropped: not QUIC"), "they are counted"


@scenario
def a_second_signal_ends_a_tunnel_with_open_connections_at_once(lab):
    service = lab.add(Service(echo))
    stage = tunnel(lab, service.address, process="drain_timeout = 30s\n")
    with connect(stage.address) as user:
        check_echo(user)
        for program in stage.programs:
            program.signal(signal.SIGTERM)
            program.await_line("(?i)drain")
            program.signal(signal.SIGTERM)
            assert program.await_exit(3) == 0


@scenario
def users_who_do_not_read_stop_nobody_else(lab):
    def pours(sock):
        kind = sock.recv(1)
        while kind == b"P":
            sock.sendall(bytes(1 << 16))
        return echo(sock)
    service = lab.add(Service(pours))
    stage = tunnel(lab, service.address,
                   tunnel="stream_window = 64k\nstream_window_max = 1m\nconnection_window_max = 1m\n")
    idle = [lab.add(connect(stage.address)) for _ in range(32)]
    for user in idle:
        user.sendall(b"P")
        receive_exactly(user, 1 << 20)
    with connect(stage.address) as user:
        user.sendall(b"E" + keyed("all", 1 << 20))
        user.shutdown(socket.SHUT_WR)
        check_stream("all", receive_all(user), 1 << 20)
