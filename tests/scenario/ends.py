"""ends.py - users and services: the two outer ends of a relay, and a NAT between its halves.

Every connection carries a keyed stream: bytes that depend on key and position, so that what is
lost, mixed or reordered shows.  Each object has a close() and belongs to Lab.add.
"""
import functools
import queue
import random
import select
import socket
import struct
import threading

LOOPBACK = "127.0.0.1"
PATIENCE = 15  # seconds that a blocking call of ours may take
BLOCK = 1 << 16


@functools.lru_cache(64)
def block(key):
    return random.Random(key).randbytes(BLOCK + 13)  # a length that divides no buffer of ours


def keyed(key, size):
    """The first bytes of the stream of that key."""
    one = block(key)
    return (one * (size // len(one) + 1))[:size]


def first_difference(a, b):
    return next((i for i, (x, y) in enumerate(zip(a, b)) if x != y), min(len(a), len(b)))


def check_stream(key, data, size=None):
    """The whole stream of a key, or, without a size, any prefix of it."""
    expected = keyed(key, len(data) if size is None else size)
    assert data == expected, (f"stream {key}: {len(data)} bytes, {len(expected)} expected, "
                              f"wrong from {first_difference(data, expected)}")


def free_port():
    """Of TCP and UDP, and none that the kernel gives to users: another test may have hundreds of them."""
    while True:
        port = random.SystemRandom().randrange(10000, 32768)
        with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
            try:
                tcp.bind((LOOPBACK, port))
                udp.bind((LOOPBACK, port))
                return port
            except OSError:
                pass


def receive_all(sock):
    parts = []
    while part := sock.recv(1 << 18):
        parts.append(part)
    return b"".join(parts)


def receive_exactly(sock, size):
    parts = []
    while size:
        part = sock.recv(min(size, 1 << 18))
        if not part:
            raise EOFError(f"{size} bytes were still to come")
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def host_port(address):
    host, port = address.rsplit(":", 1)
    return host, int(port)


def reset(sock):
    """Closes with RST."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


class Deaf:
    """A service that never answers a connection: its queue is full."""

    def __init__(self):
        self.listener = socket.socket()
        self.listener.bind((LOOPBACK, 0))
        self.listener.listen(0)
        self.address = f"{LOOPBACK}:{self.listener.getsockname()[1]}"
        self.fillers = [socket.socket() for _ in range(4)]
        for filler in self.fillers:
            filler.setblocking(False)
            filler.connect_ex(self.listener.getsockname())

    def close(self):
        for sock in [self.listener, *self.fillers]:
            sock.close()


class Service:
    """A TCP service; handler(sock) runs in a thread per connection, its result or error is queued."""

    def __init__(self, handler, port=0, backlog=1024):
        self.handler, self.results, self.accepted = handler, queue.Queue(), 0
        self.sockets = set()
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind((LOOPBACK, port))
        self.listener.listen(backlog)
        self.port = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self._accept, daemon=True)
        self.thread.start()

    @property
    def address(self):
        return f"{LOOPBACK}:{self.port}"

    def _accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            self.accepted += 1
            self.sockets.add(sock)
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock):
        sock.settimeout(PATIENCE)
        try:
            self.results.put(self.handler(sock))
        except Exception as error:  # the scenario judges it
            self.results.put(error)
        finally:
            sock.close()
            self.sockets.discard(sock)

    def result(self):
        """What the next connection's handler returned, or the OSError it met."""
        result = self.results.get(timeout=PATIENCE)
        if isinstance(result, Exception) and not isinstance(result, OSError):
            raise result
        return result

    def close(self, abrupt=False):
        """abrupt: as a killed process leaves, with its connections cut."""
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()
        if abrupt:
            for sock in list(self.sockets):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                sock.shutdown(socket.SHUT_RDWR)


def echo(sock):
    total = 0
    while data := sock.recv(1 << 16):
        sock.sendall(data)
        total += len(data)
    return total


def exchanging(up_key, up_size, down_key, down_size):
    """A handler that sends one stream while it reads the other to its end."""
    def handler(sock):
        return exchange(sock, down_key, down_size, up_key, up_size)
    return handler


def exchange(sock, send_key, send_size, receive_key, receive_size):
    """Both ways at once on one socket, FIN both ways, everything compared."""
    def sender():
        sock.sendall(keyed(send_key, send_size))
        sock.shutdown(socket.SHUT_WR)
    thread = threading.Thread(target=sender, daemon=True)
    thread.start()
    check_stream(receive_key, receive_all(sock), receive_size)
    thread.join(PATIENCE)
    assert not thread.is_alive(), "the other side took not all"
    return True


def connect(address, patience=PATIENCE, source=None):
    sock = socket.create_connection(host_port(address), patience, source and (source, 0))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def echo_once(address, key=1, size=1000):
    """One connection that asks and is answered."""
    with connect(address) as sock:
        sock.sendall(keyed(key, size))
        sock.shutdown(socket.SHUT_WR)
        check_stream(key, receive_all(sock), size)


def check_echo(sock, words=b"x"):
    """On a connection that goes on."""
    sock.sendall(words)
    assert receive_exactly(sock, len(words)) == words


def pour(sock, words):
    """Says them again and again until nobody takes any more of it."""
    sock.setblocking(False)
    try:
        for _ in range(100000):
            sock.send(words)
    except (BlockingIOError, ConnectionResetError, BrokenPipeError):
        pass


def is_over(sock):
    """Awaits the next thing that comes: an end or a reset, and not a byte."""
    try:
        return sock.recv(1) == b""
    except ConnectionResetError:
        return True


def saying(words):
    """A handler that asks nothing."""
    return lambda sock: sock.sendall(words)


def said_by(address):
    with connect(address) as sock:
        return receive_all(sock)


def is_served(address, size=100):
    try:
        echo_once(address, size=size)
        return True
    except (OSError, AssertionError):
        return False


class DatagramService:
    """A UDP service that answers each datagram with itself, or with reply(data)."""

    def __init__(self, reply=lambda data: data, port=0):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((LOOPBACK, port))
        self.address = f"{LOOPBACK}:{self.socket.getsockname()[1]}"
        self.reply, self.sources, self.open = reply, set(), True
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self):
        while True:
            data, source = self.socket.recvfrom(1 << 16)
            if not self.open:
                return
            self.sources.add(source)
            answer = self.reply(data)
            if answer is not None:
                self.socket.sendto(answer, source)

    def close(self):
        self.open = False
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as waker:
            waker.sendto(b"", self.socket.getsockname())
        self.thread.join(5)
        self.socket.close()


class DatagramUser:
    def __init__(self, address):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.connect(host_port(address))
        self.socket.settimeout(PATIENCE)

    def ask(self, data, patience=PATIENCE):
        self.socket.settimeout(patience)
        self.socket.send(data)
        return self.socket.recv(1 << 16)

    def close(self):
        self.socket.close()


class Nat:
    """Stands between a tunnel client and its server: clients dial `address`; the server sees a port
    of ours, another one after rebind().  silent: both directions are dropped."""

    def __init__(self, server):
        self.server, self.client, self.silent = host_port(server), None, False
        self.inside = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.inside.bind((LOOPBACK, 0))
        self.address = f"{LOOPBACK}:{self.inside.getsockname()[1]}"
        self.outside = self._outside()
        self.wake, self.waker = socket.socketpair()
        self.old = []
        self.thread = threading.Thread(target=self._forward, daemon=True)
        self.thread.start()

    def _outside(self):
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.connect(self.server)
        return sock

    def rebind(self):
        self.old.append(self.outside)
        self.outside = self._outside()
        self.waker.send(b"r")

    def _forward(self):
        while True:
            readable, _, _ = select.select([self.inside, self.outside, self.wake], [], [])
            if self.wake in readable and self.wake.recv(1) == b"q":
                return
            try:
                if self.inside in readable:
                    data, self.client = self.inside.recvfrom(1 << 16)
                    if not self.silent:
                        self.outside.send(data)
                if self.outside in readable:
                    data = self.outside.recv(1 << 16)
                    if self.client and not self.silent:
                        self.inside.sendto(data, self.client)
            except ConnectionRefusedError:
                pass  # the server is away

    def close(self):
        self.waker.send(b"q")
        self.thread.join(5)
        for sock in [self.inside, self.outside, self.wake, self.waker, *self.old]:
            sock.close()
