"""UDP users: a session for each, whichever worker its datagrams come to, and limits over all of them."""
import collections
import select
import socket

from ends import LOOPBACK, DatagramService, free_port, host_port
from lab import scenario, until
from stages import direct_config, on_both

USERS = 500
UDP = "protocol = udp\n"


class Users:
    """Many sockets, each a user: says its number, and keeps what the address it asked told it."""

    def __init__(self, address, count, host=LOOPBACK):
        self.heard = collections.defaultdict(list)
        self.sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(count)]
        self.poll = select.poll()
        self.numbers = {}
        for number, sock in enumerate(self.sockets):
            sock.bind((host, 0))
            sock.connect(host_port(address))
            sock.setblocking(False)
            self.numbers[sock.fileno()] = number
            self.poll.register(sock, select.POLLIN)

    def speak(self, numbers=None):
        for number in range(len(self.sockets)) if numbers is None else numbers:
            self.sockets[number].send(b"%d" % number)
            if number % 20 == 0:  # no burst that a receive buffer would not hold
                self.listen(0.002)
        self.listen(0.05)

    def listen(self, patience):
        for fd, _ in self.poll.poll(patience * 1000):
            number = self.numbers[fd]
            try:
                while True:
                    self.heard[number].append(self.sockets[number].recv(1 << 16))
            except BlockingIOError:
                pass

    def move(self, address):
        """From now on to another address, from the same ports."""
        for sock in self.sockets:
            sock.connect(host_port(address))
        self.listen(0)
        self.heard.clear()

    def silent(self):
        return [number for number in range(len(self.sockets)) if not self.heard[number]]

    def until_served(self, count):
        """Speaks again and again, so that nothing that was lost on the way counts."""
        def are_served():
            self.speak(self.silent())
            return len(self.sockets) - len(self.silent()) >= count
        until(are_served, f"{count} users are served")

    def check_served(self, count):
        self.until_served(count)
        for _ in range(3):
            self.speak()
        served = len(self.sockets) - len(self.silent())
        assert served == count, f"{served} users are served, {count} may be"

    def close(self):
        for sock in self.sockets:
            sock.close()


class Watcher(DatagramService):
    """Answers each datagram with itself; keeps what came from where."""

    def __init__(self):
        self.words = collections.defaultdict(list)
        super().__init__()

    def _serve(self):
        while True:
            data, source = self.socket.recvfrom(1 << 16)
            if not self.open:
                return
            self.words[source].append(data)
            if self.reply(data):
                self.socket.sendto(data, source)


@on_both
def five_hundred_users_keep_a_session_each(lab, set_stage):
    service = lab.add(Watcher())
    users = lab.add(Users(set_stage(service.address, listener=UDP + "udp_timeout = 5s\n").address, USERS))
    for _ in range(4):
        users.speak()
    users.until_served(USERS)
    for number, heard in users.heard.items():
        assert set(heard) == {b"%d" % number}, f"user {number} was told {set(heard)}"
    assert len(service.words) == USERS, f"{len(service.words)} sessions"
    assert all(len(set(words)) == 1 for words in service.words.values()), "a session of two users"


@on_both
def udp_sessions_is_exact_and_what_ends_makes_room(lab, set_stage):
    service = lab.add(Watcher())
    stage = set_stage(service.address, listener=UDP + "udp_sessions = 100\nudp_timeout = 2s\n")
    users = lab.add(Users(stage.address, USERS))
    users.check_served(100)
    assert len(service.words) == 100
    stage.server.await_line("UDP session ended", times=100)
    lab.add(Users(stage.address, 150)).check_served(100)


@on_both
def udp_sessions_per_source_is_exact(lab, set_stage):
    service = lab.add(Watcher())
    stage = set_stage(service.address, listener=UDP + "udp_sessions_per_source = 50\nudp_timeout = 5s\n")
    for host in (LOOPBACK, "127.0.0.9"):
        lab.add(Users(stage.address, 200, host)).check_served(50)
    assert len(service.words) == 100


TIMEOUT = UDP + "udp_timeout = 2s\n"


def flow_past_the_timeout(lab, stage, service, flow):
    """The flow goes on until the session of a user who spoke after it had begun, and not again, ends."""
    flow()
    sessions = len(service.words)
    silent = lab.add(Users(stage.address, 1))
    until(lambda: silent.speak() or len(service.words) > sessions, "a silent user has a session")
    _, port = silent.sockets[0].getsockname()
    until(lambda: flow() or stage.server.count(rf"UDP session ended.*:{port}\b"), "its session ends")


@on_both
def a_flow_that_nobody_answers_keeps_its_session(lab, set_stage):
    service = lab.add(Watcher())
    service.reply = lambda data: None
    stage = set_stage(service.address, listener=TIMEOUT)
    users = lab.add(Users(stage.address, 8))
    flow_past_the_timeout(lab, stage, service, users.speak)
    users.speak()
    assert len(service.words) == 8 + 1, f"{len(service.words)} sessions"


@on_both
def a_flow_of_the_service_keeps_its_session(lab, set_stage):
    service = lab.add(Watcher())
    stage = set_stage(service.address, listener=TIMEOUT)
    users = lab.add(Users(stage.address, 8))
    users.until_served(8)
    sources = list(service.words)

    def tell(word=b"news"):
        for source in sources:
            service.socket.sendto(word, source)
        users.listen(0.05)
    flow_past_the_timeout(lab, stage, service, tell)
    until(lambda: tell(b"last") or all(b"last" in heard for heard in users.heard.values()),
          "all hear the service still")
    users.speak()
    assert len(service.words) == 8 + 1, "users came back in other sessions"


@scenario
def one_port_of_a_user_at_two_listeners_is_two_sessions(lab):
    services = [lab.add(Watcher()) for _ in range(2)]
    addresses = [f"{LOOPBACK}:{free_port()}" for _ in services]
    other = (f"[listener other]\nbind = {addresses[1]}\nbackend = other\n{UDP}udp_timeout = 1s\n"
             f"[backend other]\nserver = {services[1].address}\n")
    lab.run("direct", direct_config(addresses[0], [services[0].address],
                                    listener=UDP + "udp_timeout = 1s\n", backend=other))
    users = lab.add(Users(addresses[0], 20))
    for service, address in zip(services, addresses):
        users.move(address)
        users.until_served(20)
        assert len(service.words) == 20
