"""Plots as SVG and PNG; drawn only where matplotlib is."""

import os

from lib import report

OURS, THEIRS, ERROR = "#c2410c", "#94a3b8", "#334155"
PALETTE = ["#c2410c", "#2563eb", "#059669", "#7c3aed", "#b45309", "#0891b2", "#be185d"]
BARS = {
    "throughput": ("gbit_s", "Gbit/s, more is better", ("tunnel-tcp-up", "tunnel-tcp-down",
                                                        "direct-tcp-1", "direct-tcp-4",
                                                        "direct-copy-1", "direct-copy-4")),
    "cpu": ("cpu_s_per_gb", "CPU seconds per GB, less is better",
            ("tunnel-tcp-up", "tunnel-tcp-down", "direct-tcp-1", "direct-tcp-4", "direct-copy-1",
             "direct-copy-4")),
    "requests": ("per_s", "per second, more is better",
                 ("tunnel-requests", "tunnel-connections", "direct-requests", "direct-connections")),
    "udp": ("packets_per_s", "datagrams per second with under 1 % lost, more is better",
            ("tunnel-udp-64", "tunnel-udp-512", "tunnel-udp", "direct-udp")),
    "memory": ("bytes_each", "bytes per idle connection, less is better",
               ("idle-memory", "direct-idle-memory")),
}  # fmt: skip
SCALING = {
    "scaling-streams": ("Gbit/s by TCP streams", "gbit_s",
                        {1: "table-tcp-1", 2: "table-tcp-2", 4: "table-tcp-4", 64: "tunnel-tcp-64"}),
    "scaling-connections": ("64-byte echoes per second by connections", "per_s",
                            {1: "tunnel-echo-1", 64: "tunnel-echo-64", 512: "tunnel-echo-512"}),
    "scaling-direct": ("Gbit/s of the direct relay by TCP streams", "gbit_s",
                       {1: "direct-tcp-1", 4: "direct-tcp-4", 64: "direct-tcp-64"}),
}  # fmt: skip


def style(plt):
    plt.rcParams.update({
        "font.family": "DejaVu Sans", "font.size": 10, "axes.titlesize": 11,
        "axes.titleweight": "bold", "axes.titlelocation": "left", "axes.spines.top": False,
        "axes.spines.right": False, "axes.edgecolor": "#cbd5e1", "xtick.color": "#475569",
        "ytick.color": "#1e293b", "axes.grid": True, "grid.color": "#e2e8f0", "axes.axisbelow": True,
        "figure.facecolor": "white", "svg.hashsalt": "qmux-uring",
    })  # fmt: skip


def save(figure, folder, name, plt):
    for ending in ("svg", "png"):
        figure.savefig(os.path.join(folder, f"{name}.{ending}"), dpi=144, bbox_inches="tight")
    plt.close(figure)


def bars(plt, rows, folder, name):
    key, label, wanted = BARS[name]
    chosen = [
        (row, {s: report.spread(got, key) for s, got in rows[row]["samples"].items()})
        for row in wanted
        if row in rows
    ]
    chosen = [(row, {s: g for s, g in got.items() if g}) for row, got in chosen]
    chosen = [(row, got) for row, got in chosen if got]
    if not chosen:
        return
    heights = [len(got) for _, got in chosen]
    figure, axes = plt.subplots(
        len(chosen), 1, squeeze=False, figsize=(7.5, 0.42 * sum(heights) + 0.85 * len(chosen)),
        gridspec_kw={"height_ratios": heights, "hspace": 0.75},
    )  # fmt: skip
    for axis, (row, got) in zip(axes[:, 0], chosen):
        names = sorted(got, key=lambda s: got[s][0])
        values = [got[s][0] for s in names]
        low = [max(got[s][0] - got[s][1], 0) for s in names]
        high = [max(got[s][2] - got[s][0], 0) for s in names]
        colors = [OURS if s == rows[row]["ours"] else THEIRS for s in names]
        axis.barh(names, values, color=colors, height=0.68)
        axis.errorbar(values, range(len(names)), xerr=[low, high], fmt="none", ecolor=ERROR,
                      elinewidth=1, capsize=2)  # fmt: skip
        for i, value in enumerate(values):
            axis.annotate(report.figure(value), (value + high[i], i), xytext=(5, 0),
                          textcoords="offset points", va="center", color="#1e293b", fontsize=9)  # fmt: skip
        axis.set_title(rows[row]["title"])
        axis.grid(axis="y", visible=False)
        axis.margins(x=0.14)
        axis.set_xlim(left=0)
    axes[-1, 0].set_xlabel(label, color="#475569")
    save(figure, folder, name, plt)


def scaling(plt, rows, folder, name):
    title, key, wanted = SCALING[name]
    lines = {}
    for count, row in wanted.items():
        for system, got in rows.get(row, {}).get("samples", {}).items():
            value = report.spread(got, key)
            if value:
                lines.setdefault(system, []).append((count, *value[:3]))
    lines = {system: points for system, points in lines.items() if len(points) > 1}
    if not lines:
        return
    figure, axis = plt.subplots(figsize=(7.5, 4))
    for i, (system, points) in enumerate(lines.items()):
        counts, middle, low, high = zip(*points)
        color = PALETTE[i % len(PALETTE)]
        axis.fill_between(counts, low, high, color=color, alpha=0.12, linewidth=0)
        axis.plot(counts, middle, marker="o", color=color, label=system,
                  linewidth=2.4 if i == 0 else 1.4)  # fmt: skip
    axis.set_xscale("log", base=2)
    axis.set_xticks(list(wanted), [str(count) for count in wanted])
    axis.set_ylim(bottom=0)
    axis.set_title(title)
    axis.legend(frameon=False, fontsize=9)
    save(figure, folder, name, plt)


def latency(plt, rows, folder, row):
    """How many took longer, at half the highest rate: the tail is what people feel."""
    if row not in rows:
        return
    figure, axis = plt.subplots(figsize=(7.5, 4))
    drawn = False
    for i, (system, got) in enumerate(rows[row]["samples"].items()):
        cells = {}
        for sample in got:
            for at, count in sample.get("histogram_at_50", []):
                cells[at] = cells.get(at, 0) + count
        total = sum(cells.values())
        if not total:
            continue
        left, xs, ys = total, [], []
        for at in sorted(cells):
            left -= cells[at]
            xs.append(at)
            ys.append(max(left / total, 0.5 / total))
        axis.plot(xs, ys, color=PALETTE[i % len(PALETTE)], label=system,
                  linewidth=2.4 if i == 0 else 1.4)  # fmt: skip
        drawn = True
    if drawn:
        axis.set_xscale("log")
        axis.xaxis.set_major_formatter(plt.FuncFormatter(lambda value, _: f"{value:,.0f}"))
        axis.set_yscale("log")
        axis.set_yticks([0.5, 0.1, 0.01, 0.001, 0.0001], ["p50", "p90", "p99", "p99.9", "p99.99"])
        axis.set_xlabel("microseconds from when a request was due", color="#475569")
        axis.set_title(f"{rows[row]['title'].split(',')[0]}: latency at half the highest rate")
        axis.legend(frameon=False, fontsize=9)
        save(figure, folder, row, plt)
    else:
        plt.close(figure)


def percentiles(plt, rows, folder, row):
    """What wrk says of requests at the highest rate: p50, p75, p90, p99."""
    shares = (50, 75, 90, 99)
    lines = {}
    for system, got in rows.get(row, {}).get("samples", {}).items():
        values = [report.spread(got, f"p{share}_us") for share in shares]
        if all(values):
            lines[system] = [value[0] / 1e3 for value in values]
    if not lines:
        return
    figure, axis = plt.subplots(figsize=(7.5, 4))
    for i, (system, values) in enumerate(lines.items()):
        axis.plot(range(len(shares)), values, marker="o", color=PALETTE[i % len(PALETTE)],
                  label=system, linewidth=2.4 if i == 0 else 1.4)  # fmt: skip
    axis.set_xticks(range(len(shares)), [f"p{share}" for share in shares])
    axis.set_yscale("log")
    axis.yaxis.set_major_locator(plt.LogLocator(subs=(1, 2, 5)))
    axis.yaxis.set_major_formatter(plt.FuncFormatter(lambda value, _: f"{value:g}"))
    axis.yaxis.set_minor_formatter(plt.NullFormatter())
    axis.set_ylabel("milliseconds", color="#475569")
    axis.set_title(f"{rows[row]['title']}: latency at the highest rate")
    axis.legend(frameon=False, fontsize=9)
    save(figure, folder, f"{row}-latency", plt)


def draw(results, folder):
    """The words of what stopped it, or None."""
    try:
        import matplotlib
    except ImportError:
        return "no plots: matplotlib is not there"
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    style(plt)
    rows = results["rows"]
    for name in BARS:
        bars(plt, rows, folder, name)
    for name in SCALING:
        scaling(plt, rows, folder, name)
    for row in ("tunnel-latency", "direct-latency"):
        latency(plt, rows, folder, row)
    for row in ("tunnel-requests", "direct-requests"):
        percentiles(plt, rows, folder, row)
    return None
