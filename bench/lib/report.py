"""summary.md and what is printed of a row as it ends."""

import os

from lib import stats

HIDDEN = ("steal", "foreign")


def spread(samples, key):
    values = [sample[key] for sample in samples if isinstance(sample.get(key), (int, float))]
    if not values:
        return None
    return (stats.median(values), *stats.interval(values), len(values))


def figure(value):
    """Three digits that count."""
    if value == 0:
        return "0"
    if value >= 1000:
        return f"{value:,.0f}"
    if value >= 100:
        return f"{value:.0f}"
    if value >= 10:
        return f"{value:.1f}"
    return f"{value:.3f}" if value < 1 else f"{value:.2f}"


def words_of(samples, key):
    got = spread(samples, key)
    if not got:
        return ""
    median, low, high, _ = got
    return f"{figure(median)} [{figure(low)}, {figure(high)}]"


def print_row(result, say):
    for name, got in result["samples"].items():
        keys = sorted({key for sample in got for key in sample if key not in HIDDEN})
        for key in keys:
            if spread(got, key):
                say(f"    {name:18} {key:28} {words_of(got, key)}")
    for name, ratios in result["ratios"].items():
        for key, (median, low, high, _, _) in ratios.items():
            say(f"    {'':18} {key} to {name}: {median:.2f} [{low:.2f}, {high:.2f}]")
    for verdict in result["verdicts"]:
        say(f"    {verdict_word(verdict)}: {verdict['words']} ({verdict['why']})")
    for name, note in result["notes"].items():
        say(f"    {name:18} {note}")


def verdict_word(verdict):
    return {True: "holds", False: "FAILS", None: "open"}[verdict["holds"]]


COLUMNS = [
    ("cpu_s_per_gb", "CPU s/GB"),
    ("machine_s_per_gb", "machine s/GB"),
    ("cpu_us_each", "CPU us each"),
    ("machine_us_each", "machine us each"),
    ("p50_us", "p50 us"),
    ("p99_us", "p99 us"),
    ("errors", "errors"),
    ("lost_percent", "lost %"),
    ("mbit_s", "Mbit/s"),
    ("kb_each", "KB each"),
    ("rss_mb", "RSS MB"),
]
TABLE = [
    ("gbit_s", "Gbit/s"),
    ("cpu_percent_average", "CPU % avg"),
    ("cpu_percent_maximum", "max"),
    ("memory_mb_average", "MB avg"),
    ("memory_mb_maximum", "max"),
    ("cpu_s_per_gb", "CPU s/GB"),
    ("lost_percent", "lost %"),
]
SHARES = (20, 50, 80)
LATENCY = "p99_us_at_50"
PLOTS = ("throughput", "cpu", "requests", "cpu-requests", "udp", "memory", "workers")


def table(header, lines, align="---:"):
    text = "| " + " | ".join(header) + " |\n"
    text += "|" + "|".join("---" if i == 0 else align for i in range(len(header))) + "|\n"
    return text + "".join("| " + " | ".join(line) + " |\n" for line in lines) + "\n"


def row_lines(result, columns):
    lines = []
    for name, got in result["samples"].items():
        ratio = result["ratios"].get(name, {}).get(result["key"])
        lines.append(
            [f"**{name}**" if name == result["ours"] else name, words_of(got, result["key"])]
            + [figure(spread(got, key)[0]) if spread(got, key) else "" for key, _ in columns]
            + [f"{ratio[0]:.2f} [{ratio[1]:.2f}, {ratio[2]:.2f}]" if ratio else ""]
        )
    return lines


def row_section(name, result):
    text = f"### {result['title']}\n\n`{name}`, path `{result.get('path', '-')}`"
    count = max((len(got) for got in result["samples"].values()), default=0)
    text += f", {count} rounds" + (f", {result['dropped']} disturbed" if result["dropped"] else "")
    text += "\n\n"
    if result["key"] == LATENCY:
        text += latency_table(result)
    elif result["samples"]:
        columns = [
            (key, title)
            for key, title in COLUMNS
            if key != result["key"] and any(spread(got, key) for got in result["samples"].values())
        ]
        header = ["", result["unit"], *[title for _, title in columns], "ours / theirs"]
        text += table(header, row_lines(result, columns))
    segments = segments_of(result)
    if segments:
        payload = payload_of(result)
        text += f"Mean packets in a batch: {segments}."
        text += f" User bytes in a packet: {payload:,.0f}.\n\n" if payload else "\n\n"
    for verdict in result["verdicts"]:
        text += f"- {verdict_word(verdict)}: {verdict['words']} ({verdict['why']})\n"
    for system, note in result["notes"].items():
        text += f"- {system}: {note.splitlines()[0]}\n"
    return text + ("\n" if result["verdicts"] or result["notes"] else "")


def segments_of(result):
    samples = result["samples"].get(result["ours"], [])
    keys = sorted({key for sample in samples for key in sample if key.startswith("segments_")})
    return ", ".join(
        f"{key[9:].replace('.', ' of the ')} {spread(samples, key)[0]:.1f}" for key in keys
    )


def payload_of(result):
    """Of the end that sends the bulk: it has the most packets, so the least in each."""
    samples = result["samples"].get(result["ours"], [])
    keys = {key for sample in samples for key in sample if key.startswith("bytes_a_packet")}
    return min((spread(samples, key)[0] for key in keys), default=None)


def latency_table(result):
    header = ["us", "highest per s"]
    header += [f"{p} at {share} %" for share in SHARES for p in ("p50", "p99")] + ["errors"]
    lines = []
    for name, got in result["samples"].items():
        keys = [f"{p}_us_at_{share}" for share in SHARES for p in ("p50", "p99")]
        lines.append([name] + [words_of(got, key) for key in ["highest_per_s", *keys, "errors"]])
    return table(header, lines)


def qmux_table(rows):
    """The table that QMux publishes, in its order, for every system at hand."""
    chosen = {name: row for name, row in rows.items() if name.startswith("table-")}
    if not chosen:
        return ""
    text = "## The table that QMux publishes for itself\n\n"
    text += "Throughput is what the receiver got; CPU (percent of a core) and memory are both ends "
    text += "together.\n\n"
    for row in chosen.values():
        lines = [
            [name] + [figure(spread(got, k)[0]) if spread(got, k) else "" for k, _ in TABLE]
            for name, got in row["samples"].items()
        ]
        text += f"**{row['title']}**\n\n" + table(["", *[title for _, title in TABLE]], lines)
        for system, note in row["notes"].items():
            text += f"- {system}: {note.splitlines()[0]}\n"
        text += "\n"
    return text


def ceiling_section(stages, rows):
    if not stages:
        return ""
    if "ceiling" not in stages:
        return f"## Stages and the ceiling\n\nNot measured: {stages['why']}\n\n"
    ceiling = stages["ceiling"]
    text = "## Stages and the ceiling\n\n"
    text += f"CPU seconds per GB of each part by itself, UDP payload {ceiling['packet']} bytes:\n\n"
    parts = [[name, f"{value:.3f}"] for name, value in ceiling["parts_s_per_gb"].items()]
    total = sum(ceiling["parts_s_per_gb"].values())
    text += table(["part", "s/GB"], parts + [["sum", f"{total:.3f}"]])
    text += f"Ceiling: {ceiling['cores']} cores / {total:.3f} s/GB = "
    text += f"**{ceiling['gbit_s']:.1f} Gbit/s**.\n"
    tunnel = rows.get("tunnel-tcp-up", {}).get("samples", {}).get("qmux-uring")
    if tunnel:
        got = spread(tunnel, "gbit_s")[0]
        text += f"The tunnel moved {got:.2f} Gbit/s: **{100 * got / ceiling['gbit_s']:.0f} %** of it.\n"
    text += "\n"
    for line in stages["lines"]:
        facts = ", ".join(f"{k} {v}" for k, v in line.items() if k != "stage")
        text += f"- {line['stage']}: {facts}\n"
    return text + "\n"


def verdict_section(rows):
    """What fails comes first."""
    verdicts = [(name, v) for name, row in rows.items() for v in row["verdicts"]]
    if not verdicts:
        return ""
    words = ("FAILS", "open", "holds")
    verdicts.sort(key=lambda verdict: words.index(verdict_word(verdict[1])))
    counts = {word: sum(verdict_word(v) == word for _, v in verdicts) for word in words}
    lines = [[verdict_word(v), name, v["words"], v["why"]] for name, v in verdicts]
    text = f"{counts['holds']} hold, {counts['FAILS']} fail, {counts['open']} are open.\n\n"
    return "## Verdicts\n\n" + text + table(["", "row", "claim", "from"], lines, "---")


def plot_place(name):
    """Bars by what people ask first, then what scales, then latencies."""
    known = [i for i, word in enumerate(PLOTS) if name == word]
    return (known[0] if known else len(PLOTS), not name.startswith("scaling"), name)


def write(results, folder):
    machine, rows = results["machine"], results["rows"]
    text = f"# bench/run.sh {results['command']}\n\n".replace(" \n", "\n")
    text += f"{machine['date']}, {machine['version']}.\n\n"
    text += "\n".join(
        f"- {key}: {value}" for key, value in machine.items() if key not in ("date", "version")
    )
    text += f"\n- rounds dropped for a disturbed machine: {results['dropped_rounds']}"
    if results["kept_disturbed"]:
        text += f"; **{results['kept_disturbed']} disturbed rounds kept**: figures are noisy"
    text += "\n\nMedians with bootstrap 95 % intervals; ratios are taken pair by pair.\n\n"
    text += verdict_section(rows)
    for name in sorted((f[:-4] for f in os.listdir(folder) if f.endswith(".svg")), key=plot_place):
        text += f"![{name}]({name}.svg)\n"
    text += "\n## Rows\n\n"
    for name, row in rows.items():
        if not name.startswith("table-"):
            text += row_section(name, row)
    text += qmux_table(rows) + ceiling_section(results.get("stages"), rows)
    if results.get("baseline"):
        text += "## Beside the baseline\n\n" + "".join(f"- {line}\n" for line in results["baseline"])
    with open(os.path.join(folder, "summary.md"), "w") as file:
        file.write(text)
