"""Compares our own figures with an earlier run on the same machine."""

import json

from lib import report

SAME = ("kernel", "cpu", "cores")


def compare(results, path, threshold):
    """(lines, failed): a row fails when its median is worse by more than the threshold (a share) and
    its whole interval lies on the worse side of the old median."""
    with open(path) as file:
        old = json.load(file)
    lines, failed = [], False
    for key in SAME:
        if old["machine"].get(key) != results["machine"].get(key):
            return [f"not comparable: {key} differs ({old['machine'].get(key)})"], True
    for name, row in results["rows"].items():
        before = old["rows"].get(name, {}).get("samples", {}).get(row["ours"])
        now = row["samples"].get(row["ours"])
        if not before or not now or row.get("path") != old["rows"][name].get("path"):
            continue
        for key in dict.fromkeys((row["key"], "cpu_s_per_gb", "cpu_us_each")):
            then, got = report.spread(before, key), report.spread(now, key)
            if not then or not got or not then[0]:
                continue
            worse = got[0] / then[0] - 1
            if key == row["key"] and row["better"] == "higher":
                worse, beyond = -worse, got[2] < then[0]
            else:
                beyond = got[1] > then[0]
            bad = worse > threshold and beyond
            failed |= bad
            lines.append(
                f"{'WORSE' if bad else 'same or better' if worse <= 0 else 'within the threshold'}:"
                f" {name} {key} {report.figure(then[0])} -> {report.figure(got[0])}"
                f" ({-100 * worse:+.1f} %)"
            )
    return lines, failed
