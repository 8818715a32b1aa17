"""What the machine refuses: ports, descriptors, io_uring; and what it is told about it."""
import ctypes
import errno
import socket
import struct
import subprocess

from ends import LOOPBACK, Service, check_echo, connect, echo, free_port, is_served
from lab import scenario, until
from stages import direct, direct_config, server_config, tunnel

IO_URING_SETUP = 425


def forbid_io_uring(error):
    """For preexec_fn: io_uring_setup fails with this errno, as in a container or an old kernel."""
    def forbid():
        code = [(0x20, 0, 0, 0), (0x15, 0, 1, IO_URING_SETUP), (0x06, 0, 0, 0x00050000 | error),
                (0x06, 0, 0, 0x7FFF0000)]  # load number; is it ours; fail; allow
        filters = b"".join(struct.pack("HBBI", *step) for step in code)
        memory = ctypes.create_string_buffer(filters)
        program = struct.pack("HxxxxxxP", len(code), ctypes.addressof(memory))
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(38, 1, 0, 0, 0) or libc.prctl(22, 2, ctypes.create_string_buffer(program), 0, 0):
            raise OSError(ctypes.get_errno(), "seccomp")
    return forbid


def without_io_uring(lab, error, words):
    lab.write("file.ini", direct_config(f"{LOOPBACK}:{free_port()}", ["127.0.0.1:1"]))
    code, text = lab.call("file.ini", preexec_fn=forbid_io_uring(error))
    assert code == 1, (code, text)
    assert "io_uring" in text, text
    assert any(word in text for word in words), text


@scenario
def a_container_that_forbids_io_uring_is_named(lab):
    without_io_uring(lab, errno.EPERM, ("seccomp", "container", "io_uring_disabled"))


@scenario
def a_kernel_without_io_uring_is_named(lab):
    without_io_uring(lab, errno.ENOSYS, ("seccomp", "kernel"))


@scenario
def a_port_that_is_taken_is_named(lab):
    with socket.socket() as other:
        other.bind((LOOPBACK, 0))
        other.listen()
        address = f"{LOOPBACK}:{other.getsockname()[1]}"
        lab.write("file.ini", direct_config(address, ["127.0.0.1:1"]))
        code, text = lab.call("file.ini")
    assert code == 1 and address in text, (code, text)


@scenario
def a_port_taken_by_another_of_ours_is_named(lab):
    stage = direct(lab, "127.0.0.1:1")
    lab.write("file.ini", direct_config(stage.address, ["127.0.0.1:1"]))
    code, text = lab.call("file.ini")
    assert code == 1 and stage.address in text, (code, text)


@scenario
def a_udp_port_that_is_taken_is_named(lab):
    lab.certs()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind((LOOPBACK, 0))
        dial = f"{LOOPBACK}:{other.getsockname()[1]}"
        lab.write("file.ini", server_config(f"{LOOPBACK}:{free_port()}", dial))
        code, text = lab.call("file.ini")
    assert code == 1 and dial in text, (code, text)


def stays_alive(program, seconds):
    """For as long; what is measured meanwhile is what it does when nothing happens."""
    try:
        program.process.wait(seconds)
    except subprocess.TimeoutExpired:
        return
    raise AssertionError(f"{program.name} ended")


def out_of_descriptors(lab, stage, program):
    """More users than descriptors: accepting pauses without spinning and goes on when some end."""
    users = []
    for _ in range(150):
        user = connect(stage.address)
        user.setblocking(False)
        users.append(user)
    program.await_line("(?i)descriptor|EMFILE|too many open files")
    begun = program.cpu_seconds()
    stays_alive(program, 1)
    assert program.cpu_seconds() - begun < 0.3, "it spins while it cannot accept"
    for user in users:
        user.close()
    # Those who left while they waited in the queue are still let in and out, and need descriptors.
    until(lambda: is_served(stage.address), "users are served again")
    until(lambda: program.count_descriptors() <= program.descriptors, "all are closed again")


@scenario
def without_descriptors_a_direct_relay_pauses_accepting(lab):
    stage = direct(lab, lab.add(Service(echo)).address, process="nofile = 100\ndrain_timeout = 5s\n")
    out_of_descriptors(lab, stage, stage.server)


@scenario
def without_descriptors_a_tunnel_server_pauses_accepting(lab):
    service = lab.add(Service(echo))
    stage = tunnel(lab, service.address, process="nofile = 100\ndrain_timeout = 5s\n")
    out_of_descriptors(lab, stage, stage.server)


@scenario
def idle_connections_cost_no_cpu(lab):
    stage = tunnel(lab, lab.add(Service(echo)).address)
    users = [connect(stage.address) for _ in range(50)]
    for user in users:
        check_echo(user)
    before = [program.cpu_seconds() for program in stage.programs]
    stays_alive(stage.server, 2)
    spent = [program.cpu_seconds() - was for program, was in zip(stage.programs, before)]
    assert max(spent) < 0.2, spent
    for user in users:
        user.close()
