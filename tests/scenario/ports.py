"""Ports that change hands while users are served: to another listener, away, and back."""
import os
import socket
import time

import stages
from ends import LOOPBACK, DatagramService, DatagramUser, Service, connect, echo, echo_once, receive_exactly
from lab import scenario, until
from reload import Load, Reloaded, address_of, named, reload_under_load, who_answers


def datagrams_named(name):
    return DatagramService(lambda data: name.encode() + b":" + data)


def config_of(*sections):
    return f"[server]\nworkers = {stages.workers}\ndrain_timeout = 5s\n[log]\nlevel = debug\n" + "".join(sections)


def listener(name, backend, *binds, more=""):
    lines = "".join(f"bind = {bind}\n" for bind in binds)
    return f"[listener {name}]\nbackend = {backend}\n{lines}{more}"


def backend(name, service):
    return f"[backend {name}]\nserver = {service.address}\n"


def run(lab, config):
    return Reloaded(lab, lab.run("direct", config))


UDP = "protocol = udp\nudp_timeout = 3s\n"


@scenario
def a_port_goes_to_another_listener_in_one_reload_and_nobody_notices(lab):
    one, two = lab.add(Service(echo)), lab.add(Service(echo))
    first, moving, last = address_of(), address_of(), address_of()
    backends = backend("one", one) + backend("two", two)
    before = config_of(listener("one", "one", first, moving), listener("two", "two", last), backends)
    after = config_of(listener("one", "one", first), listener("two", "two", last, moving, more="backlog = 100\n"),
                      backends)
    reloaded = run(lab, before)
    load = lab.add(Load(moving))
    reload_under_load(lab, reloaded, [after, before], load, 60)
    assert one.accepted and two.accepted, "each of them had the port for a while"
    with connect(moving) as user:
        user.sendall(b"before")
        assert receive_exactly(user, 6) == b"before"
        reloaded.take(after)
        count = two.accepted
        echo_once(moving)
        assert two.accepted == count + 1
        user.sendall(b"after")
        assert receive_exactly(user, 5) == b"after"
    reloaded.take(before)


@scenario
def listeners_swap_their_ports_in_one_reload(lab):
    one, two = lab.add(named("one")), lab.add(named("two"))
    here, there = address_of(), address_of()
    backends = backend("one", one) + backend("two", two)
    reloaded = run(lab, config_of(listener("one", "one", here), listener("two", "two", there), backends))
    assert (who_answers(here), who_answers(there)) == ("one", "two")
    reloaded.take(config_of(listener("one", "one", there), listener("two", "two", here), backends))
    assert (who_answers(here), who_answers(there)) == ("two", "one")
    reloaded.take(config_of(listener("new", "one", here), listener("newer", "two", there), backends))
    assert (who_answers(here), who_answers(there)) == ("one", "two")


@scenario
def who_comes_while_a_port_moves_is_served_by_one_listener_or_the_other_also_at_a_path(lab):
    one, two = lab.add(named("one")), lab.add(named("two"))
    path = lab.path("users.sock")
    binds = [address_of(), f"unix:{path}"]
    backends = backend("one", one) + backend("two", two)
    reloaded = run(lab, config_of(listener("old", "one", *binds, more="max_connections = 1000\n"), backends))
    number = os.stat(path).st_ino
    users = []
    for _ in range(100):
        users.append(connect(binds[0]))
        user = socket.socket(socket.AF_UNIX)
        user.connect(path)
        users.append(user)
        if len(users) == 100:
            reloaded.take(config_of(listener("new", "two", *binds), backends))
    answers = {receive_exactly(user, 3) for user in users}
    assert answers == {b"one", b"two"}, answers
    assert os.stat(path).st_ino == number, "the path was not made again"
    for user in users:
        user.close()


@scenario
def a_move_that_cannot_be_taken_as_a_whole_changes_nothing(lab):
    one, two = lab.add(named("one")), lab.add(named("two"))
    moving = address_of()
    taken = socket.create_server((LOOPBACK, 0))
    backends = backend("one", one) + backend("two", two)
    reloaded = run(lab, config_of(listener("one", "one", moving), backends))
    reloaded.refuse(config_of(listener("two", "two", moving, f"{LOOPBACK}:{taken.getsockname()[1]}"), backends),
                    "listener two: cannot listen on")
    assert who_answers(moving) == "one"
    taken.close()
    reloaded.take(config_of(listener("two", "two", moving), backends))
    assert who_answers(moving) == "two"


@scenario
def a_listener_with_another_name_keeps_its_udp_users(lab):
    service = lab.add(DatagramService())
    address = address_of()
    reloaded = run(lab, config_of(listener("a", "one", address, more=UDP), backend("one", service)))
    users = [lab.add(DatagramUser(address)) for _ in range(20)]
    for turn in range(6):
        for user in users:
            assert user.ask(b"%d" % turn) == b"%d" % turn
        reloaded.take(config_of(listener("bcdefg"[turn], "one", address, more=UDP), backend("one", service)))
    assert len(service.sources) == len(users), "each has had one session"


def udp_pair(lab):
    one, two = lab.add(datagrams_named("one")), lab.add(datagrams_named("two"))
    return backend("one", one) + backend("two", two)


@scenario
def udp_sessions_stay_with_the_listener_under_which_they_began(lab):
    backends, moving, other = udp_pair(lab), address_of(), address_of()
    reloaded = run(lab, config_of(listener("one", "one", moving, more=UDP),
                                  listener("two", "two", other, more=UDP), backends))
    old = [lab.add(DatagramUser(moving)) for _ in range(10)]
    for user in old:
        assert user.ask(b"a") == b"one:a"
    for binds in ([moving, other], [other], [moving, other]):  # taken, given up, and taken again
        reloaded.take(config_of(listener("two", "two", *binds, more=UDP), backends))
        for user in old:
            assert user.ask(b"b") == b"one:b"
    for _ in range(10):
        assert lab.add(DatagramUser(moving)).ask(b"c") == b"two:c"
    for user in old:
        assert user.ask(b"d") == b"one:d"


@scenario
def a_udp_port_that_leaves_comes_back_for_new_users(lab):
    backends, coming, other = udp_pair(lab), address_of(), address_of()
    more = UDP
    with_it = config_of(listener("one", "one", coming, other, more=more), backends)
    without = config_of(listener("one", "one", other, more=more), backends)
    reloaded = run(lab, with_it)
    old = [lab.add(DatagramUser(coming)) for _ in range(12)]
    for turn in range(5):
        for user in old:
            assert user.ask(b"a") == b"one:a"
        reloaded.take(without)
        stranger = lab.add(DatagramUser(coming))
        stranger.socket.send(b"nobody serves me")
        for user in old:
            assert user.ask(b"b") == b"one:b", "its session goes on"
        stranger.socket.settimeout(0.1)
        try:
            assert not stranger.socket.recv(100)
        except (TimeoutError, ConnectionRefusedError):
            pass
        name, target = ("one", "one") if turn % 2 else ("two", "two")
        reloaded.take(config_of(listener("one", "one", other, more=more), listener("two", "two", coming, more=more),
                                backends) if target == "two" else with_it)
        for _ in range(8):
            assert lab.add(DatagramUser(coming)).ask(b"c") == name.encode() + b":c"
        for user in old:
            assert user.ask(b"d") == b"one:d"
    reloaded.take(config_of(listener("two", "two", coming, more=more), backends))
    time.sleep(3.5)  # until the old sessions have ended
    for user in old:
        assert user.ask(b"e") == b"two:e"


@scenario
def sessions_of_a_udp_port_that_leaves_go_on_until_the_last(lab):
    """Whichever of them end before, on whichever workers."""
    service = lab.add(DatagramService())
    leaving, other = address_of(), address_of()
    more = UDP.replace("3s", "1s")
    reloaded = run(lab, config_of(listener("one", "one", leaving, other, more=more), backend("one", service)))
    users = [lab.add(DatagramUser(leaving)) for _ in range(24)]
    for user in users:
        user.ask(b"a")
    reloaded.take(config_of(listener("one", "one", other, more=more), backend("one", service)))
    while users:
        end = time.monotonic() + 1.6
        while time.monotonic() < end:
            for user in users:
                assert user.ask(b"b") == b"b", f"one of {len(users)}"
            time.sleep(0.1)
        del users[len(users) // 2:]
    assert len(service.sources) == 24
    until(lambda: is_free(leaving), "the port is closed with its last session")


def is_free(address):
    host, port = address.rsplit(":", 1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((host, int(port)))
        except OSError:
            return False
    return True


@scenario
def a_udp_port_that_nobody_uses_is_closed_with_the_reload(lab):
    service = lab.add(DatagramService())
    leaving, other = address_of(), address_of()
    reloaded = run(lab, config_of(listener("one", "one", leaving, other, more=UDP), backend("one", service)))
    assert lab.add(DatagramUser(other)).ask(b"a") == b"a"
    reloaded.take(config_of(listener("one", "one", other, more=UDP), backend("one", service)))
    until(lambda: is_free(leaving), "the port is free", 2)
    reloaded.take(config_of(listener("one", "one", leaving, other, more=UDP), backend("one", service)))
    assert lab.add(DatagramUser(leaving)).ask(b"b") == b"b"


def mode_of(path):
    return os.stat(path).st_mode & 0o777


@scenario
def another_mode_of_a_path_that_stays_is_taken_with_the_reload(lab):
    one, path, moving = lab.add(named("one")), lab.path("users.sock"), lab.path("moving.sock")

    def config(mode, name="one", extra=""):
        return config_of(listener("one", "one", f"unix:{path}{mode}"),
                         listener(name + "-2", "one", f"unix:{moving}{mode}", more=extra), backend("one", one))
    reloaded = run(lab, config(" mode=0660"))
    numbers = [os.stat(where).st_ino for where in (path, moving)]
    assert mode_of(path) == mode_of(moving) == 0o660
    reloaded.take(config(" mode=0600"))
    assert mode_of(path) == mode_of(moving) == 0o600
    reloaded.take(config(" mode=0640", "two"))
    assert mode_of(path) == mode_of(moving) == 0o640
    with socket.create_server((LOOPBACK, 0)) as taken:
        bind = f"{LOOPBACK}:{taken.getsockname()[1]}"
        reloaded.refuse(config(" mode=0666", "two", f"bind = {bind}\n"), f"cannot listen on {bind}")
    assert mode_of(path) == mode_of(moving) == 0o640, "all or nothing"
    mask = os.umask(0)
    os.umask(mask)
    reloaded.take(config("", "two"))
    assert mode_of(path) == mode_of(moving) == 0o777 & ~mask
    assert [os.stat(where).st_ino for where in (path, moving)] == numbers
    os.unlink(moving)
    reloaded.refuse(config(" mode=0600", "two"),
                    f"listener two-2: cannot change the mode of {moving}: No such file")
    assert mode_of(path) == 0o777 & ~mask, "changed back"
