#!/usr/bin/env python3
"""instructions.py STAGE_PROGRAM KEPT --compiler WORDS --versions FILE [--store FOLDER] [--record]

Counts the instructions of the in-memory path (both ends of a QUIC connection in one process, no
kernel) with callgrind, and compares them with the figure kept for this set of compiler, C library,
libraries and packet protection: more than 2 % above fails.  A set that is not known is recorded in
the file under --store, which counts from then on, and says so; --record writes KEPT itself.
Exit: 0 as kept or recorded, 1 more, 77 no valgrind here."""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

LIMIT = 1.02
TRANSFER = 8 << 20
LIBRARIES = ("ngtcp2", "wolfssl", "libipsec-mb-dev")


def count(program):
    """(instructions, what the stage said)"""
    with tempfile.TemporaryDirectory() as folder:
        words = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={folder}/out"]
        words += ["--toggle-collect=memory_transfer", program, "memory", "--transfer", str(TRANSFER)]
        done = subprocess.run(words, capture_output=True, text=True, timeout=110, check=False)
    found = re.search(r"Collected : (\d+)", done.stderr)
    if done.returncode or not found:
        sys.exit(f"instructions.py: valgrind failed:\n{done.stderr[-2000:]}")
    return int(found.group(1)), json.loads(done.stdout)


def name_of_set(options, back_end):
    with open(options.versions) as file:
        lines = [line.split() for line in file]
    versions = {line[0]: line[1] for line in lines if len(line) > 1}
    words = [options.compiler, "libc " + os.confstr("CS_GNU_LIBC_VERSION").split()[-1]]
    words += [f"{name} {versions.get(name, '?')}" for name in LIBRARIES]
    return ", ".join(words + [back_end])


def read(path):
    if not os.path.exists(path):
        return {}
    with open(path) as file:
        return json.load(file)


def record(path, name, figure):
    kept = read(path)
    kept[name] = figure
    with open(path, "w") as file:
        json.dump(kept, file, indent=1, sort_keys=True)
        file.write("\n")


def main():
    parser = argparse.ArgumentParser(prog="instructions.py")
    parser.add_argument("program")
    parser.add_argument("kept")
    parser.add_argument("--compiler", required=True)
    parser.add_argument("--versions", required=True)
    parser.add_argument("--store", default=".")
    parser.add_argument("--record", action="store_true")
    options = parser.parse_args()
    if not shutil.which("valgrind"):
        print("not counted: no valgrind here")
        return 77
    instructions, said = count(options.program)
    figure = {"instructions": instructions, "bytes": said["bytes"], "packets": said["packets"]}
    name = name_of_set(options, said["back_end"])
    store = os.path.join(options.store, "instructions.json")
    old = (read(options.kept) | read(store) if not options.record else {}).get(name)
    print(f"{name}: {instructions:,} for {said['bytes']:,} bytes in {said['packets']:,} packets,")
    print(f"{instructions / said['packets']:,.0f} a packet, both ends")
    if not old:
        path = options.kept if options.record else store
        record(path, name, figure)
        print(f"this set was not known: recorded in {path}")
        return 0
    change = instructions / old["instructions"]
    print(f"kept: {old['instructions']:,} ({100 * (change - 1):+.2f} %)")
    return 1 if change > LIMIT else 0


if __name__ == "__main__":
    sys.exit(main())
