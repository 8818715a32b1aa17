"""One script played twice: between a user and a service alone, and through us in every way that we
carry a connection.  What either of them sees (bytes, ends, resets, in their order) is the same."""
import os
import queue
import socket
import threading
import time
import zlib

import stages
from ends import LOOPBACK, PATIENCE, free_port, keyed, receive_exactly, reset
from lab import REGISTERED, Skip, scenario, until

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
RESETS = (ConnectionResetError, BrokenPipeError)


class Actor:
    """An end of a connection that writes down what it sees."""

    def __init__(self, sock):
        self.sock, self.seen = sock, []
        sock.settimeout(PATIENCE)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, 1)
        if sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def say(self, data):
        try:
            self.sock.sendall(data)
        except RESETS:
            self.seen.append("reset")

    def urge(self, byte):
        self.sock.send(byte, socket.MSG_OOB)

    def hear(self, size):
        data = receive_exactly(self.sock, size)
        self.seen.append(data if size < 100 else (size, zlib.crc32(data)))

    def hear_all(self):
        """To the end, in order or by a reset: how much and what."""
        size, crc, end = 0, 0, "end"
        try:
            while data := self.sock.recv(1 << 18):
                size, crc = size + len(data), zlib.crc32(data, crc)
        except RESETS:
            end = "reset"
        self.seen.append((size, crc, end) if end == "end" else end)

    def finish(self):
        self.sock.shutdown(socket.SHUT_WR)

    def reset(self):
        reset(self.sock)


class Listener:
    """One connection at a time, from a TCP port or a path."""

    def __init__(self, path=None):
        self.listener = socket.socket(socket.AF_UNIX if path else socket.AF_INET)
        self.listener.bind(path or (LOOPBACK, 0))
        self.listener.listen(16)
        self.listener.settimeout(PATIENCE)
        self.where = path or self.listener.getsockname()

    def accept(self):
        return Actor(self.listener.accept()[0])

    def close(self):
        self.listener.close()


def dial(where):
    sock = socket.socket(socket.AF_UNIX if isinstance(where, str) else socket.AF_INET)
    sock.settimeout(PATIENCE)
    sock.connect(where)
    return Actor(sock)


def play(script, where, listener):
    """What the user and the service have seen, in this order."""
    outcome = queue.Queue()
    user_part, service_part = script

    def serve():
        try:
            actor = listener.accept()
            with actor.sock:
                service_part(actor)
            outcome.put(actor.seen)
        except Exception as error:  # the scenario judges it
            outcome.put(error)
    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    user = dial(where)
    with user.sock:
        user_part(user)
    served = outcome.get(timeout=2 * PATIENCE)
    if isinstance(served, Exception):
        raise served
    return user.seen, served


class Ways:
    """Every way through us to one service at a port and one at a path."""

    def __init__(self, lab, tunnel=True):
        self.port, self.path = lab.add(Listener()), lab.add(Listener(lab.path("service.sock")))
        self.ports = {name: free_port() for name in ("copy", "splice", "auto", "tunnel")}
        self.outer = lab.path("outer.sock")
        target = f"{LOOPBACK}:{self.port.where[1]}"
        self.server = self._start(lab, target, tunnel)
        self.ways = {name: ((LOOPBACK, self.ports[name]), self.port)
                     for name in ("copy", "splice", "auto")}
        self.ways["path"] = self.outer, self.path
        if tunnel:
            self.ways["tunnel"] = (LOOPBACK, self.ports["tunnel"]), self.port

    def _start(self, lab, target, tunnel):
        dialled = f"{LOOPBACK}:{free_port()}"
        config = (f"[server]\nworkers = {stages.workers}\ndrain_timeout = 5s\n[log]\nlevel = debug\n"
                  f"[backend port]\nserver = {target}\n[backend path]\nserver = unix:{self.path.where}\n"
                  f"[listener path]\nbind = unix:{self.outer}\nbackend = path\n")
        for name, zero_copy in (("copy", "no"), ("splice", "yes"), ("auto", "auto")):
            config += (f"[listener {name}]\nbind = {LOOPBACK}:{self.ports[name]}\nbackend = port\n"
                       f"zero_copy = {zero_copy}\n")
        if tunnel:
            lab.certs()
            config += (f"[tls edge]\ncert = server.crt\nkey = server.key\nca = ca.crt\n"
                       f"[tunnel pods]\nlisten = {dialled}\ntls = edge\nallow = client\n"
                       f"[listener tunnel]\nbind = {LOOPBACK}:{self.ports['tunnel']}\nbackend = pods\n")
        server = lab.run("server", config)
        if tunnel:
            stages.tunnel_client(lab, dialled, target)
            server.await_line(REGISTERED)
            server.descriptors = server.count_descriptors()
        return server


def same(lab, script, without=(), times=1):
    """Direct is what the others are compared with."""
    ways = Ways(lab, tunnel="tunnel" not in without)
    for name, (where, listener) in ways.ways.items():
        if name in without:
            continue
        expected = play(script, listener.where, listener)
        for _ in range(times):
            seen = play(script, where, listener)
            assert seen == expected, f"by {name}: {seen}, directly: {expected}"
    return ways


# ---- ends in order ----

@scenario
def a_connection_without_a_byte_is_the_same(lab):
    def leaves(actor):
        actor.finish()
        actor.hear_all()
    same(lab, (leaves, leaves), times=3)


@scenario
def a_service_that_ends_first_without_a_byte_is_the_same(lab):
    def leaves_second(actor):
        actor.hear_all()
        actor.finish()

    def leaves_first(actor):
        actor.finish()
        actor.hear_all()
    same(lab, (leaves_second, leaves_first), times=3)


@scenario
def a_question_that_ends_before_its_answer_is_the_same(lab):
    def asks(actor):
        actor.say(keyed("question", 300 * KIB + 1))
        actor.finish()
        actor.hear_all()

    def answers(actor):
        actor.hear_all()
        actor.say(keyed("answer", 2 * MIB + 1))
        actor.finish()
    same(lab, (asks, answers))


@scenario
def a_service_that_said_all_and_listens_on_is_the_same(lab):
    def asks(actor):
        actor.hear_all()
        actor.say(keyed("late", 2 * MIB + 1))
        actor.finish()

    def answers(actor):
        actor.say(keyed("early", 300 * KIB + 1))
        actor.finish()
        actor.hear_all()
    same(lab, (asks, answers))


@scenario
def a_conversation_of_sizes_at_every_edge_is_the_same(lab):
    sizes = [1, 2, 2047, 2048, 16383, 16384, 16385, 65535, 65536, 65537, MIB - 1, MIB + 1]

    def asks(actor):
        for size in sizes:
            actor.say(keyed(size, size))
            actor.hear(size)
        actor.finish()
        actor.hear_all()

    def answers(actor):
        for size in sizes:
            actor.hear(size)
            actor.say(keyed(-size, size))
        actor.hear_all()
    same(lab, (asks, answers))


# ---- resets ----

@scenario
def a_reset_by_the_user_is_the_same(lab):
    def resets(actor):
        actor.say(b"hello")
        actor.hear(2)
        actor.reset()

    def meets_it(actor):
        actor.hear(5)
        actor.say(b"hi")
        actor.hear_all()
    same(lab, (resets, meets_it), without=("path",), times=3)


@scenario
def a_reset_by_the_service_behind_much_is_the_same(lab):
    def meets_it(actor):
        actor.hear(3 * MIB)
        actor.say(b"thanks")
        actor.hear_all()

    def resets(actor):
        actor.say(keyed("much", 3 * MIB))
        actor.hear(6)
        actor.reset()
    same(lab, (meets_it, resets), without=("path",), times=3)


@scenario
def a_reset_after_a_half_close_is_the_same(lab):
    def meets_it(actor):
        actor.say(b"all")
        actor.hear(2)  # a reset may overtake what it follows, directly too
        actor.finish()
        actor.hear_all()

    def resets(actor):
        actor.hear(3)
        actor.say(b"no")
        actor.hear_all()
        actor.reset()
    same(lab, (meets_it, resets), without=("path",), times=3)


@scenario
def a_user_who_writes_to_a_service_that_is_gone_is_told_the_same(lab):
    def writes_on(actor):
        actor.hear_all()
        actor.say(b"are you there?")
        try:
            actor.seen.append(actor.sock.recv(1))
        except RESETS:
            actor.seen.append("reset")
        until(lambda: _refuses(actor.sock), "writing is refused")

    def goes(actor):
        actor.say(b"bye")
        actor.sock.close()
    # Directly the second end comes from the first FIN or from the reset that overtook it.
    ways = Ways(lab)
    for name, (where, listener) in ways.ways.items():
        seen, _ = play((writes_on, goes), where, listener)
        assert seen[0] == (3, zlib.crc32(b"bye"), "end") and seen[1] in (b"", "reset"), (name, seen)


def _refuses(sock):
    try:
        sock.send(b"x")
        return False
    except RESETS:
        return True


# ---- an urgent byte ----

@scenario
def an_urgent_byte_arrives_in_line(lab):
    def urges(actor):
        actor.say(b"abc")
        actor.urge(b"!")
        actor.say(b"def")
        actor.hear(7)
        actor.finish()
        actor.hear_all()

    def answers(actor):
        actor.hear(7)
        actor.say(b"uvw")
        actor.urge(b"?")
        actor.say(b"xyz")
        actor.hear_all()
    same(lab, (urges, answers))


@scenario
def an_urgent_byte_behind_much_and_alone_costs_no_wait(lab):
    """splice(2) stops in front of it and says that there is nothing."""
    def urges(actor):
        actor.say(keyed("much", 4 * MIB))
        for _ in range(20):
            actor.urge(b"!")
            actor.hear(2)
        actor.finish()
        actor.hear_all()

    def answers(actor):
        actor.hear(4 * MIB)
        for _ in range(20):
            actor.hear(1)
            actor.say(b"ok")
        actor.hear_all()
    begun = time.monotonic()
    ways = same(lab, (urges, answers))
    if not lab.sanitized(ways.server):  # which takes its time
        assert time.monotonic() - begun < 10, "an answer waits"
        assert ways.server.cpu_seconds() < 1.5, "it spins"


@scenario
def many_urgent_bytes_arrive_in_their_places(lab):
    def urges(actor):
        for turn in range(50):
            actor.say(keyed(turn, 5000))
            actor.urge(b"!")
        actor.finish()
        actor.hear_all()

    def answers(actor):
        actor.hear_all()
    same(lab, (urges, answers))


# ---- more than 32 bits count ----

def pour(actor, block, size):
    view = memoryview(block)
    for left in range(size, 0, -len(block)):
        actor.sock.sendall(view[:min(left, len(block))])
    actor.finish()


def soak(actor, block, size):
    """Compares a stream of that block again and again; True when it ends after exactly `size`."""
    buffer = bytearray(len(block))
    view, place, heard = memoryview(buffer), memoryview(block), 0
    while got := actor.sock.recv_into(view[heard % len(block):]):
        at = heard % len(block)
        if view[at:at + got] != place[at:at + got]:
            raise AssertionError(f"wrong bytes after {heard}")
        heard += got
    return heard == size


def in_a_process(function, *arguments):
    """Runs it beside us, off our interpreter's lock; returns a function that awaits its success."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            code = 0 if function(*arguments) is not False else 1
        finally:
            os._exit(code)
    return lambda: os.waitpid(child, 0)[1] == 0


def past_4_gib(lab, way):
    ways = Ways(lab, tunnel=False)
    if lab.sanitized(ways.server):
        raise Skip("sanitizers cost too much time for 4 GiB")
    where, listener = ways.ways[way]
    block, size = keyed("long", MIB), 4 * GIB + 1
    user = dial(where)
    service = listener.accept()
    with user.sock, service.sock:
        poured = in_a_process(pour, user, block, size)
        assert soak(service, block, size)
        assert poured()
        service.finish()
        user.hear_all()
        assert user.seen == [(0, 0, "end")], user.seen
    until(lambda: ways.server.count(rf"connection ended.*bytes_in={size}\b"), "it is counted in full")


@scenario
def copying_goes_past_4_gib(lab):
    past_4_gib(lab, "copy")


@scenario
def splicing_goes_past_4_gib(lab):
    past_4_gib(lab, "splice")
