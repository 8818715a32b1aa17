"""Rows that move as much as they can: TCP streams, datagrams, discards."""

import json
import time

from lib.measure import Sampler, Span
from lib.process import Failed
from lib.tools import disturbance, per_gigabyte

LOSS_LIMIT = 1.0  # percent
UNDER_WAY = 0.01  # seconds' worth of datagrams that may still be so when iperf3 stops
SEARCH_FIRST, SEARCH_LAST = 50, 12800  # Mbit/s


def tcp_bulk(bench, system, reverse=False, streams=1):
    extra = ["-C", "cubic", "-P", str(streams)] + (["-R"] if reverse else [])
    with Span(system.pids()) as span:
        end = bench.iperf(system, extra, bench.seconds)
    received = end["sum_received"]
    if not received["bytes"]:
        raise Failed(f"nothing came through {system.name}")
    figures = per_gigabyte(span, received["bytes"] / 1e9)
    figures["moved_bytes"] = received["bytes"]
    figures["gbit_s"] = received["bits_per_second"] / 1e9
    figures["retransmits"] = end.get("sum_sent", {}).get("retransmits", 0)
    used = end["cpu_utilization_percent"]
    seconds = received["seconds"]
    figures["user_s_per_gb"] = used["host_total"] / 100 * seconds / (received["bytes"] / 1e9)
    figures["service_s_per_gb"] = used["remote_total"] / 100 * seconds / (received["bytes"] / 1e9)
    return figures


# ---- UDP ----
def udp_try(bench, system, megabits, size, seconds, streams=1, patience=20):
    """(lost percent, packets per second that arrived, payload Mbit/s that arrived)"""
    extra = ["-u", "-b", f"{megabits / streams}M", "-l", str(size), "-P", str(streams)]
    end = bench.iperf(system, extra, seconds, patience)
    sent, lost, arrived = udp_counts(end, size, seconds)
    if not sent:
        return 100.0, 0.0, 0.0
    return 100 * lost / sent, arrived / seconds, arrived * size * 8e-6 / seconds


def udp_counts(end, size, seconds):
    """(sent, lost, arrived).  iperf3 finds losses by the gaps between what arrives, so a flow that ends
    early has none: what its server never got counts too, beyond what is under way when it stops."""
    sent, lost = end["sum"]["packets"], end["sum"]["lost_packets"]
    missing = sent - end["sum_received"]["bytes"] // size
    if missing > lost + UNDER_WAY * sent / seconds:
        lost = missing
    return sent, lost, max(sent - lost, 0)


def udp_rate(bench, system, megabits=400, size=1200):
    # The path's size and pace are found in a second of its own: what iperf3 omits of a flow, it still
    # counts as lost when that is noticed later.
    udp_step(bench, system, megabits, size)
    with Span(system.pids()) as span:
        lost, packets, arrived = udp_try(bench, system, megabits, size, bench.seconds)
    return {
        "lost_percent": lost,
        "mbit_s": arrived,
        "cpu_us_per_datagram": sum(span.cpu.values()) / max(packets * bench.seconds, 1) * 1e6,
    } | disturbance(span)


def udp_step(bench, system, megabits, size):
    """One second at one rate.  A flood that drowns iperf3's own conversation is one that was too
    much; it then needs a new server."""
    try:
        return udp_try(bench, system, megabits, size, 1, patience=5)
    except Failed:
        bench.stop_origin()
        bench.start_origin("iperf3")
        return 100.0, 0.0, 0.0


def udp_search(bench, system, size=1200):
    """The highest offered rate of which less than 1 % is lost."""
    with Span(system.pids()) as span:
        good, (packets, arrived) = highest(lambda rate: udp_step(bench, system, rate, size))
    figures = {"packets_per_s": packets, "mbit_s": arrived, "offered_mbit_s": good}
    return figures | disturbance(span)


def highest(attempt, halvings=3):
    """(rate, what arrived of it): doubled until it is too much, or halved until it is not, then halved
    between.  attempt(rate) lasts a second and gives (lost percent, packets, Mbit/s that arrived); one
    that failed at first may have met a path that was not settled yet, and is made again."""
    good, bad, best = 0, None, (0.0, 0.0)
    rate, settled = SEARCH_FIRST, False
    while rate >= 1 and halvings:
        lost, packets, arrived = attempt(rate)
        if good and bad:
            halvings -= 1
        if lost < LOSS_LIMIT:
            good, best = rate, max(best, (packets, arrived))
            # What was not even sent is no merit: the sender is at its own end.
            if arrived < 0.8 * rate or rate >= SEARCH_LAST:
                break
        elif settled:
            bad = rate
        if settled or good:
            rate = (good + bad) / 2 if bad else rate * 2
        settled = True
    return good, best


# ---- discards ----
def discard(bench, system, udp=False):
    """A sink behind it, as much as goes out in front of it: what the sink got."""
    extra = ["--udp", "--bytes", "1200"] if udp else []
    with Span(system.pids()) as span, Sampler(system.pids()) as sampler:
        bench.load(system, "flood", extra, bench.seconds)
        time.sleep(0.3)  # what is under way arrives; UDP tells nobody when that is over
    bench.origin.stop()
    text = bench.origin.words()
    got = json.loads(text[text.index("{") :])
    figures = {"gbit_s": got["bytes"] * 8e-9 / max(got["seconds"], 0.001)}
    if got["bytes"]:
        figures |= per_gigabyte(span, got["bytes"] / 1e9)
    return figures | sampler.figures() | disturbance(span)


def sampled(measure):
    """The same, with the average and maximum of CPU and memory."""

    def both(bench, system):
        with Sampler(system.pids()) as sampler:
            figures = measure(bench, system)
        return figures | sampler.figures()

    return both


def udp_streams(bench, system, streams):
    """Unlimited, as QMux's own table does it: what arrived, and what was lost."""
    with Span(system.pids()) as span:
        lost, packets, arrived = udp_try(bench, system, 0, 1200, bench.seconds, streams)
    return {"gbit_s": arrived / 1e3, "lost_percent": lost, "packets_per_s": packets} | disturbance(
        span
    )
