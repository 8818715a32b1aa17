"""Paths between the two sides of a tunnel: the loopback, a veth pair, or a wire that loses.

The near side (users, tunnel server, relay) is the namespace that we are in; the far side (tunnel
client, service) is another one, except on the loopback."""

import subprocess
import time

from lib.process import Failed, Process

NEAR, FAR = "10.77.0.1", "10.77.0.2"


class Path:
    """name; mtu; devices: (near, far) names; offloads: words for ethtool; wire: loss %, delay ms."""

    def __init__(self, name, words, mtu=None, offloads=(), wire=None):
        self.name, self.words, self.mtu = name, words, mtu
        self.offloads, self.wire = offloads, wire
        self.space, self.process = None, None

    def hosts(self):
        """Where the tunnel server listens, and where the service is, seen from the near side."""
        return ("127.0.0.1", "127.0.0.1") if self.mtu is None else (NEAR, FAR)

    def open(self, space, binaries, folder, cores):
        if self.mtu is None:
            return
        self.space = space
        if self.wire:
            devices = ("wire0", "wire1")
            self._open_wire(binaries, folder, cores)
        else:
            devices = ("veth0", "veth1")
            run("ip", "link", "add", "veth0", "type", "veth", "peer", "veth1", "netns", space)
        for device, address, inside in ((devices[0], NEAR, None), (devices[1], FAR, space)):
            run("ip", "addr", "add", address + "/24", "dev", device, space=inside)
            run("ip", "link", "set", device, "mtu", str(self.mtu), "up", space=inside)
            if self.offloads:
                run("ethtool", "-K", device, *self.offloads, space=inside)

    def _open_wire(self, binaries, folder, cores):
        loss, delay = self.wire
        words = [binaries["bench-wire"], self.space, "--loss", str(loss), "--delay", str(delay)]
        self.process = Process("wire", words, cores, folder)
        end = time.monotonic() + 5
        while "ready" not in self.process.words():
            if time.monotonic() > end or not self.process.alive():
                raise Failed("the wire does not stand: " + self.process.words())
            time.sleep(0.02)

    def close(self):
        if self.process:
            self.process.stop()
            self.process = None
        elif self.space:
            run("ip", "link", "delete", "veth0")
        self.space = None

    def describe(self):
        """What the kernel says of it, for the report."""
        if not self.space or self.wire:
            return self.words
        text = run("ethtool", "-k", "veth0")
        wanted = ("tcp-segmentation-offload", "tx-udp-segmentation", "generic-receive-offload")
        flags = [line.strip() for line in text.splitlines() if line.strip().startswith(wanted)]
        return f"{self.words}; " + ", ".join(flags)


def run(*words, space=None):
    if space:
        words = ("ip", "netns", "exec", space) + words
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Failed(f"{' '.join(words)}: {done.stderr.strip()}")
    return done.stdout


SEGMENTED = ("tx-udp-segmentation", "off", "tso", "off", "gro", "on")

PATHS = {
    path.name: path
    for path in (
        Path("lo", "loopback, MTU 65536, never segmented"),
        Path("veth1500", "veth, MTU 1500, offloads as they are: batches cross unsegmented", 1500),
        Path("veth1500-seg", "veth, MTU 1500, batches cut into packets and joined again", 1500,
             SEGMENTED),
        Path("veth9000", "veth, MTU 9000, offloads as they are", 9000),
        Path("loss0.1", "wire that loses 0.1 % each way, 30 ms round trip", 1500, wire=(0.1, 30)),
        Path("loss1", "wire that loses 1 % each way, 30 ms round trip", 1500, wire=(1, 30)),
        Path("delay30", "wire without loss, 30 ms round trip", 1500, wire=(0, 30)),
    )
}  # fmt: skip
