"""Several clients behind one port, and several servers behind one backend."""
import concurrent.futures
import time

from admin import admin_lines, ask, fetch
from ends import (Service, check_echo, connect, echo, echo_once, free_port, is_served, said_by,
                  saying)
from lab import REGISTERED, scenario, until
from prometheus import read_metrics
from stages import client_config, direct, tunnel_client, tunnel_server


def two_clients(lab, handlers, tunnel=""):
    lab.certs(".", "--client", "client-a", "--client", "client-b")
    services = [lab.add(Service(handler)) for handler in handlers]
    stage, dial = tunnel_server(lab, certs=False, tunnel=tunnel)
    clients = [tunnel_client(lab, dial, service.address, name=name)
               for service, name in zip(services, ("client-a", "client-b"))]
    stage.server.await_line(REGISTERED, times=2)
    return stage, clients, services


@scenario
def servers_take_turns(lab):
    services = [lab.add(Service(saying(word))) for word in (b"a", b"b", b"c")]
    stage = direct(lab, *[service.address for service in services])
    answers = [said_by(stage.address) for _ in range(9)]
    assert sorted(answers[:3]) == [b"a", b"b", b"c"] and answers == answers[:3] * 3, answers


@scenario
def the_least_busy_server_is_taken(lab):
    services = [lab.add(Service(echo)) for _ in range(2)]
    stage = direct(lab, *[service.address for service in services], backend="balance = least_conn\n")
    held = []
    for _ in range(6):
        user = connect(stage.address)
        check_echo(user)
        held.append(user)
    assert [service.accepted for service in services] == [3, 3]
    for user in held:
        user.close()


@scenario
def a_server_that_is_away_costs_the_user_nothing(lab):
    gone = Service(echo)
    gone.close()
    there = lab.add(Service(echo))
    stage = direct(lab, gone.address, there.address)
    for key in range(6):
        echo_once(stage.address, key=key)


@scenario
def a_server_that_comes_and_goes_is_left_out_ever_longer_and_taken_back(lab):
    flaps, there = Service(saying(b"a")), lab.add(Service(saying(b"b")))
    stage = direct(lab, flaps.address, there.address,
                   backend="eject_after = 2\neject_time = 200ms\neject_max = 1s\n")
    assert {said_by(stage.address) for _ in range(4)} == {b"a", b"b"}
    for round_of in (1, 2):
        flaps.close()
        begun = time.monotonic()
        until(lambda: said_by(stage.address) == b"b" and
              stage.server.count("server ejected.*in_a_row=4") >= round_of,
              "it is found away four times")
        assert time.monotonic() - begun > 0.2 + 0.4 + 0.8, "the time out does not double"
        flaps = Service(saying(b"a"), port=flaps.port)
        until(lambda: said_by(stage.address) == b"a", "it is used again")
        stage.server.await_line("ejected server is back", round_of)
    lab.add(flaps)
    assert {said_by(stage.address) for _ in range(4)} == {b"a", b"b"}


@scenario
def an_ejected_server_is_seen_to_be_out_until_it_serves(lab):
    gone, http = Service(saying(b"a")), free_port()
    address = direct(lab, gone.address, backend="eject_after = 1\neject_time = 50ms\n"
                     "eject_max = 50ms\n" + admin_lines(http)).address
    name = ("qmux_member_up", '{backend="web",member="%s"}' % gone.address)

    def seen():
        up = read_metrics(fetch(http)[1])[name]
        return ask(lab)["backends"][0]["members"][0]["state"], up

    assert said_by(address) == b"a" and seen() == ("fit", 1)
    gone.close()
    assert not is_served(address) and seen() == ("ejected", 0)
    assert "ejected" in lab.call("status", "--socket", "admin.sock")[1]
    lab.add(Service(saying(b"a"), port=gone.port))
    until(lambda: said_by(address) == b"a", "it is used again")
    assert seen() == ("fit", 1)


@scenario
def clients_take_turns(lab):
    stage, _, _ = two_clients(lab, [saying(b"a"), saying(b"b")])
    answers = [said_by(stage.address) for _ in range(8)]
    assert answers == answers[:2] * 4 and sorted(answers[:2]) == [b"a", b"b"], answers


@scenario
def a_killed_client_is_left_out(lab):
    stage, clients, _ = two_clients(lab, [saying(b"a"), saying(b"b")])
    answers = set()
    until(lambda: answers.add(said_by(stage.address)) or answers == {b"a", b"b"}, "both clients serve")
    clients[0].kill()
    begun = time.monotonic()
    for _ in range(6):
        assert said_by(stage.address) == b"b"
    assert time.monotonic() - begun < 5, "each user lost at most the open's timeout"


@scenario
def connections_of_the_other_client_do_not_notice(lab):
    stage, clients, services = two_clients(lab, [echo, echo],
                                           tunnel="heartbeat = 1s\nhealth_timeout = 3s\n")
    users = [connect(stage.address) for _ in range(4)]
    for user in users:
        check_echo(user)
    assert [service.accepted for service in services] == [2, 2]
    clients[0].kill()
    living = 0
    for user in users:
        user.settimeout(1)
        try:
            user.sendall(b"y")
            living += user.recv(1) == b"y"
        except OSError:
            pass
        user.close()
    assert living == 2


@scenario
def a_refused_open_is_replayed_with_its_bytes_on_the_other_client(lab):
    stage, clients, services = two_clients(lab, [echo, echo])
    services[0].close()
    for key in range(6):
        echo_once(stage.address, key=key, size=5000)
    assert services[1].accepted == 6
    begun = time.monotonic()
    clients[0].stop()
    assert time.monotonic() - begun < 3, "what it refused is over: its drain waits for nobody"


@scenario
def users_are_refused_at_once_when_no_client_is_there(lab):
    stage, _ = tunnel_server(lab)
    begun = time.monotonic()
    assert not is_served(stage.address)
    assert time.monotonic() - begun < 2


@scenario
def a_client_that_leaves_in_order_loses_no_user(lab):
    stage, clients, _ = two_clients(lab, [echo, echo])
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(echo_once, stage.address, key, 2000) for key in range(100)]
        clients[0].stop()
        for answer in asked:
            answer.result()
    echo_once(stage.address)


@scenario
def one_client_holds_tunnels_to_two_servers(lab):
    lab.certs()
    service = lab.add(Service(echo))
    first, dial_first = tunnel_server(lab, name="first", certs=False)
    second, dial_second = tunnel_server(lab, name="second", certs=False)
    client = lab.start("client", client_config(
        dial_first, service.address, client=f"server = {dial_second} name=localhost\n"))
    client.await_line(REGISTERED, times=2)
    client.ready(REGISTERED)
    echo_once(first.address)
    echo_once(second.address)
    first.server.kill()
    echo_once(second.address)
    assert not is_served(first.address)
