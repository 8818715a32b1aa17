"""What dies and comes back, and how the program itself ends."""
import signal
import time

from ends import Nat, Service, check_echo, connect, echo, echo_once, is_over, is_served, receive_all
from lab import REGISTERED, scenario, until
from stages import client_config, direct, tunnel, tunnel_client, tunnel_server


@scenario
def after_kill_and_restart_of_the_server_the_tunnel_is_back_within_3_s(lab):
    service = lab.add(Service(echo))
    stage = tunnel(lab, service.address)
    echo_once(stage.address)
    stage.server.kill()
    lab.again("server")
    begun = time.monotonic()
    stage.client.await_line(REGISTERED, times=2)
    echo_once(stage.address)
    assert time.monotonic() - begun < 3


@scenario
def a_server_that_starts_after_its_client_is_found(lab):
    service = lab.add(Service(echo))
    stage, dial = tunnel_server(lab)
    stage.server.stop()
    client = lab.start("client", client_config(dial, service.address))
    client.await_line("tunnel not made.*the server does not answer")
    lab.again("server")
    client.ready(REGISTERED)
    echo_once(stage.address)


@scenario
def a_client_that_falls_silent_is_given_up_and_comes_back(lab):
    service = lab.add(Service(echo))
    stage, dial = tunnel_server(lab, tunnel="heartbeat = 1s\nhealth_timeout = 3s\n")
    nat = lab.add(Nat(dial))
    client = tunnel_client(lab, nat.address, service.address)
    echo_once(stage.address)
    nat.silent = True
    begun = time.monotonic()
    assert not is_served(stage.address), "an open that nobody answers fails"
    assert time.monotonic() - begun < 3
    stage.server.await_line("tunnel client lost")
    client.await_line("tunnel lost")
    nat.silent = False
    client.await_line(REGISTERED, times=2)
    echo_once(stage.address)


@scenario
def a_killed_client_ends_the_users_it_carried(lab):
    service = lab.add(Service(echo))
    stage = tunnel(lab, service.address, tunnel="heartbeat = 1s\nhealth_timeout = 3s\n")
    with connect(stage.address) as user:
        check_echo(user)
        stage.client.kill()
        user.sendall(b"y")  # owed an answer now
        assert is_over(user)


def drains(lab, stage, program):
    """The open connection goes on, a new one is refused, and the end of the last ends the program."""
    with connect(stage.address) as user:
        check_echo(user)
        program.signal(signal.SIGTERM)
        program.await_line("(?i)drain")
        until(lambda: not is_served(stage.address), "new users are refused")
        check_echo(user, b"still")
        assert program.process.poll() is None
    assert program.await_exit(5) == 0


@scenario
def sigterm_drains_a_direct_relay(lab):
    stage = direct(lab, lab.add(Service(echo)).address, process="drain_timeout = 20s\n")
    drains(lab, stage, stage.server)


@scenario
def sigterm_drains_a_tunnel_server(lab):
    stage = tunnel(lab, lab.add(Service(echo)).address, process="drain_timeout = 20s\n")
    drains(lab, stage, stage.server)


@scenario
def sigterm_drains_a_tunnel_client(lab):
    stage = tunnel(lab, lab.add(Service(echo)).address, process="drain_timeout = 20s\n")
    drains(lab, stage, stage.client)


@scenario
def draining_ends_after_its_timeout(lab):
    stage = direct(lab, lab.add(Service(echo)).address, process="drain_timeout = 1s\n")
    with connect(stage.address) as user:
        check_echo(user)
        stage.server.signal(signal.SIGTERM)
        assert stage.server.await_exit(5) == 0
        try:
            assert receive_all(user) == b""
        except ConnectionResetError:
            pass


@scenario
def sigint_is_the_same_as_sigterm(lab):
    stage = direct(lab, lab.add(Service(echo)).address)
    echo_once(stage.address)
    stage.server.signal(signal.SIGINT)
    assert stage.server.await_exit(5) == 0


@scenario
def a_signal_not_served_yet_is_logged_and_not_fatal(lab):
    stage = direct(lab, lab.add(Service(echo)).address)
    for number, name in ((signal.SIGHUP, "HUP"), (signal.SIGUSR1, "USR1"), (signal.SIGUSR2, "USR2")):
        stage.server.signal(number)
        stage.server.await_line(name)
    echo_once(stage.address)
