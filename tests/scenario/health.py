"""Active health checks: who does not serve gets no users, before any of them has met it."""
import concurrent.futures
import json
import ssl
import time

from ends import (LOOPBACK, DatagramService, DatagramUser, Service, check_echo, connect, echo,
                  free_port, receive_all, said_by, saying)
from lab import scenario, until
from reload import run_direct
from stages import direct, direct_config

QUICK = "health_interval = 100ms\nhealth_timeout = 400ms\nrise = 2\nfall = 2\n"


class WebServer:
    """Answers each GET with what `answer` says at that moment, and keeps what it was asked."""

    def __init__(self, answer):
        self.answer, self.asked = answer, []
        self.service = Service(self._handle)
        self.address = self.service.address

    def _handle(self, sock):
        question = b""
        while b"\r\n\r\n" not in question:
            part = sock.recv(4096)
            if not part:
                return
            question += part
        self.asked.append(question)
        for part in self.answer:
            sock.sendall(part)

    def close(self):
        self.service.close()


def said_or_refused(address):
    try:
        return said_by(address)
    except ConnectionError:
        return b""


OK, AWAY = [b"HTTP/1.1 200 OK\r\n\r\n"], [b"HTTP/1.1 503 Service Unavailable\r\n\r\n"]


def checked(lab, kind, *targets, more=QUICK):
    return direct(lab, *targets, backend=f"health = {kind}\nretries = 0\neject_after = 0\n{more}")


@scenario
def a_server_that_is_away_gets_no_user_and_comes_back_after_rise_good_answers(lab):
    there = lab.add(Service(saying(b"b")))
    port = free_port()
    stage = checked(lab, "tcp", f"{LOOPBACK}:{port}", there.address)
    stage.server.await_line("server is down.*refused by the service")
    assert {said_by(stage.address) for _ in range(6)} == {b"b"}
    back = lab.add(Service(saying(b"a"), port=port))
    stage.server.await_line("server is back")
    assert {said_by(stage.address) for _ in range(6)} == {b"a", b"b"}
    assert back.accepted >= 2, "one good answer was enough"


@scenario
def a_server_falls_only_after_fall_bad_answers(lab):
    web = lab.add(WebServer(OK))
    stage = checked(lab, "http", web.address)
    until(lambda: web.asked, "it is asked")
    web.answer = AWAY
    asked = len(web.asked)
    stage.server.await_line("server is down.*not a good one")
    assert len(web.asked) >= asked + 2, "one bad answer was enough"


@scenario
def a_status_decides_however_its_bytes_come(lab):
    web = lab.add(WebServer(AWAY))
    stage = checked(lab, "http", web.address, more=QUICK + "health_path = /ready?deep=1\n")
    stage.server.await_line("server is down")
    for number, good in enumerate(([b"H", b"TTP/1.1 2", b"04 No Content\r\n\r\n"],
                                   [b"HTTP/1.0 302 Found\r\nLocation: /\r\n\r\n" + b"x" * 100000])):
        web.answer = good
        stage.server.await_line("server is back", number + 1)
        web.answer = ([b"HTTP/1.1 404 Not Found\r\n\r\n"], [b"SSH-2.0-OpenSSH\r\n"])[number]
        stage.server.await_line("server is down", number + 2)
    head, *lines = web.asked[0].decode().split("\r\n")
    assert head == "GET /ready?deep=1 HTTP/1.0", head
    assert f"Host: {web.address}" in lines, lines


@scenario
def who_accepts_and_says_nothing_is_down_after_health_timeout(lab):
    silent = lab.add(Service(receive_all))
    stage = checked(lab, "http", silent.address)
    stage.server.await_line("server is down.*did not answer the health check in time")


@scenario
def who_begins_a_tls_handshake_serves_and_who_speaks_otherwise_does_not(lab):
    lab.certs()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(f"{lab.folder}/server.crt", f"{lab.folder}/server.key")
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        context.minimum_version = context.maximum_version = version

        def handshake(sock):
            try:
                context.wrap_socket(sock, server_side=True)
            except (ssl.SSLError, OSError):
                pass  # it leaves as soon as it has its answer
        secure, plain = lab.add(Service(handshake)), lab.add(Service(saying(b"220 hello")))
        stage = checked(lab, "tls", secure.address, plain.address)
        stage.server.await_line(f"server is down.*member={plain.address}.*not a good one")
        until(lambda: secure.accepted >= 3, "the other is asked again and again")
        assert stage.server.count("server is down") == 1


@scenario
def a_udp_port_that_nobody_has_is_down(lab):
    there = lab.add(DatagramService())
    away = f"{LOOPBACK}:{free_port()}"
    stage = direct(lab, away, there.address, listener="protocol = udp\nudp_timeout = 1s\n",
                   backend="health = udp\neject_after = 0\n" + QUICK)
    stage.server.await_line(f"server is down.*member={away}.*refused by the service")
    for _ in range(4):
        assert lab.add(DatagramUser(stage.address)).ask(b"who?") == b"who?"


@scenario
def a_user_is_refused_at_once_where_all_are_down(lab):
    stage = checked(lab, "tcp", f"{LOOPBACK}:{free_port()}")
    stage.server.await_line("server is down")
    assert said_or_refused(stage.address) == b""
    stage.server.await_line("no member of the backend can take it")


@scenario
def status_says_who_is_down_and_counts_it(lab):
    there = lab.add(Service(saying(b"b")))
    stage = checked(lab, "tcp", f"{LOOPBACK}:{free_port()}", there.address,
                    more=QUICK + "[admin]\nsocket = admin.sock\n")
    stage.server.await_line("server is down")
    code, text = lab.call("status", "--json", "--socket", lab.path("admin.sock"))
    status = json.loads(text)
    assert code == 0 and [member["state"] for member in status["backends"][0]["members"]] == ["down", "fit"]
    assert status["counters"]["servers_down"] == 1 and status["counters"]["health_failed"] >= 1


@scenario
def connections_of_a_server_that_goes_down_live_on(lab):
    service = Service(echo)
    stage = checked(lab, "tcp", service.address)
    with connect(stage.address) as user:
        check_echo(user)
        service.close()
        stage.server.await_line("server is down")
        check_echo(user)


@scenario
def a_proxy_header_without_addresses_goes_in_front_where_servers_expect_one(lab):
    web = lab.add(WebServer(OK))
    stage = checked(lab, "http", web.address, more=QUICK + "send_proxy = v1\n")
    until(lambda: web.asked, "it is asked")
    assert web.asked[0].startswith(b"PROXY UNKNOWN\r\nGET /health HTTP/1.0\r\n"), web.asked[0]
    assert stage.server.count("server is down") == 0


@scenario
def a_reload_begins_and_ends_health_checks(lab):
    there, away = lab.add(Service(saying(b"b"))), f"{LOOPBACK}:{free_port()}"
    address = f"{LOOPBACK}:{free_port()}"
    config = direct_config(address, [away, there.address], backend="retries = 0\neject_after = 0\n")
    reloaded = run_direct(lab, config)
    for times in (1, 2):
        reloaded.take(config + "health = tcp\n" + QUICK)
        reloaded.program.await_line("server is down", times)
        assert [said_by(address) for _ in range(4)] == [b"b"] * 4
        reloaded.take(config)
        reloaded.program.await_line("server is back", times)
        assert sorted(said_or_refused(address) for _ in range(4)) == [b"", b"", b"b", b"b"]


@scenario
def servers_are_asked_all_at_the_start_and_then_each_in_its_own_moment(lab):
    asked = []
    services = [lab.add(Service(lambda sock: asked.append(time.monotonic()))) for _ in range(20)]
    checked(lab, "tcp", *[service.address for service in services],
            more="health_interval = 1s\nhealth_timeout = 400ms\n")
    until(lambda: len(asked) >= 40, "all were asked twice")
    first, second = sorted(asked)[:20], sorted(asked)[20:40]
    assert second[0] > first[-1] and second[-1] - second[0] > 0.2, (first, second)


@scenario
def every_worker_leaves_out_who_is_down(lab):
    there = lab.add(Service(saying(b"b")))
    address = f"{LOOPBACK}:{free_port()}"
    config = direct_config(address, [f"{LOOPBACK}:{free_port()}", there.address],
                           backend="health = tcp\nretries = 0\neject_after = 0\n" + QUICK)
    program = lab.run("direct", config.replace("workers = 1", "workers = 4"))
    program.await_line("server is down")
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        assert list(pool.map(said_by, [address] * 60)) == [b"b"] * 60


@scenario
def a_server_at_a_path_that_leads_nowhere_is_down(lab):
    there = lab.add(Service(saying(b"b")))
    lab.write("plain", "no socket, and no folder")
    stage = checked(lab, "tcp", "unix:plain/below", "unix:plain", there.address)
    stage.server.await_line("server is down", 2)
    assert {said_by(stage.address) for _ in range(4)} == {b"b"}


@scenario
def a_reload_while_a_check_ends_goes_by_the_new_settings(lab):
    web = lab.add(WebServer(OK))
    address = f"{LOOPBACK}:{free_port()}"
    config = direct_config(address, [web.address])
    reloaded = run_direct(lab, config)
    for _ in range(20):
        reloaded.take(config + "health = http\nhealth_interval = 100ms\n")
        asked = len(web.asked)
        until(lambda asked=asked: len(web.asked) > asked, "it is asked")
        reloaded.take(config)
    asked = len(web.asked)
    time.sleep(0.3)  # that nothing comes is what is claimed
    assert len(web.asked) == asked, "it is still asked"


@scenario
def a_tcp_check_sends_the_proxy_header_that_its_server_expects(lab):
    heard = []
    service = lab.add(Service(lambda sock: heard.append(sock.recv(100))))
    checked(lab, "tcp", service.address, more=QUICK + "send_proxy = v1\n")
    until(lambda: heard, "it is connected to")
    assert heard[0] == b"PROXY UNKNOWN\r\n", heard
