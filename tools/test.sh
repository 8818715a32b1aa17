#!/usr/bin/env bash
# test.sh [CTEST WORDS...] - installs what is missing, builds dev (sanitizers) and release, and runs
# every test of both, and the tests with threads under tsan; the last lines are ctest's summary.
# For example: tools/test.sh -L unit
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

tools/need.sh python3=python3 clang-14=clang-14 clang-tidy-14=clang-tidy-14 \
    clang-format-14=clang-format-14 cppcheck=cppcheck shellcheck=shellcheck ip=iproute2 \
    curl=curl readelf=binutils valgrind=valgrind go=golang-go
tools/promtool.sh >/dev/null || echo "there is no promtool to be had: its test is skipped" >&2
tools/build.sh release --tests
tools/build.sh tsan --tests
tools/build.sh dev --tests -DTESTS_OF="$PWD/build/release;$PWD/build/tsan"
exec ctest --test-dir build/dev --output-on-failure --timeout 600 -j "${JOBS:-$(nproc)}" "$@"
