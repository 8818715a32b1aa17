"""Other settings while users are served: all of them or none, and what did not change is not touched."""
import os
import signal
import socket
import threading
import time

import stages
from admin import admin_lines, ask, fetch, read_metrics
from ends import (LOOPBACK, DatagramService, DatagramUser, Service, connect, echo, echo_once, free_port,
                  is_served, keyed, receive_all, receive_exactly)
from lab import REGISTERED, scenario, until
from stages import client_config, direct_config, server_config

DONE, REFUSED = "other settings are in force", "the old settings stay"


def address_of():
    return f"{LOOPBACK}:{free_port()}"


class Reloaded:
    """A program whose file is written again."""

    def __init__(self, lab, program):
        self.lab, self.program, self.done, self.refused = lab, program, 0, 0

    def take(self, config):
        self.lab.write(f"{self.program.name}.ini", config)
        self.done += 1
        self.program.signal(signal.SIGHUP)
        self.program.await_line(DONE, self.done)
        self.program.descriptors = max(self.program.descriptors, self.program.count_descriptors())

    def refuse(self, config, why):
        self.lab.write(f"{self.program.name}.ini", config)
        self.refused += 1
        self.program.signal(signal.SIGHUP)
        self.program.await_line(REFUSED, self.refused)
        self.program.await_line(why)


def run_direct(lab, config):
    return Reloaded(lab, lab.run("direct", config))


def named(name):
    return Service(lambda sock: sock.sendall(name.encode()))


def who_answers(address):
    with connect(address) as user:
        return receive_all(user).decode()


class Load:
    """Users who come, ask and go without a pause, until it is closed; and a few who stay."""

    def __init__(self, address, count=4, staying=3, datagrams=None):
        self.address, self.failures, self.served, self.over = address, [], 0, False
        self.threads = [threading.Thread(target=self._come_and_go, args=(key,)) for key in range(count)]
        self.threads += [threading.Thread(target=self._stay, args=(key,)) for key in range(staying)]
        if datagrams:
            self.threads += [threading.Thread(target=self._datagrams, args=(datagrams, key))
                             for key in range(staying)]
        for thread in self.threads:
            thread.start()

    def _try(self, step):
        try:
            step()
            self.served += 1
        except Exception as why:  # any: it is told at the end
            self.failures.append(repr(why))

    def _come_and_go(self, key):
        while not self.over:
            self._try(lambda: echo_once(self.address, key, 3000))

    def _ask(self, user, key):
        data = keyed(key, 500)
        user.sendall(data)
        assert receive_exactly(user, len(data)) == data

    def _stay(self, key):
        with connect(self.address) as user:
            while not self.over:
                self._try(lambda: self._ask(user, key))
                time.sleep(0.002)

    def _datagrams(self, address, key):
        user = DatagramUser(address)
        while not self.over:
            self._try(lambda: user.ask(keyed(key, 300)))
            time.sleep(0.002)
        user.close()

    def close(self):
        self.over = True
        for thread in self.threads:
            thread.join(60)


def reload_under_load(lab, reloaded, configs, load, times=200):
    for number in range(times):
        reloaded.take(configs[number % len(configs)])
    load.close()
    assert not load.failures, f"{len(load.failures)} of {load.served}: {load.failures[:5]}"
    assert load.served > times


def variants(config):
    """Something else each time, and what users are on in all of them."""
    other = f"[listener other]\nbind = {address_of()}\nbackend = web\n"
    return [config, config + other, config.replace("level = debug", "level = info"),
            config.replace("[backend web]\n", "[backend web]\nretries = 1\n"),
            config.replace("bind =", "idle_timeout = 4m\nbind =", 1), config]


def direct_both(lab):
    tcp, udp = lab.add(Service(echo)), lab.add(DatagramService())
    address, second = address_of(), address_of()
    return address, second, (direct_config(address, [tcp.address]) +
                             f"[listener datagrams]\nprotocol = udp\nbind = {second}\nbackend = udp\n"
                             f"[backend udp]\nserver = {udp.address}\n")


@scenario
def two_hundred_reloads_under_load_lose_nobody_of_a_direct_relay(lab):
    address, second, config = direct_both(lab)
    reloaded = run_direct(lab, config)
    load = lab.add(Load(address, datagrams=second))
    reload_under_load(lab, reloaded, variants(config), load)
    reloaded.take(config)
    assert len({source for source in lab.ends[1].sources}) == 3, "each UDP user has had one session"


@scenario
def two_hundred_reloads_under_load_lose_nobody_of_a_tunnel(lab):
    tcp, udp = lab.add(Service(echo)), lab.add(DatagramService())
    lab.certs()
    address, second, dial = address_of(), address_of(), address_of()
    config = server_config(address, dial) + (f"[listener datagrams]\nprotocol = udp\nbind = {second}\n"
                                             "backend = pods\nservice = udp\n")
    server = Reloaded(lab, lab.run("server", config))
    offer = client_config(dial, tcp.address) + f"[service udp]\ntarget = {udp.address}\n"
    client = lab.start("client", offer)
    client.await_line(REGISTERED, stages.workers)
    client = Reloaded(lab, client.ready(REGISTERED))
    load = lab.add(Load(address, datagrams=second))
    configs = [config, config.replace("idle_timeout = 4m\n", ""),
               config.replace("[tunnel pods]", "[tunnel pods]\nopen_retries = 1"),
               config + f"[listener other]\nbind = {address_of()}\nbackend = pods\n"]
    offers = [offer, offer + f"[service more]\ntarget = {tcp.address}\n",
              offer.replace("level = debug", "level = info")]
    for number in range(100):
        server.take(configs[number % len(configs)])
        client.take(offers[number % len(offers)])
    load.close()
    assert not load.failures, f"{len(load.failures)} of {load.served}: {load.failures[:5]}"
    assert load.served > 200
    assert server.program.count(REGISTERED) == stages.workers, "no tunnel was made again"
    client.take(offer)
    server.take(config)


@scenario
def a_bad_file_changes_nothing_and_is_named_with_its_line(lab):
    address = address_of()
    service = lab.add(Service(echo))
    config = direct_config(address, [service.address]) + f"[admin]\nsocket = {lab.path('admin.sock')}\n"
    reloaded = run_direct(lab, config)
    with connect(address) as user:
        lab.write("direct.ini", config.replace(f"bind = {address}", "bind = nonsense"))
        code, text = lab.call("reload", "--socket", lab.path("admin.sock"))
        assert code == 1 and "direct.ini:" in text and "nonsense" in text, (code, text)
        reloaded.refuse(config + "[unknown]\n", r"direct.ini:\d+: unknown section")
        reloaded.refused += 1  # the command's
        user.sendall(b"still")
        assert receive_exactly(user, 5) == b"still"
    echo_once(address)
    lab.write("direct.ini", config)
    code, text = lab.call("reload", "--socket", lab.path("admin.sock"))
    assert code == 0, text


@scenario
def a_taken_port_changes_nothing(lab):
    address, other = address_of(), address_of()
    one, two = lab.add(named("one")), lab.add(named("two"))
    reloaded = run_direct(lab, direct_config(address, [one.address]))
    holder = socket.create_server((LOOPBACK, 0))
    taken = f"{LOOPBACK}:{holder.getsockname()[1]}"
    reloaded.refuse(direct_config(address, [two.address], listener=f"bind = {other}\nbind = {taken}\n"),
                    f"cannot listen on {taken}: Address already in use")
    assert who_answers(address) == "one" and not is_served(other)
    holder.close()
    reloaded.take(direct_config(address, [two.address], listener=f"bind = {other}\nbind = {taken}\n"))
    assert {who_answers(where) for where in (address, other, taken)} == {"two"}


@scenario
def an_option_that_needs_a_restart_is_named_and_changes_nothing(lab):
    address, service = address_of(), lab.add(Service(echo))
    config = direct_config(address, [service.address])
    reloaded = run_direct(lab, config)
    for old, new, why in (("workers = ", "workers = 1", "a changed workers needs a restart"),
                          ("bind =", "protocol = both\nbind =", r"\[listener web\] a changed protocol"),
                          ("[log]", f"pid_file = {lab.path('pid')}\n[log]", "a changed pid_file")):
        reloaded.refuse(config.replace(old, new, 1), why)
    echo_once(address)


@scenario
def a_listener_that_is_removed_drains_and_a_new_one_serves(lab):
    address, other = address_of(), address_of()
    service = lab.add(Service(echo))
    config = direct_config(address, [service.address])
    added = config + f"[listener other]\nbind = {other}\nbackend = web\n"
    reloaded = run_direct(lab, config)
    assert not is_served(other)
    reloaded.take(added)
    with connect(other) as user:
        user.sendall(b"before")
        assert receive_exactly(user, 6) == b"before"
        reloaded.take(config)
        assert not is_served(other)
        user.sendall(b"after")
        assert receive_exactly(user, 5) == b"after"
        reloaded.take(added)
        echo_once(other)
    echo_once(address)
    reloaded.take(config)


@scenario
def a_port_that_goes_keeps_its_connections_and_one_that_comes_serves(lab):
    address, other = address_of(), address_of()
    service = lab.add(Service(echo))
    config = direct_config(address, [service.address])
    reloaded = run_direct(lab, config)
    with connect(address) as user:
        reloaded.take(direct_config(other, [service.address]))
        assert not is_served(address)
        echo_once(other)
        user.sendall(b"still")
        assert receive_exactly(user, 5) == b"still"
    reloaded.take(config)
    echo_once(address)


@scenario
def servers_come_and_go_and_those_that_stay_keep_their_users(lab):
    address = address_of()
    one, two = lab.add(Service(echo)), lab.add(named("two"))
    reloaded = run_direct(lab, direct_config(address, [one.address]))
    with connect(address) as user:
        user.sendall(b"a")
        assert receive_exactly(user, 1) == b"a"
        reloaded.take(direct_config(address, [two.address, one.address], backend="balance = first\n"))
        assert who_answers(address) == "two", "the order is the file's"
        reloaded.take(direct_config(address, [two.address]))
        assert {who_answers(address) for _ in range(4)} == {"two"}
        user.sendall(b"b")
        assert receive_exactly(user, 1) == b"b", "a removed server keeps its users"
    reloaded.take(direct_config(address, [one.address]))
    echo_once(address)


@scenario
def a_new_deny_ends_the_connections_that_it_forbids_within_a_second(lab):
    address, second, config = direct_both(lab)
    reloaded = run_direct(lab, config)
    with connect(address) as user:
        user.sendall(b"a")
        assert receive_exactly(user, 1) == b"a"
        reloaded.take(config.replace("backend = web\n", f"backend = web\ndeny = {LOOPBACK}\n", 1))
        began = time.monotonic()
        try:
            assert user.recv(1) == b""
        except ConnectionResetError:
            pass
        assert time.monotonic() - began < 1
    assert not is_served(address)
    reloaded.take(config)
    echo_once(address)


@scenario
def max_connections_counts_those_who_were_there_before_it(lab):
    address, service = address_of(), lab.add(Service(echo))
    config = direct_config(address, [service.address])
    reloaded = run_direct(lab, config)
    users = [connect(address) for _ in range(3)]
    for user in users:
        user.sendall(b"a")
        assert receive_exactly(user, 1) == b"a"
    reloaded.take(direct_config(address, [service.address], listener="max_connections = 3\n"))
    assert not is_served(address)
    users.pop().close()
    until(lambda: is_served(address), "room for one more")
    reloaded.take(config)
    for user in users:
        user.close()
    echo_once(address)


@scenario
def a_changed_log_file_level_and_access_log_are_taken(lab):
    address, service = address_of(), lab.add(Service(echo))
    config = direct_config(address, [service.address])
    reloaded = run_direct(lab, config)
    log, access = lab.path("program.log"), lab.path("access.log")
    lab.write("direct.ini", config.replace("level = debug", f"level = info\nfile = {log}\naccess = {access}"))
    reloaded.program.signal(signal.SIGHUP)
    until(lambda: os.path.exists(log) and DONE in open(log, encoding="utf-8").read(), "the new log")
    echo_once(address)
    until(lambda: "listener=web" in open(access, encoding="utf-8").read(), "a line in the access log")
    lab.write("direct.ini", config)
    reloaded.program.signal(signal.SIGHUP)
    reloaded.program.await_line(DONE)


@scenario
def clients_that_are_not_allowed_any_more_are_closed_within_a_second(lab):
    service = lab.add(Service(echo))
    lab.certs()
    address, dial = address_of(), address_of()
    server = Reloaded(lab, lab.run("server", server_config(address, dial)))
    client = lab.start("client", client_config(dial, service.address, client="reconnect_max = 1s\n"))
    client.await_line(REGISTERED, stages.workers)
    client.ready(REGISTERED)
    with connect(address) as user:
        user.sendall(b"a")
        assert receive_exactly(user, 1) == b"a"
        server.take(server_config(address, dial, allow="nobody"))
        began = time.monotonic()
        try:
            assert user.recv(1) == b""
        except ConnectionResetError:
            pass
        assert time.monotonic() - began < 1
    client.await_line("not allowed")
    server.take(server_config(address, dial))
    client.await_line(REGISTERED, stages.workers + 1)
    until(lambda: is_served(address), "the client's return")


@scenario
def new_certificates_are_for_new_handshakes_and_old_tunnels_stay(lab):
    service = lab.add(Service(echo))
    lab.certs(".", "--client", "client", "--client", "client-2")
    lab.certs("other", "--client", "client", "--client", "client-2")
    address, dial = address_of(), address_of()
    config = server_config(address, dial)
    server = Reloaded(lab, lab.run("server", config))
    client = lab.start("client", client_config(dial, service.address)).ready(REGISTERED)
    with connect(address) as user:
        user.sendall(b"a")
        assert receive_exactly(user, 1) == b"a"
        server.take(config.replace("server.crt", "other/server.crt").replace("server.key", "other/server.key")
                    .replace("ca = ca.crt", "ca = other/ca.crt"))
        user.sendall(b"b")
        assert receive_exactly(user, 1) == b"b", "what is there stays"
        text = client_config(dial, service.address, name="other/client-2", ca="other/ca.crt")
        lab.start("new", text).ready(REGISTERED)
        old = lab.start("old", client_config(dial, service.address, name="client-2"))
        old.await_line("(?i)certificate|unknown ca|tls")
        assert not old.count(REGISTERED)
        user.sendall(b"c")
        assert receive_exactly(user, 1) == b"c"
    assert client.count(REGISTERED) >= 1


@scenario
def a_client_takes_other_services_and_servers_without_a_new_tunnel(lab):
    web, ssh = lab.add(named("web")), lab.add(named("ssh"))
    lab.certs()
    first, second = address_of(), address_of()
    dials = [address_of() for _ in range(2)]
    server = lab.run("server", server_config(first, dials[0]) +
                     f"[listener ssh]\nbind = {second}\nbackend = pods\nservice = ssh\n")
    third = address_of()
    lab.run("server-2", server_config(third, dials[1]))
    config = client_config(dials[0], web.address)
    client = Reloaded(lab, lab.start("client", config).ready(REGISTERED))
    assert who_answers(first) == "web" and not is_served(second)
    client.take(config + f"[service ssh]\ntarget = {ssh.address}\n")
    until(lambda: is_served_by(second, "ssh"), "the new service")
    client.take(config.replace(web.address, ssh.address))
    assert who_answers(first) == "ssh", "a service has another target"
    until(lambda: not is_served_by(second, "ssh"), "the service's end")
    assert server.count(REGISTERED) == 1, "the tunnel is the first one"
    both = config.replace("tls = edge\n", f"tls = edge\nserver = {dials[1]} name=localhost\n", 1)
    client.take(both)
    until(lambda: is_served_by(third, "web"), "the second server")
    client.take(config)
    until(lambda: not is_served_by(third, "web"), "the second server's end", 20)
    assert who_answers(first) == "web"


def is_served_by(address, name):
    try:
        return who_answers(address) == name
    except OSError:
        return False


@scenario
def a_tunnel_that_is_removed_lets_its_users_end_and_a_new_one_serves(lab):
    service = lab.add(Service(echo))
    lab.certs()
    address, dial, other = address_of(), address_of(), address_of()
    config = server_config(address, dial)
    server = Reloaded(lab, lab.run("server", config))
    client = lab.start("client", client_config(dial, service.address)).ready(REGISTERED)
    with connect(address) as user:
        user.sendall(b"a")
        assert receive_exactly(user, 1) == b"a"
        server.take(config.replace("[tunnel pods]", "[tunnel pods-2]").replace("backend = pods", "backend = pods-2")
                    .replace(f"listen = {dial}", f"listen = {other}"))
        user.sendall(b"b")
        assert receive_exactly(user, 1) == b"b"
    second = lab.start("second", client_config(other, service.address))
    second.await_line(REGISTERED, stages.workers)
    second.ready(REGISTERED)
    echo_once(address)
    client.expected_exit = second.expected_exit = 0
    server.program.descriptors += 8


def states(rows):
    return sorted((row["name"], row["state"]) for row in rows)


@scenario
def what_leaves_is_shown_as_leaving_until_it_has_left(lab):
    service, http = lab.add(Service(echo)), free_port()
    lab.certs()
    address, second, dial, other = address_of(), address_of(), address_of(), \
        address_of()
    config = server_config(address, dial) + admin_lines(http)
    server = Reloaded(lab, lab.run("server", config))
    client = lab.start("client", client_config(dial, service.address))
    client.await_line(REGISTERED, stages.workers)
    client.ready(REGISTERED)
    assert states(ask(lab)["listeners"]) == [("web", "open")] and states(ask(lab)["tunnels"]) == [("pods", "open")]
    with connect(address) as user:
        user.sendall(b"a")
        assert receive_exactly(user, 1) == b"a"
        without = config.replace("[listener web]", "[listener new]").replace("backend = pods", "backend = more") \
            .replace("[tunnel pods]", "[tunnel more]").replace(f"listen = {dial}", f"listen = {other}")
        server.take(without)
        assert states(ask(lab)["listeners"]) == [("new", "open"), ("web", "leaving")]
        assert states(ask(lab)["tunnels"]) == [("more", "open"), ("pods", "leaving")]
        old = next(row for row in ask(lab)["listeners"] if row["name"] == "web")
        assert old["connections"] == 1 and old["bytes_in"] == 1, old
        server.take(without + f"[listener web]\nbind = {second}\nbackend = more\n")
        assert states(ask(lab)["listeners"]) == [("new", "open"), ("web", "leaving"), ("web", "open")]
        code, text = lab.call("status", "--socket", "admin.sock")
        assert code == 0 and len([line for line in text.split("\n") if line.startswith("web ")]) == 2, text
        rows = read_metrics(fetch(http)[1])
        assert rows["qmux_listener_connections", '{listener="web"}'] == 1
        assert rows["qmux_listener_leaving", '{listener="web"}'] == 1
        assert rows["qmux_listener_leaving", '{listener="new"}'] == 0
    until(lambda: states(ask(lab)["listeners"]) == [("new", "open"), ("web", "open")], "the old listener's end")
    until(lambda: states(ask(lab)["tunnels"]) == [("more", "open")], "the old tunnel's end")
    assert read_metrics(fetch(http)[1])["qmux_listener_leaving", '{listener="web"}'] == 0
    server.program.descriptors += 8


def settled(program):
    """Memory once those who left are swept away, a step a second."""
    time.sleep(7)
    return program.memory(), program.count_descriptors()


@scenario
def a_thousand_reloads_leave_no_memory_and_no_descriptor(lab):
    address, second, config = direct_both(lab)
    reloaded = run_direct(lab, config)
    configs = variants(config) + [config.replace("server =", f"server = {address_of()}\nserver =", 1)]
    with connect(address) as user:
        for number in range(500):
            reloaded.take(configs[number % len(configs)])
        reloaded.take(config)
        before = settled(reloaded.program)
        user.sendall(b"a")  # the service's patience has an end
        assert receive_exactly(user, 1) == b"a"
        for number in range(500):
            reloaded.take(configs[number % len(configs)])
        reloaded.take(config)
        after = settled(reloaded.program)
        user.sendall(b"still")
        assert receive_exactly(user, 5) == b"still"
    assert after[1] <= before[1], (before, after)
    if not lab.sanitized(reloaded.program):
        assert after[0] - before[0] < 300_000, (before, after)
