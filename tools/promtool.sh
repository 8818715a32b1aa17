#!/usr/bin/env bash
# promtool.sh - prints where promtool is; where there is none, it is taken out of Debian's prometheus,
# by the machine's own apt, into the user's cache.  Nothing is installed.
set -euo pipefail
export LC_ALL=C

cache=${XDG_CACHE_HOME:-$HOME/.cache}/qmux-uring/tools
if command -v promtool; then
    exit 0
fi
if [ ! -x "$cache/promtool" ]; then
    mkdir -p "$cache"
    work=$(mktemp -d "$cache/.promtool.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    (cd "$work" && apt-get -q -o APT::Sandbox::User=root download prometheus >/dev/null)
    dpkg-deb --fsys-tarfile "$work"/prometheus_*.deb | tar -xO ./usr/bin/promtool >"$work/promtool"
    chmod 755 "$work/promtool"
    mv "$work/promtool" "$cache/promtool"
fi
echo "$cache/promtool"
