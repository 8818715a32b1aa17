#!/usr/bin/env bash
# build.sh [release|dev|tsan|fuzz] [--tests] - builds build/PRESET/qmux-uring, and the tests when asked,
# from whatever state the machine and the tree are in: installs what is missing, prepares the
# libraries, configures, compiles.  Further words go to CMake.  JOBS=N bounds the cores it uses.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

preset=${1:-release}
shift || true
case $preset in
    release | dev | tsan | fuzz) ;;
    *) sed -n '2,4s/^# \?//p' tools/build.sh >&2; exit 2 ;;
esac
target=qmux-uring
if [ "$preset" = fuzz ]; then target=all; fi
if [ "${1:-}" = --tests ]; then
    target=all
    shift
fi
jobs=${JOBS:-$(nproc)}
tools/need.sh cmake=cmake ninja=ninja-build gcc=gcc
if [ "$preset" = fuzz ]; then tools/need.sh clang=clang; fi
prefix=$(tools/deps.sh | tail -n 1)

echo "== configuring $preset" >&2
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! cmake --preset "$preset" -DDEPS="$prefix" "$@" >"$log" 2>&1; then
    cat "$log" >&2
    exit 1
fi
grep -A 3 Warning "$log" >&2 || true
echo "== compiling $preset with $jobs jobs" >&2
ninja -C "build/$preset" -j "$jobs" "$target" >&2
echo "build/$preset/qmux-uring"
