"""prometheus.py - Prometheus' text form, read strictly."""
import re

LABEL = r'[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*"'
ROW = re.compile(r"^(qmux_[a-z0-9_]+)(\{%s(?:,%s)*\})? (-?[0-9.]+(?:e[+-]?\d+)?)$" % (LABEL, LABEL))
ALLOWED = {"listener", "backend", "member", "tunnel", "client", "reason", "worker", "direction",
           "limit", "version"}


def read_metrics(text):
    """{(name, labels): value}; whatever a linter would object to is a failure."""
    rows, kinds, helped, family = {}, {}, set(), None
    assert text.endswith("\n")
    for line in text.splitlines():
        if line.startswith("# HELP "):
            family = line.split(" ", 3)[2]
            assert family not in helped and line.split(" ", 3)[3].strip(), line
            helped.add(family)
        elif line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert name == family and kind in ("counter", "gauge") and name not in kinds, line
            assert (kind == "counter") == name.endswith("_total"), line
            assert not re.search(r"_(count|sum|bucket|info_total|ms|milliseconds|kb|bits)$", name), line
            kinds[name] = kind
        else:
            found = ROW.match(line)
            assert found and found[1] == family and family in kinds, line
            labels = found[2] or ""
            assert set(re.findall(r"([a-z]+)=\"", labels)) <= ALLOWED, line
            assert (found[1], labels) not in rows, line
            rows[found[1], labels] = float(found[3])
            assert kinds[family] != "counter" or rows[found[1], labels] >= 0, line
    return rows
