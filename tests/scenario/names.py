"""Servers that have names: addresses and SRV records, from a name server of the test's own."""
import collections
import os
import socket
import struct
import threading

from ends import (LOOPBACK, DatagramService, DatagramUser, Service, check_echo, connect, echo,
                  echo_once, free_port, host_port, receive_all, said_by, saying)
from lab import Skip, scenario, until
from stages import direct_config

A, SRV, NXDOMAIN = 1, 33, 3


def labels(name):
    return b"".join(bytes([len(part)]) + part.encode() for part in name.split(".")) + b"\0"


class NameServer:
    """What `zone` says, by (name, type): lists of records' data; TTL 0, so that it is asked often."""

    def __init__(self):
        self.zone, self.asked, self.silent = {}, collections.Counter(), False
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((LOOPBACK, 0))
        self.port = self.socket.getsockname()[1]
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def address(self, name, *addresses):
        self.zone[name, A] = [socket.inet_aton(address) for address in addresses]

    def services(self, name, *records):
        """records: (priority, weight, port, host)"""
        self.zone[name, SRV] = [struct.pack("!HHH", *numbers) + labels(host)
                                for *numbers, host in records]

    def forget(self, name, kind):
        self.zone.pop((name, kind))

    def _answer(self, question):
        parts, at = [], 12
        while question[at]:
            parts.append(question[at + 1:at + 1 + question[at]].decode().lower())
            at += 1 + question[at]
        name, kind = ".".join(parts), struct.unpack_from("!H", question, at + 1)[0]
        self.asked[name, kind] += 1
        records = self.zone.get((name, kind), [])
        known = any(known == name for known, _ in self.zone)
        head = question[:2] + struct.pack("!HHHHH", 0x8180 | (0 if known else NXDOMAIN), 1, len(records), 0, 0)
        rows = [struct.pack("!HHHIH", 0xc00c, kind, 1, 0, len(data)) + data for data in records]
        return head + question[12:at + 5] + b"".join(rows)

    def _serve(self):
        while True:
            question, source = self.socket.recvfrom(4096)
            if not question:
                return
            answer = self._answer(question)
            if not self.silent:
                self.socket.sendto(answer, source)

    def close(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as waker:
            waker.sendto(b"", (LOOPBACK, self.port))
        self.thread.join()
        self.socket.close()


def named(lab, names, config):
    """A program that asks that name server: resolv.conf is another file for it alone."""
    if os.geteuid():
        raise Skip("another resolv.conf needs root")
    path = lab.write("resolv.conf", f"nameserver {LOOPBACK}:{names.port}\n")
    script = f'mount --bind {path} /etc/resolv.conf && exec "$0" "$@"'
    return lab.start("named", config, wrapper=["unshare", "--mount", "sh", "-c", script]).ready()


def name_server(lab):
    return lab.add(NameServer())


OFTEN = "resolve_interval = 1s\n"


def found(program, count):
    program.await_line("server found", times=count)


@scenario
def records_name_the_servers_and_their_priority_says_when_they_are_used(lab):
    first, spare = [lab.add(Service(saying(word))) for word in (b"first", b"spare")]
    names = name_server(lab)
    names.address("a.test", LOOPBACK)
    names.address("b.test", LOOPBACK)
    names.services("_web._tcp.pool.test", (10, 0, first.port, "a.test"), (20, 0, spare.port, "b.test"))
    address = f"{LOOPBACK}:{free_port()}"
    program = named(lab, names, direct_config(address, ["srv:_web._tcp.pool.test"]))
    found(program, 2)
    assert [said_by(address) for _ in range(6)] == [b"first"] * 6
    first.close()
    assert [said_by(address) for _ in range(6)] == [b"spare"] * 6


@scenario
def a_records_weight_is_the_servers(lab):
    services = [lab.add(Service(echo)) for _ in range(2)]
    names = name_server(lab)
    names.address("a.test", LOOPBACK)
    names.services("_web._tcp.pool.test", (0, 3, services[0].port, "a.test"), (0, 1, services[1].port, "a.test"))
    address = f"{LOOPBACK}:{free_port()}"
    program = named(lab, names, direct_config(address, ["srv:_web._tcp.pool.test"]))
    found(program, 2)
    for key in range(16):
        echo_once(address, key=key)
    assert [service.accepted for service in services] == [12, 4]


@scenario
def servers_come_and_go_with_the_records_and_those_that_stay_keep_their_users(lab):
    one, two, three = [lab.add(Service(echo)) for _ in range(3)]
    names = name_server(lab)
    names.address("a.test", LOOPBACK)

    def serve(*services, priority=0):
        names.services("_web._tcp.pool.test",
                       *[(priority, 1, service.port, "a.test") for service in services])
    serve(one, two)
    address = f"{LOOPBACK}:{free_port()}"
    program = named(lab, names, direct_config(address, ["srv:_web._tcp.pool.test"], backend=OFTEN))
    found(program, 2)
    users = [connect(address) for _ in range(4)]
    for user in users:
        check_echo(user)
    serve(two, three, priority=5)
    program.await_line(f"server gone.*{one.port}")
    found(program, 3)
    assert program.count("server found") == 3, "the one that stayed is not a new one"
    before = one.accepted
    for key in range(8):
        echo_once(address, key=key)
    assert one.accepted == before and three.accepted
    for user in users:  # those of the one that left, too
        check_echo(user, b"y")
        user.close()


@scenario
def a_name_that_vanishes_keeps_its_servers_and_is_counted(lab):
    service = lab.add(Service(echo))
    names = name_server(lab)
    for host in ("a.test", "b.test"):
        names.address(host, LOOPBACK)
    names.services("_web._tcp.pool.test", (0, 0, service.port, "a.test"))
    address = f"{LOOPBACK}:{free_port()}"
    program = named(lab, names, direct_config(address, ["srv:_web._tcp.pool.test", f"b.test:{service.port}"],
                                              backend=OFTEN))
    found(program, 1)
    names.forget("_web._tcp.pool.test", SRV)
    names.forget("b.test", A)
    program.await_line("servers not found.*_web._tcp.pool.test")
    program.await_line("server name not resolved.*b.test")
    for key in range(8):
        echo_once(address, key=key)
    lab.close_ends()
    program.stop()
    assert "server gone" not in program.text() and "name=names_failed" in program.text()


@scenario
def a_name_is_asked_for_again_when_its_answer_is_old(lab):
    old = lab.add(Service(saying(b"old")))
    names = name_server(lab)
    names.address("a.test", LOOPBACK)
    address = f"{LOOPBACK}:{free_port()}"
    named(lab, names, direct_config(address, [f"a.test:{old.port}"], backend=OFTEN))
    assert said_by(address) == b"old"
    new = socket.create_server(("127.0.0.5", old.port))
    lab.add(new)
    names.address("a.test", "127.0.0.5")

    def moved():
        with connect(address) as user:
            new.settimeout(0.2)
            try:
                new.accept()[0].close()
                return True
            except TimeoutError:
                return receive_all(user) != b"old"
    until(moved, "users go to the new address")


@scenario
def datagrams_go_to_servers_that_records_name(lab):
    service = lab.add(DatagramService())
    names = name_server(lab)
    names.address("a.test", LOOPBACK)
    names.services("_web._udp.pool.test", (0, 0, host_port(service.address)[1], "a.test"))
    address = f"{LOOPBACK}:{free_port()}"
    program = named(lab, names, direct_config(address, ["srv:_web._udp.pool.test"],
                                              listener="protocol = udp\nudp_timeout = 1s\n"))
    found(program, 1)
    assert lab.add(DatagramUser(address)).ask(b"hello") == b"hello"


@scenario
def a_silent_name_server_holds_up_neither_the_start_nor_the_end(lab):
    names = name_server(lab)
    names.silent = True
    program = named(lab, names, direct_config(f"{LOOPBACK}:{free_port()}",
                                              ["srv:_web._tcp.pool.test", "a.test:80"]))
    until(lambda: names.asked["_web._tcp.pool.test", SRV] and names.asked["a.test", A], "it asks")
    assert program.stop(patience=2) == 0
