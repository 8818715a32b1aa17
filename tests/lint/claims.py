#!/usr/bin/env python3
"""claims.py BUILD - every proof named in tests/CLAIMS.md exists: tests as ctest of BUILD (and of the
build that runs with it) knows them, claims as their program's source has them, rows of the bench.
Every promise names a proof or says *no test*.
"""
import os
import re
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.join(HERE, "..", "..")

# Not every build has these, nor does ctest run them.
ELSEWHERE = {"lint.binary"}


def tests_of(build):
    listed = subprocess.run(["ctest", "--test-dir", build, "-N"], check=True, capture_output=True,
                            text=True).stdout
    return {name.split(".", 1)[1] for name in re.findall(r"Test +#\d+: (\S+)", listed)}


def claims_of(program):
    label, name = program.split(".", 1)
    path = os.path.join(ROOT, "tests", label, f"{name}.c")
    if not os.path.exists(path):
        return set()
    with open(path, encoding="utf-8") as file:
        return set(re.findall(r"^(?:TEST|BOTH)\((\w+)\)", file.read(), re.M))


def rows():
    path = os.path.join(ROOT, "bench", "lib", "rows.py")
    with open(path, encoding="utf-8") as file:
        return {f"bench.{name}" for name in re.findall(r'Row\("([\w.-]+)"', file.read())}


def exists(proof, tests):
    program, _, claim = proof.partition("/")
    if claim:
        return program in tests and claim in claims_of(program)
    if proof.endswith(".") or proof in ELSEWHERE:
        return True
    return proof in tests or any(re.fullmatch(re.escape(proof) + r"_\d+-\d+", name) for name in tests)


def main():
    tests = tests_of(sys.argv[1]) | rows()
    wrong = promises = 0
    with open(os.path.join(ROOT, "tests", "CLAIMS.md"), encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            row = re.fullmatch(r"\| (.+) \| (.+) \|\n", line)
            if not row or row.group(1) == "promise":
                continue
            promises += 1
            proofs = re.findall(r"`([^`]+)`", row.group(2))
            missing = [proof for proof in proofs if not exists(proof, tests)]
            if missing or not (proofs or "*no test*" in row.group(2)):
                wrong += 1
                print(f"tests/CLAIMS.md:{number}: {', '.join(missing) or 'no proof'}")
    print(f"{promises} promises, {wrong} wrong")
    return wrong > 0 or not promises


sys.exit(main())
