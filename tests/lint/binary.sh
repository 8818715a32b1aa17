#!/usr/bin/env bash
# binary.sh PROGRAM - the program that is installed is one static file, placed at random, with
# read-only relocations and no executable stack, and loads nothing of the machine's.
set -euo pipefail

failed=0
wrong() {
    echo "$1"
    failed=1
}
headers=$(readelf --wide --file-header --program-headers "$1")
dynamic=$(readelf --wide --dynamic "$1")
symbols=$(nm "$1")

grep -q 'Type: *DYN' <<<"$headers" || wrong "not position-independent"
grep -q INTERP <<<"$headers" && wrong "it asks for a dynamic loader"
grep -q NEEDED <<<"$dynamic" && wrong "it needs shared libraries"
grep -q TEXTREL <<<"$dynamic" && wrong "it has text relocations"
grep -q GNU_RELRO <<<"$headers" || wrong "relocations stay writable"
grep -qE 'BIND_NOW|FLAGS_1.*NOW' <<<"$dynamic" || wrong "symbols are bound late"
grep 'GNU_STACK' <<<"$headers" | grep -q RWE && wrong "the stack is executable"
grep -q __nss_ <<<"$symbols" && wrong "it has glibc's name service switch in it, which loads libraries"
exit $failed
