"""The command line: what scripts and people hold on to."""
import json
import os
import re
import signal
import stat
import subprocess
import time
import urllib.request

from ends import LOOPBACK, Service, echo, echo_once, free_port, is_served
from lab import Program, scenario, until
from stages import direct, direct_config


def answers(lab, code, pattern, *words):
    got, text = lab.call(*words)
    assert got == code and re.search(pattern, text), (words, got, text)
    return text


@scenario
def version_names_the_libraries(lab):
    text = answers(lab, 0, r"qmux-uring \d", "--version")
    for library in ("ngtcp2", "wolfSSL", "liburing", "c-ares", "ipsec-mb"):
        assert library.lower() in text.lower(), text


@scenario
def help_is_given_where_it_is_asked_for(lab):
    text = answers(lab, 0, "qmux-uring", "--help")
    for command in ("check", "config", "certs", "demo"):
        assert command in text
        answers(lab, 0, command, command, "--help")
    answers(lab, 2, "qmux-uring")


@scenario
def unknown_words_are_refused(lab):
    answers(lab, 2, "--what", "--what")
    answers(lab, 2, "nothing.ini", "nothing.ini")
    answers(lab, 2, "--what", "check", "--what")
    answers(lab, 2, "", "config", "what")


@scenario
def check_prints_every_error_with_file_and_line(lab):
    lab.write("bad.ini", "[server]\nworkers = 0\ncolour = red\n[listener web]\nbind = nowhere\n"
              "backend = gone\nbind = 127.0.0.1:70000\n[what]\n[listener web]\n"
              "[backend b]\nbalance = hope\n[log]\nlevel = info\nlevel = warn\n")
    code, text = lab.call("check", "bad.ini")
    assert code == 2
    lines = {int(number) for number in re.findall(r"^(?:.*/)?bad\.ini:(\d+): \S", text, re.M)}
    assert lines >= {2, 3, 5, 7, 8, 9, 11, 14}, text
    assert "gone" in text, text
    same, again = lab.call("bad.ini")
    assert same == 2 and "bad.ini:3:" in again, "running says the same"


@scenario
def check_knows_what_the_kernel_has_and_what_the_process_itself_takes(lab):
    config = direct_config("127.0.0.1:9090", ["127.0.0.1:1"])
    lab.write("bad.ini", config.replace("[backend web]", "tcp_congestion = nosuch\n[backend web]") +
              "tcp_congestion = nosuch\n")
    text = answers(lab, 2, r"bad\.ini:\d+: tcp_congestion: this kernel has no nosuch, or has not loaded it", "check", "bad.ini")
    assert text.count("nosuch") == 2, text
    lab.write("bad.ini", config + "[admin]\nhttp = 127.0.0.1:9090\n")
    answers(lab, 2, r"127\.0\.0\.1:9090 is bound already, at", "check", "bad.ini")
    lab.write("bad.ini", config + "[admin]\nsocket = a.sock\n[listener b]\nbind = unix:a.sock\n"
              "backend = web\n")
    answers(lab, 2, "unix:a.sock is bound already, at", "check", "bad.ini")
    lab.write("bad.ini", "[Server]\nWorkers = 1\n[server]\nWorkers = 1\n")
    answers(lab, 2, r"bad\.ini:4: .*the key is of a-z", "check", "bad.ini")


@scenario
def every_address_that_is_listened_on_is_named(lab):
    one, run = f"{LOOPBACK}:{free_port()}", "127.0.0.6:20000-20001"
    program = lab.run("binds", direct_config(one, ["127.0.0.1:1"],
                                             listener=f"bind = {run}\nbind = unix:u.sock\n"))
    for address in (one, run, "unix:u.sock"):
        assert program.count(f"listening for users .*address={re.escape(address)}$") or \
            f"address={address}\n" in program.text() + "\n", program.text()


@scenario
def check_opens_nothing_and_says_nothing_wrong_of_a_good_file(lab):
    stage = direct(lab, "127.0.0.1:1")  # its port is taken: check does not mind
    lab.write("good.ini", direct_config(stage.address, ["127.0.0.1:1"]))
    answers(lab, 0, "", "check", "good.ini")


@scenario
def a_port_or_path_that_is_taken_is_named_soon_and_its_owner_not_disturbed(lab):
    first = lab.run("first", direct_config("unix:users.sock", ["127.0.0.1:1"]))
    stage = direct(lab, "127.0.0.1:1")
    for taken in ("unix:users.sock", stage.address):
        lab.write("taken.ini", direct_config(taken, ["127.0.0.1:1"]))
        begun = time.monotonic()
        answers(lab, 1, f"cannot listen on {taken}: Address already in use", "taken.ini")
        assert time.monotonic() - begun < 5
    assert not first.count("connection ended"), "it was taken for a user"


@scenario
def an_answer_that_cannot_be_written_is_a_failure(lab):
    with open("/dev/full", "wb") as full:
        run = subprocess.run([lab.binary, "config", "server"], stdout=full, stderr=subprocess.PIPE,
                             check=False, env=lab.environment)
    assert run.returncode == 1 and b"No space left" in run.stderr, run.stderr


@scenario
def what_is_not_in_this_version_is_an_error(lab):
    lab.write("later.ini", "[server]\n[grant pods]\nidentity = a\n")
    answers(lab, 2, r"later\.ini:\d+: not in this version", "check", "later.ini")


@scenario
def starting_files_work_with_certs_beside_them(lab):
    lab.certs()
    for role in ("server", "client", "balancer"):
        lab.write(f"{role}.ini", answers(lab, 0, r"^[;#\[]", "config", role))
        answers(lab, 0, "", "check", f"{role}.ini")


@scenario
def certs_never_overwrites_unless_forced(lab):
    lab.certs("made", "--server-name", "a.example", "--client", "pod-1", "--client", "pod-2")
    names = sorted(os.listdir(lab.path("made")))
    assert names == ["ca.crt", "ca.key", "pod-1.crt", "pod-1.key", "pod-2.crt", "pod-2.key",
                     "server.crt", "server.key"], names
    for name in names:
        mode = stat.S_IMODE(os.stat(lab.path(f"made/{name}")).st_mode)
        assert not name.endswith(".key") or mode == 0o600, (name, oct(mode))
    with open(lab.path("made/ca.crt"), encoding="ascii") as file:
        authority = file.read()
    answers(lab, 1, "(?i)exist|force", "certs", "made", "--client", "pod-1")
    lab.certs("made", "--client", "pod-3")
    with open(lab.path("made/ca.crt"), encoding="ascii") as file:
        assert file.read() == authority, "a later run adds clients to the same CA"
    assert os.path.exists(lab.path("made/pod-3.crt"))
    lab.certs("made", "--client", "pod-1", "--force")


@scenario
def quiet_says_nothing_on_a_good_start_and_stop(lab):
    service = lab.add(Service(echo))
    address = f"{LOOPBACK}:{free_port()}"
    lab.write("quiet.ini", direct_config(address, [service.address]).replace("level = debug\n", ""))
    program = Program(lab, "quiet", ["-q", "quiet.ini"])
    lab.programs.append(program)
    until(lambda: is_served(address), "it serves")
    assert program.stop() == 0
    assert program.text() == "", program.text()


@scenario
def logs_in_json_are_one_object_a_line(lab):
    service = lab.add(Service(echo))
    address = f"{LOOPBACK}:{free_port()}"
    config = direct_config(address, [service.address])
    program = lab.start("json", config.replace("[log]\n", "[log]\nformat = json\n"))
    program.await_line("ready")
    echo_once(address)
    program.stop()
    lines = program.text().split("\n")
    assert len(lines) > 1
    for line in lines:
        assert json.loads(line)["level"] in ("debug", "info", "warn", "error"), line


@scenario
def logs_are_opened_anew_or_it_is_said_that_they_were_not(lab):
    service, address = lab.add(Service(echo)), f"{LOOPBACK}:{free_port()}"
    config = direct_config(address, [service.address])
    program = lab.start("logs", config.replace("[log]\n", "[log]\nfile = a.log\naccess = b.log\n"))
    until(lambda: is_served(address), "it serves")
    for name in ("a.log", "b.log"):
        os.rename(lab.path(name), lab.path(name + ".1"))
    program.signal(signal.SIGUSR1)
    until(lambda: os.path.exists(lab.path("b.log")), "both are there again")
    echo_once(address)
    until(lambda: os.path.getsize(lab.path("b.log")) > 0, "the new one is written")
    os.rename(lab.path("a.log"), lab.path("a.log.2"))
    os.mkdir(lab.path("a.log"))
    program.signal(signal.SIGUSR1)
    program.await_line("cannot open .*a.log anew.*: Is a directory")
    assert program.stop() == 0
    with open(lab.path("a.log.2"), encoding="utf-8") as file:
        assert "ended" in file.read()


@scenario
def demo_shows_a_tunnel_at_work(lab):
    program = Program(lab, "demo", ["demo"])
    lab.programs.append(program)
    url = program.await_line(r"http://[0-9.:]+\d").group(0)
    with urllib.request.urlopen(url + "/any/path", timeout=10) as answer:
        assert answer.status == 200 and answer.read()
    program.signal(signal.SIGINT)
    assert program.await_exit(10) == 0
