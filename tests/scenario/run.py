#!/usr/bin/env python3
"""run.py - scenarios with real processes and sockets.

    run.py --list                            every scenario's name, one a line
    run.py [--binary PROGRAM] [NAME...]      runs those named, or whose names contain NAME; else all
           --keep                            leaves the folder of a failed one for a look

Exit: 0 all held, 1 one did not, 77 nothing could be run here (no root, no namespaces, a tool missing).
"""
import argparse
import importlib
import os
import sys
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

from lab import SCENARIOS, Lab, Skip  # noqa: E402

ROOMS = ["relay", "differential", "tunnel", "trust", "pool", "health", "names", "failure", "flood", "hostile",
         "limits", "listeners", "command", "admin", "metrics", "datagrams", "reload", "workers"]


def run_one(name, binary, keep):
    lab = Lab(name, binary)
    try:
        SCENARIOS[name](lab)
        lab.end()
    except Skip as reason:
        print(f"skip {name}: {reason}")
        lab.abandon()
        return 77
    except Exception:  # whatever it was, the logs are what a reader needs
        print(f"FAIL {name}")
        traceback.print_exc(file=sys.stdout)
        lab.print_logs()
        lab.abandon(keep)
        return 1
    print(f"ok   {name}")
    return 0


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--binary", default="build/release/qmux-uring")
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("names", nargs="*")
    options = parser.parse_args()
    for room in ROOMS:
        importlib.import_module(room)
    if options.list:
        print("\n".join(SCENARIOS))
        return 0
    chosen = [name for name in SCENARIOS
              if not options.names or name in options.names]
    if not chosen:
        chosen = [name for name in SCENARIOS if any(part in name for part in options.names)]
    results = [run_one(name, os.path.abspath(options.binary), options.keep) for name in chosen]
    if 1 in results or not results:
        return 1
    return 77 if set(results) == {77} else 0


if __name__ == "__main__":
    sys.exit(main())
