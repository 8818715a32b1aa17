#!/usr/bin/env python3
"""tidy.py BUILD - clang-tidy over every source that BUILD compiles, on all cores.

A file that was clean is not looked at again until it, a header it includes, its flags or
.clang-tidy change: BUILD/tidy holds an empty file per clean state.
"""
import concurrent.futures
import hashlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys

build = sys.argv[1]
root = os.getcwd()
cache = os.path.join(build, "tidy")
tool = shutil.which("clang-tidy-14") or shutil.which("clang-tidy")


def sources_of(path, seen):
    """The file and every header of ours that it includes, however far."""
    if path in seen or not os.path.exists(path):
        return
    seen.add(path)
    with open(path, encoding="utf-8") as file:
        for name in re.findall(r'^#include "([^"]+)"', file.read(), re.M):
            sources_of(os.path.join(root, name), seen)


def state_of(entry):
    seen = set()
    sources_of(entry["file"], seen)
    digest = hashlib.sha256(entry["command"].encode())
    rules = {os.path.join(root, name) for name in (".clang-tidy", "tests/.clang-tidy")}
    for path in sorted(seen | rules):
        with open(path, "rb") as file:
            digest.update(file.read())
    return digest.hexdigest()


def clang_words(entry):
    """The compiler's words without what only gcc knows, or what only slows us down."""
    words = shlex.split(entry["command"])[1:]
    drop = re.compile(r"-flto|-ffat-lto|-fsanitize|-fno-sanitize|-D_FORTIFY")
    return [word for word in words if not drop.match(word)]


def look(entry):
    clean = os.path.join(cache, state_of(entry))
    if os.path.exists(clean):
        return ""
    words = [word for word in clang_words(entry) if word not in ("-c", entry["file"])]
    run = subprocess.run([tool, "--quiet", entry["file"], "--", *words],
                         stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                         cwd=entry["directory"], check=False)
    if run.returncode == 0 and not run.stdout.strip():
        open(clean, "w", encoding="ascii").close()
        return ""
    return run.stdout or f"{entry['file']}: clang-tidy failed\n"


os.makedirs(cache, exist_ok=True)
with open(os.path.join(build, "compile_commands.json"), encoding="utf-8") as file:
    entries = json.load(file)
with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
    found = [text for text in pool.map(look, entries) if text]
print("".join(found), end="")
print(f"{len(entries)} files, {len(found)} with something to say")
sys.exit(bool(found))
