#!/usr/bin/env python3
"""layers.py - the arrows between folders, one door per library, and the size of rooms.

The rules are the tables below; a violation is printed as FILE:LINE: message and fails the test.
"""
import re
import subprocess
import sys

# Who may include whom; a folder's own files it always may.
SEES = {
    "core": set(),
    "quic": {"core"},
    "balancer": {"core"},
    "relay": {"core", "quic", "balancer"},
    "cli": {"core", "quic", "balancer", "relay"},
}
# What of a folder others may include; every header of core is a face.
FACES = {
    "quic": {"quic/quic.h"},
    "balancer": {"balancer/balancer.h"},
    "relay": {"relay/relay.h", "relay/settings.h"},
    "cli": set(),
}
# A library's headers, and the files that may include them.
DOORS = [
    (r"liburing|linux/io_uring\.h", r"core/ring(_\w+)?\.[ch]"),
    (r"ini\.h", r"core/config\.c"),
    (r"ngtcp2/|nghttp3/", r"quic/\w+\.[ch]"),
    (r"wolfssl/", r"core/(tls|cert|identity|ticket|aes)(_\w+)?\.[ch]"
                  r"|quic/(handshake|protect_wolfcrypt)(_\w+)?\.[ch]|relay/tls_end\.[ch]"),
    (r"intel-ipsec-mb\.h", r"quic/protect_ipsec\.[ch]"),
    (r"urcu", r"core/snapshot\.[ch]"),
    (r"ares", r"core/resolve\.[ch]"),
    (r"llhttp", r"relay/http\.[ch]"),
]
# Rings share nothing: threads and atomics live only where something is shared on purpose.
SHARED = re.compile(r"core/(counter|log|worker|mailbox|snapshot|resolve|must)(_\w+)?\.[ch]"
                    r"|balancer/(balancer|pool|member|pick|eject)\.[ch]|quic/port\.[ch]|relay/(crew|edition|leaver|relay_leave|listener(_\w+)?|rate_table|udp_(source|ferry))\.[ch]"
                    r"|relay/tunnel_(member|registrar|link|group)\.[ch]|relay/server_(member|parts|site|pool(_parts)?|change)\.[ch]|cli/(signals|relay_thread|origin|activation)\.[ch]")
SHARING = re.compile(r"\b(pthread_\w+|atomic_\w+|_Atomic|__atomic_\w+|__sync_\w+|stdatomic\.h)\b")

FILE_LINES_MAX = 500
FUNCTION_LINES_MAX = 60

found = 0


def wrong(path, line, message):
    global found
    found += 1
    print(f"{path}:{line}: {message}")


def check_include(path, line, target):
    folder, other = path.split("/")[0], target.split("/")[0]
    for library, door in DOORS:
        if re.match(library, target) and not re.fullmatch(door, path):
            wrong(path, line, f"<{target}> is included only by {door}")
    if other in ("tests", "bench", "tools"):
        wrong(path, line, f"nothing sees {other}")
    elif other in SEES and other != folder:
        if other not in SEES[folder]:
            wrong(path, line, f"{folder} does not see {other}")
        elif other in FACES and target not in FACES[other]:
            wrong(path, line, f"of {other} only its face is seen, not {target}")


def check_size(path):
    with open(path, encoding="utf-8") as file:
        lines = file.read().splitlines()
    if len(lines) > FILE_LINES_MAX:
        wrong(path, 1, f"{len(lines)} lines: two rooms in one?")
    return lines


def check_file(path):
    lines = check_size(path)
    shares = SHARED.fullmatch(path)
    body = 0  # the line where the function we are in began
    for number, text in enumerate(lines, 1):
        include = re.match(r'#\s*include\s*[<"]([^>"]+)', text)
        if include:
            check_include(path, number, include.group(1))
        if not shares and SHARING.search(text):
            wrong(path, number, "threads and atomics belong to the files that share on purpose")
        if text.startswith("{"):
            body = number
        elif text.startswith("}") and body:
            if number - body > FUNCTION_LINES_MAX:
                wrong(path, body, f"a function of {number - body} lines")
            body = 0
        elif body and re.match(r"\s*#\s*(if|elif|else)", text):
            wrong(path, number, "a variant inside a function: make it a file")


paths = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], check=True,
                       capture_output=True, text=True).stdout.split()
product = [path for path in paths if path.split("/")[0] in SEES and path.endswith((".c", ".h"))]
others = [path for path in paths if path not in product and path.endswith((".c", ".h", ".py", ".sh"))]
for path in product:
    check_file(path)
for path in others:
    check_size(path)
print(f"{len(product) + len(others)} files, {found} wrong")
sys.exit(found > 0 or not product)
