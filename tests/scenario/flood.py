"""Floods on a tunnel's port: handshakes that are begun from many addresses and never go on, and what
only looks like one.  Meanwhile the tunnel serves, and honest clients come in."""
import ctypes
import ctypes.util
import hashlib
import hmac
import json
import multiprocessing
import random
import socket
import struct
import time

import stages
from ends import (LOOPBACK, Service, connect, echo, echo_once, exchange, exchanging, host_port, keyed,
                  receive_exactly)
from lab import REGISTERED, Skip, scenario, until
from stages import client_config, tunnel_client, tunnel_server

SALT = bytes.fromhex("38762cf7f55934b34d179ae6a4c80cadccbb7f0a")  # of version 1's Initial keys
INITIAL_MIN = 1200
HONEST = 2  # clients of ours, with a connection to each worker
MEMORY_MAX = 48 << 20  # a hundred half-open handshakes, and the pools that their packets go through


class Crypto:
    """AES-128 by the system's libcrypto."""

    def __init__(self):
        name = ctypes.util.find_library("crypto") or "libcrypto.so.3"
        try:
            self.lib = ctypes.CDLL(name)
            self.lib.EVP_aes_128_gcm.restype = ctypes.c_void_p
            self.lib.EVP_aes_128_ecb.restype = ctypes.c_void_p
            self.lib.EVP_CIPHER_CTX_new.restype = ctypes.c_void_p
        except (OSError, AttributeError) as error:
            raise Skip(f"no libcrypto: {error}") from error
        self.context = ctypes.c_void_p(self.lib.EVP_CIPHER_CTX_new())

    def _run(self, cipher, key, iv, data, extra, encrypt):
        lib, out, length = self.lib, ctypes.create_string_buffer(len(data) + 16), ctypes.c_int()
        lib.EVP_CipherInit_ex(self.context, ctypes.c_void_p(cipher), None, key, iv, encrypt)
        lib.EVP_CIPHER_CTX_set_padding(self.context, 0)
        if extra:
            lib.EVP_CipherUpdate(self.context, None, ctypes.byref(length), extra, len(extra))
        lib.EVP_CipherUpdate(self.context, out, ctypes.byref(length), data, len(data))
        return out.raw[:length.value]

    def block(self, key, data):
        return self._run(self.lib.EVP_aes_128_ecb(), key, None, data, b"", 1)

    def seal(self, key, iv, data, extra):
        sealed = self._run(self.lib.EVP_aes_128_gcm(), key, iv, data, extra, 1)
        end, tag = ctypes.c_int(), ctypes.create_string_buffer(16)
        self.lib.EVP_CipherFinal_ex(self.context, tag, ctypes.byref(end))
        self.lib.EVP_CIPHER_CTX_ctrl(self.context, 0x10, 16, tag)  # take the tag
        return sealed + tag.raw

    def open(self, key, iv, data, extra):
        opened = self._run(self.lib.EVP_aes_128_gcm(), key, iv, data[:-16], extra, 0)
        end, rest = ctypes.c_int(), ctypes.create_string_buffer(16)
        self.lib.EVP_CIPHER_CTX_ctrl(self.context, 0x11, 16, data[-16:])  # the tag to be found
        assert self.lib.EVP_CipherFinal_ex(self.context, rest, ctypes.byref(end)) == 1
        return opened


def expand(secret, label, length):
    name = b"tls13 " + label
    info = struct.pack("!HB", length, len(name)) + name + b"\0"
    return hmac.digest(secret, info + b"\1", hashlib.sha256)[:length]


def client_keys(cid):
    """Key, iv and header key of a client's Initial packets."""
    secret = expand(hmac.digest(SALT, cid, hashlib.sha256), b"client in", 32)
    return [expand(secret, label, size) for label, size in
            ((b"quic key", 16), (b"quic iv", 12), (b"quic hp", 16))]


def xor(left, right):
    return bytes(a ^ b for a, b in zip(left, right))


class Forge:
    """Makes Initials that are valid in every byte, each of a connection of its own, out of one
    that a client of ours has sent."""

    def __init__(self, packet):
        self.crypto = Crypto()
        assert packet[0] & 0xF0 == 0xC0 and packet[1:5] == b"\0\0\0\1", packet[:20].hex()
        at = 6 + packet[5]
        cid = packet[6:at]
        self.source = packet[at + 1:at + 1 + packet[at]]
        at += 1 + packet[at]
        assert packet[at] == 0, "a token in a first packet"
        width = 1 << (packet[at + 1] >> 6)
        length = int.from_bytes(packet[at + 1:at + 1 + width], "big") & (1 << 8 * width - 2) - 1
        at += 1 + width
        key, iv, header = client_keys(cid)
        mask = self.crypto.block(header, packet[at + 4:at + 20])
        first, size = packet[0] ^ (mask[0] & 0x0F), 1 + ((packet[0] ^ mask[0]) & 3)
        number = xor(packet[at:at + size], mask[1:])
        self.frames = self.crypto.open(key, xor(iv, number.rjust(12, b"\0")),
                                       packet[at + size:at + length],
                                       bytes([first]) + packet[1:at] + number)

    def initial(self, valid=True, cid=None, token=b""):
        cid = cid or random.randbytes(18)
        key, iv, header = client_keys(cid)
        length = 4 + len(self.frames) + 16
        head = (b"\xC3\0\0\0\1" + bytes([len(cid)]) + cid + bytes([len(self.source)]) + self.source +
                struct.pack("!H", 0x4000 | len(token)) + token + struct.pack("!H", 0x4000 | length))
        number = random.randbytes(2).rjust(4, b"\0")
        sealed = self.crypto.seal(key, xor(iv, number.rjust(12, b"\0")), self.frames, head + number)
        if not valid:
            sealed = random.randbytes(len(sealed))
        mask = self.crypto.block(header, sealed[:16])
        return (bytes([head[0] ^ (mask[0] & 0x0F)]) + head[1:] + xor(number, mask[1:]) + sealed)


def captured(lab):
    """The first packet of a client of ours."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as port:
        port.bind((LOOPBACK, 0))
        port.settimeout(15)
        client = lab.start("captured", client_config(f"{LOOPBACK}:{port.getsockname()[1]}",
                                                     "127.0.0.1:1", name="client"))
        packet = port.recv(1 << 16)
        client.stop()
    return packet


def source(number):
    """An address of its own, in a prefix of its own."""
    return f"127.{1 + number // 250 % 250}.{1 + number % 250}.{1 + number // 62500}"


class Strangers:
    """Sends each packet from another address; keeps the first to see what they are answered."""

    def __init__(self, dial, kept=60):
        self.server, self.count, self.kept, self.open = host_port(dial), 0, kept, []

    def send(self, packet):
        self.count += 1
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind((source(self.count), 0))
        sock.sendto(packet, self.server)
        if len(self.open) < self.kept:
            self.open.append((sock, len(packet)))
        else:
            sock.close()

    def check_amplification(self):
        """Nobody is sent more than three times what they sent."""
        answered = 0
        for sock, sent in self.open:
            sock.setblocking(False)
            heard = 0
            try:
                while data := sock.recv(1 << 16):
                    heard += len(data)
            except BlockingIOError:
                pass
            assert heard <= 3 * sent, f"{heard} bytes in answer to {sent}"
            answered += heard > 0
        return answered

    def close(self):
        for sock, _ in self.open:
            sock.close()


def counters(lab):
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(15)
        sock.connect(lab.path("admin.sock"))
        sock.sendall(b"status\n")
        return json.loads(sock.makefile().readline())["counters"]


class Siege:
    """A tunnel with a user who stays, and strangers before the server's port."""

    def __init__(self, lab):
        lab.certs(".", "--client", "client", "--client", "client-late")
        self.lab = lab
        self.forge = Forge(captured(lab))
        self.service = lab.add(Service(echo))
        self.stage, self.dial = tunnel_server(lab, certs=False,
                                              listener="[admin]\nsocket = admin.sock\n")
        self.stage.client = tunnel_client(lab, self.dial, self.service.address)
        self.stage.server.await_line("tunnel client registered")
        self.strangers = lab.add(Strangers(self.dial))
        self.user = lab.add(connect(self.stage.address))
        self.talk(0)
        self.memory = self.stage.server.memory()

    def talk(self, turn):
        """The flood goes on only as fast as an honest user is served."""
        begun = time.monotonic()
        self.user.sendall(keyed(turn, 1000))
        assert receive_exactly(self.user, 1000) == keyed(turn, 1000)
        assert time.monotonic() - begun < 3, "an honest user waits"

    def flood(self, count, packet):
        for turn in range(count // 20):
            for _ in range(20):
                self.strangers.send(packet())
            self.talk(turn)

    def end(self, memory_max=MEMORY_MAX):
        """What came of it: counters; memory is bounded."""
        server = self.stage.server
        now = counters(self.lab)
        assert server.memory() - self.memory < memory_max or self.lab.sanitized(server)
        echo_once(self.stage.address)
        self.user.close()
        assert self.stage.server.count("tunnel client (lost|left|gone)") == 0
        return now


@scenario
def handshakes_from_many_addresses_leave_honest_clients_their_service(lab):
    siege = Siege(lab)
    siege.flood(2000, siege.forge.initial)
    tunnel_client(lab, siege.dial, siege.service.address, name="client-late")  # in its midst
    siege.flood(1000, siege.forge.initial)
    assert siege.strangers.check_amplification() > 10, "a valid first packet is answered"
    now = siege.end()
    # A hundred half-open ones a worker are remembered; all others are asked for proof, and forgotten.
    assert now["retries_sent"] > 2000 and now["connections_made"] == HONEST * stages.workers, now


@scenario
def what_only_looks_like_handshakes_leaves_honest_clients_their_service(lab):
    siege = Siege(lab)

    def other_version():
        packet = siege.forge.initial()
        return packet[:1] + b"\x1a\x2a\x3a\x4a" + packet[5:]

    def short():
        return bytes([0x40 | random.randrange(64)]) + random.randbytes(100)
    strange = 600 * stages.workers
    siege.flood(strange, other_version)
    siege.flood(600, short)
    siege.flood(1000, lambda: siege.forge.initial(valid=False))
    siege.flood(600, lambda: siege.forge.initial()[:random.randrange(1, INITIAL_MIN)])
    tunnel_client(lab, siege.dial, siege.service.address, name="client-late")
    siege.strangers.check_amplification()
    now = siege.end()
    # Negotiations have a rate on each worker; an id that is not one of ours is not worth an answer.
    assert 0 < now["version_negotiations"] < strange and now["stateless_resets"] == 0, now
    assert now["packets_invalid"] >= 1200, now
    assert now["connections_made"] == HONEST * stages.workers, now
    # Whoever may send a packet may not write the log.
    assert siege.stage.server.count(r" (?:info|warn) +tunnel handshake failed") < 200


def retried(packet):
    """The id and the token of a Retry; None for another packet."""
    if packet[0] & 0xF0 != 0xF0:
        return None
    at = 6 + packet[5]
    end = at + 1 + packet[at]
    return packet[at + 1:end], packet[end:-16]


def begin_proven(sock, server, forge):
    """Begins a handshake, proves its address where it is asked to, and does not go on."""
    sock.sendto(forge.initial(), server)
    while (answer := retried(sock.recv(1 << 16))) is None:
        pass
    sock.sendto(forge.initial(cid=answer[0], token=answer[1]), server)


@scenario
def strangers_who_prove_their_address_do_not_take_all_handshakes(lab):
    siege = Siege(lab)
    server = host_port(siege.dial)
    siege.flood(100 * stages.workers, siege.forge.initial)  # from here on all are asked for proof
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((source(0), 0))
        sock.settimeout(15)
        until(lambda: counters(lab)["retries_sent"] > 0 or sock.sendto(
            siege.forge.initial(), server) and False, "it is crowded")
        for turn in range(1100):
            begin_proven(sock, server, siege.forge)
            if turn % 20 == 0:
                siege.talk(turn)
        tunnel_client(lab, siege.dial, siege.service.address, name="client-late")
    siege.end(2 * MEMORY_MAX)  # a thousand half-open ones


@scenario
def handshakes_that_fail_do_not_fill_the_log(lab):
    lab.certs(".", "--client", "client")
    forge = Forge(captured(lab))
    stage, dial = tunnel_server(lab, certs=False, tunnel="handshake_timeout = 1s\nretry = always\n",
                                listener="[admin]\nsocket = admin.sock\n")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(15)
        for _ in range(500):
            begin_proven(sock, host_port(dial), forge)
    until(lambda: counters(lab)["connections_failed"] == 500, "they are given up")
    assert 0 < stage.server.count(r" (?:info|warn) +tunnel handshake failed") < 150


@scenario
def half_open_handshakes_end_by_themselves(lab):
    lab.certs(".", "--client", "client")
    forge = Forge(captured(lab))
    stage, dial = tunnel_server(lab, certs=False, tunnel="handshake_timeout = 1s\n",
                                listener="[admin]\nsocket = admin.sock\n")
    strangers = lab.add(Strangers(dial))
    for _ in range(150 * stages.workers):
        strangers.send(forge.initial())
    until(lambda: counters(lab)["retries_sent"] > 0, "there are too many")
    until(lambda: counters(lab)["connections_failed"] >= 100, "they are given up")
    tunnel_client(lab, dial, lab.add(Service(echo)).address)
    stage.server.await_line(REGISTERED)
    stage.server.descriptors = stage.server.count_descriptors()
    echo_once(stage.address)


def noise(server, rate):
    """What has the form of first packets and opens under no key, from many addresses, for ever."""
    form = b"\xC3\0\0\0\1\x12%s\x11%s\0" + struct.pack("!H", 0x4000 | INITIAL_MIN - 45)
    senders = []
    for number in range(100):
        senders.append(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        senders[-1].bind((source(number), 0))
    tail, begun, sent = random.randbytes(INITIAL_MIN - 45), time.monotonic(), 0
    while True:
        for _ in range(int((time.monotonic() - begun) * rate) - sent):
            packet = form % (random.randbytes(18), random.randbytes(17)) + tail
            senders[sent % 100].sendto(packet, server)
            sent += 1
        time.sleep(0.001)


class Noise:
    def __init__(self, dial, rate):
        self.process = multiprocessing.get_context("fork").Process(
            target=noise, args=(host_port(dial), rate), daemon=True)
        self.process.start()

    def close(self):
        self.process.kill()
        self.process.join()


@scenario
def noise_leaves_a_tunnel_its_speed_and_costs_no_memory(lab):
    size, up, down = 16 << 20, 1, 2
    service = lab.add(Service(exchanging(up, size, down, size)))
    stage, dial = tunnel_server(lab, tunnel="open_timeout = 10s\n",
                                listener="[admin]\nsocket = admin.sock\n")
    stage.client = tunnel_client(lab, dial, service.address)
    stage.server.await_line(REGISTERED)

    def transfer():
        begun = time.monotonic()
        with connect(stage.address) as user:
            exchange(user, up, size, down, size)
        service.result()
        return time.monotonic() - begun
    transfer()
    calm, memory, before = transfer(), stage.server.memory(), counters(lab)
    flood = lab.add(Noise(dial, rate=2000 if lab.sanitized(stage.server) else 10000))
    until(lambda: counters(lab)["packets_invalid"] > 5000, "noise arrives")
    loud = transfer()
    now = counters(lab)
    flood.close()
    assert loud < 3 * calm + 1, f"{loud:.2f} s instead of {calm:.2f} s"
    assert stage.server.memory() - memory < 8 << 20 or lab.sanitized(stage.server)
    # Nothing was begun for it, nobody was answered, and nobody's allowance was spent.
    for name in ("connections_made", "connections_failed", "retries_sent", "limit_handshakes"):
        assert now[name] == before[name], (name, before[name], now[name])
