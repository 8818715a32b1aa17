"""Plots as SVG and PNG; drawn only where matplotlib is.  Ours is the thick orange one everywhere."""

import os

from lib import report

OURS, THEIRS, INK, FAINT = "#c2410c", "#94a3b8", "#1e293b", "#475569"
COLORS = {  # the members of a family are shades of one colour
    "rathole-tls": "#1d4ed8", "rathole-noise": "#60a5fa", "frp-tls": "#047857", "frp-quic": "#34d399",
    "qmux": "#7c3aed", "haproxy": "#1d4ed8", "haproxy-splice": "#60a5fa", "nginx-16k": "#34d399",
    "nginx-64k": "#047857", "nvelox": "#7c3aed",
}  # fmt: skip
BARS = {
    "throughput": ("gbit_s", "Gbit/s, more is better", (
        "tunnel-tcp-up", "tunnel-tcp-down", "tunnel-tcp-64", "direct-tcp-1", "direct-tcp-64",
        "direct-copy-1", "direct-copy-64")),
    "cpu": ("cpu_s_per_gb", "CPU seconds per GB, less is better", (
        "tunnel-tcp-up", "tunnel-tcp-down", "tunnel-tcp-64", "direct-tcp-1", "direct-tcp-64",
        "direct-copy-1", "direct-copy-64")),
    "requests": ("per_s", "per second, more is better", (
        "tunnel-requests", "tunnel-connections", "direct-requests", "direct-requests-512",
        "direct-connections")),
    "cpu-requests": ("cpu_us_each", "CPU microseconds each, less is better", (
        "tunnel-requests", "tunnel-connections", "direct-requests", "direct-requests-512",
        "direct-connections")),
    "udp": ("packets_per_s", "datagrams per second with under 1 % lost, more is better", (
        "tunnel-udp-64", "tunnel-udp-512", "tunnel-udp", "direct-udp")),
    "workers": ("cpu_us_each", "CPU microseconds each by one worker and by two, less is better", (
        "workers-tunnel-requests", "workers-direct-requests", "workers-direct-connections")),
    "memory": ("bytes_each", "bytes per idle connection, less is better", (
        "idle-memory", "direct-idle-memory")),
}  # fmt: skip
# name: title, the row of each number, and panels: (figure, its words, times, whether the axis is log).
STREAMS = (("gbit_s", "Gbit/s", 1, False), ("cpu_s_per_gb", "CPU seconds per GB", 1, False))
ECHOES = (
    ("per_s", "echoes per second", 1, True),
    ("cpu_us_each", "CPU microseconds each", 1, True),
    ("p99_us", "p99, milliseconds", 1e-3, True),
)
SCALING = {
    "scaling-streams": ("Tunnel, by number of TCP streams", {
        1: "table-tcp-1", 2: "table-tcp-2", 4: "table-tcp-4", 64: "tunnel-tcp-64"}, STREAMS),
    "scaling-connections": ("Tunnel, 64-byte echoes, by number of connections", {
        1: "tunnel-echo-1", 64: "tunnel-echo-64", 512: "tunnel-echo-512"}, ECHOES),
    "scaling-direct-streams": ("Direct relay, by number of TCP streams", {
        1: "direct-tcp-1", 4: "direct-tcp-4", 64: "direct-tcp-64"}, STREAMS),
    "scaling-direct-connections": ("Direct relay, 64-byte echoes, by number of connections", {
        1: "direct-echo-1", 64: "direct-echo-64", 512: "direct-echo-512"}, ECHOES),
}  # fmt: skip
LATENCIES = {
    "tunnel-latency": "Tunnel, 1 KB requests on kept connections",
    "tunnel-connect-latency": "Tunnel, a new connection per request",
    "direct-latency": "Direct relay, 1 KB requests on kept connections",
    "direct-connect-latency": "Direct relay, a new connection per request",
}
PERCENTILES = ("tunnel-requests", "tunnel-connections", "direct-requests", "direct-connections")
# In inches: of a bar, of what a panel needs beside its bars, and of what stands left of them.
BAR, PANEL, NAMES, COLUMN = 0.25, 0.52, 1.7, 6.3


def style(plt):
    plt.rcParams.update({
        "font.family": "DejaVu Sans", "font.size": 10, "axes.titlesize": 10,
        "axes.titleweight": "bold", "axes.titlelocation": "left", "axes.spines.top": False,
        "axes.spines.right": False, "axes.edgecolor": "#cbd5e1", "xtick.color": FAINT,
        "ytick.color": INK, "axes.grid": True, "grid.color": "#e2e8f0", "axes.axisbelow": True,
        "figure.facecolor": "white", "svg.hashsalt": "qmux-uring",
    })  # fmt: skip


def save(figure, folder, name, plt):
    for ending in ("svg", "png"):
        figure.savefig(os.path.join(folder, f"{name}.{ending}"), dpi=144, bbox_inches="tight")
    plt.close(figure)


def line_style(system, ours):
    if system == ours:
        return {"color": OURS, "linewidth": 2.8, "zorder": 5}
    return {"color": COLORS.get(system, THEIRS), "linewidth": 1.4}


# ---- bars ----
def bars(plt, rows, folder, name):
    """A panel a row; tunnels stand in one column, relays in another."""
    key, label, wanted = BARS[name]
    columns = {"tunnel": [], "direct": []}
    for row in wanted:
        samples = rows.get(row, {}).get("samples", {})
        got = {system: report.spread(found, key) for system, found in samples.items()}
        got = {system: figures for system, figures in got.items() if figures}
        if got:
            columns["direct" if "direct" in row else "tunnel"].append((rows[row], got))
    columns = [panels for panels in columns.values() if panels]
    if not columns:
        return
    height = max(sum(BAR * len(got) + PANEL for _, got in panels) for panels in columns)
    width = COLUMN * len(columns)
    figure = plt.figure(figsize=(width, height))
    figure.suptitle(label, x=0, y=1 + 0.3 / height, ha="left", fontsize=11, color=FAINT)
    for number, panels in enumerate(columns):
        top = height
        for row, got in panels:
            top -= BAR * len(got) + PANEL
            place = (
                (number * COLUMN + NAMES) / width, (top + 0.1) / height,
                (COLUMN - NAMES - 0.1) / width, BAR * len(got) / height,
            )  # fmt: skip
            bar_panel(figure.add_axes(place), row, got)
    save(figure, folder, name, plt)


def bar_panel(axis, row, got):
    names = sorted(got, key=lambda s: got[s][0], reverse=row["better"] == "lower")
    values = [got[s][0] for s in names]
    low = [max(got[s][0] - got[s][1], 0) for s in names]
    high = [max(got[s][2] - got[s][0], 0) for s in names]
    axis.barh(names, values, color=[OURS if s == row["ours"] else THEIRS for s in names], height=0.72)
    if any(low + high):
        axis.errorbar(values, range(len(names)), xerr=[low, high], fmt="none", ecolor="#334155",
                      elinewidth=1, capsize=2)  # fmt: skip
    for i, (system, value) in enumerate(zip(names, values)):
        axis.annotate(report.figure(value), (value + high[i], i), xytext=(5, 0), color=INK,
                      textcoords="offset points", va="center", fontsize=9,
                      weight="bold" if system == row["ours"] else "normal")  # fmt: skip
    for text in axis.get_yticklabels():
        text.set_weight("bold" if text.get_text() == row["ours"] else "normal")
    axis.set_title(row["title"], x=-NAMES / (COLUMN - NAMES - 0.1))
    axis.grid(visible=False)
    axis.tick_params(length=0)
    axis.set_xticks([])
    axis.spines["bottom"].set_visible(False)
    axis.margins(x=0.16, y=0.02)
    axis.set_xlim(left=0)


# ---- lines ----
def end_labels(axis, ends, ours):
    """Names beside where lines end, pushed apart where they would lie upon each other.  ends: (x, y,
    system)."""
    to_share = axis.transData + axis.transAxes.inverted()
    height = axis.get_window_extent().height / axis.figure.dpi
    gap = 0.155 / height
    places = sorted((to_share.transform((x, y))[1], system) for x, y, system in ends)
    at = []
    for place, _ in places:
        at.append(max(place, at[-1] + gap) if at else place)
    over = at[-1] - 1
    if over > 0:  # push down again, from the top
        at[-1] = 1
        for i in range(len(at) - 2, -1, -1):
            at[i] = min(at[i], at[i + 1] - gap)
    for y, (_, system) in zip(at, places):
        style_of = line_style(system, ours)
        axis.text(1.03, y, system, transform=axis.transAxes, va="center", fontsize=9,
                  color=style_of["color"], weight="bold" if system == ours else "normal")  # fmt: skip


def plain_log(axis, plt):
    axis.set_yscale("log")
    low, high = axis.get_ylim()
    subs = (1,) if high / low > 300 else (1, 2, 5)
    axis.yaxis.set_major_locator(plt.LogLocator(subs=subs))
    axis.yaxis.set_major_formatter(plt.FuncFormatter(lambda value, _: f"{value:,g}"))
    axis.yaxis.set_minor_formatter(plt.NullFormatter())
    axis.tick_params(axis="y", which="minor", length=0)


def scaling_lines(rows, wanted, key, times):
    """(ours, system -> [(number, median, low, high), …]), without what has one point only."""
    lines, ours = {}, None
    for number, row in wanted.items():
        ours = rows.get(row, {}).get("ours", ours)
        for system, got in rows.get(row, {}).get("samples", {}).items():
            value = report.spread(got, key)
            if value:
                lines.setdefault(system, []).append((number, *[v * times for v in value[:3]]))
    return ours, {system: points for system, points in lines.items() if len(points) > 1}


def scaling(plt, rows, folder, name):
    title, wanted, panels = SCALING[name]
    found = [(panel, *scaling_lines(rows, wanted, panel[0], panel[2])) for panel in panels]
    found = [(panel, ours, lines) for panel, ours, lines in found if set(lines) - {"direct"}]
    if not found:
        return
    figure, axes = plt.subplots(1, len(found), squeeze=False, figsize=(5.1 * len(found), 3.7),
                                gridspec_kw={"wspace": 0.62})  # fmt: skip
    figure.suptitle(title, x=0.125, y=1.02, ha="left", fontsize=12, weight="bold")
    for axis, (panel, ours, lines) in zip(axes[0], found):
        scaling_panel(plt, axis, panel, ours, lines)
    save(figure, folder, name, plt)


def scaling_panel(plt, axis, panel, ours, lines):
    _, words, _, log = panel
    bare = lines.pop("direct", None)
    for system, points in lines.items():
        numbers, middle, low, high = zip(*points)
        look = line_style(system, ours)
        axis.fill_between(numbers, low, high, color=look["color"], alpha=0.12, linewidth=0)
        axis.plot(numbers, middle, marker="o", markersize=5, **look)
    numbers = sorted({point[0] for points in lines.values() for point in points})
    axis.set_xscale("log", base=2)
    axis.set_xticks(numbers, [str(number) for number in numbers])
    axis.minorticks_off()
    if log:
        plain_log(axis, plt)
    else:
        axis.set_ylim(bottom=0)
    axis.set_title(words, weight="normal", color=FAINT)
    end_labels(axis, [(points[-1][0], points[-1][1], s) for s, points in lines.items()], ours)
    if bare:
        low, high = min(p[1] for p in bare), max(p[1] for p in bare)
        axis.set_xlabel(f"with nothing between: {report.figure(low)} to {report.figure(high)}",
                        color=FAINT, fontsize=9)  # fmt: skip


# ---- latency ----
def duration(us, _=None):
    for unit, size in (("s", 1e6), ("ms", 1e3)):
        if us >= size:
            return f"{us / size:g} {unit}"
    return f"{us:g} us"


def tail(samples, key):
    """(microseconds, share that took longer) points, of all rounds together."""
    cells = {}
    for sample in samples:
        for at, count in sample.get(key, []):
            cells[at] = cells.get(at, 0) + count
    total = left = sum(cells.values())
    points = []
    for at in sorted(cells):
        left -= cells[at]
        points.append((at, max(left / total, 0.5 / total)))
    return points


def latency(plt, rows, folder, name):
    """How many took longer, at shares of the highest rate: the tail is what people feel."""
    row = rows.get(name, {"samples": {}})
    tails = {
        share: {s: tail(got, f"histogram_at_{share}") for s, got in row["samples"].items()}
        for share in report.SHARES
    }
    if not any(points for lines in tails.values() for points in lines.values()):
        return
    figure, axes = plt.subplots(1, len(tails), sharex=True, sharey=True, figsize=(13, 3.9),
                                gridspec_kw={"wspace": 0.08})  # fmt: skip
    figure.suptitle(f"{LATENCIES[name]}: how many take longer, counted from when each was due",
                    x=0.125, y=1.0, ha="left", fontsize=12, weight="bold")  # fmt: skip
    for axis, (share, lines) in zip(axes, tails.items()):
        for system, points in lines.items():
            if points:
                axis.plot(*zip(*points), label=system, **line_style(system, row["ours"]))
        axis.set_title(f"at {share} % of its highest rate", weight="normal", color=FAINT)
        axis.set_xscale("log")
        axis.set_yscale("log")
        axis.set_ylim(5e-5, 1.15)
        axis.xaxis.set_major_formatter(plt.FuncFormatter(duration))
        axis.set_yticks([0.5, 0.1, 0.01, 0.001, 0.0001], ["p50", "p90", "p99", "p99.9", "p99.99"])
        axis.tick_params(axis="y", which="minor", length=0)
    axes[0].legend(frameon=False, fontsize=9, loc="lower left")
    save(figure, folder, name, plt)


def percentiles(plt, rows, folder, name):
    """What wrk says of requests at the highest rate: p50, p75, p90, p99."""
    shares = (50, 75, 90, 99)
    row = rows.get(name, {"samples": {}})
    lines = {}
    for system, got in row["samples"].items():
        values = [report.spread(got, f"p{share}_us") for share in shares]
        if all(values):
            lines[system] = [value[0] / 1e3 for value in values]
    if not lines:
        return
    figure, axis = plt.subplots(figsize=(6.2, 3.8))
    for system, values in lines.items():
        axis.plot(range(len(shares)), values, marker="o", markersize=5,
                  **line_style(system, row["ours"]))  # fmt: skip
    axis.set_xticks(range(len(shares)), [f"p{share}" for share in shares])
    plain_log(axis, plt)
    figure.suptitle(f"{row['title']}", x=0.125, y=1.02, ha="left", fontsize=11, weight="bold")
    axis.set_title("milliseconds at the highest rate", weight="normal", color=FAINT)
    end_labels(axis, [(3, values[-1], system) for system, values in lines.items()], row["ours"])
    save(figure, folder, f"{name}-latency", plt)


def draw(results, folder):
    """The words of what stopped it, or None."""
    try:
        import matplotlib
    except ImportError:
        return "no plots: matplotlib is not there"
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    style(plt)
    for names, one in (
        (BARS, bars), (SCALING, scaling), (LATENCIES, latency), (PERCENTILES, percentiles),
    ):  # fmt: skip
        for name in names:
            one(plt, results["rows"], folder, name)
    return None
