#!/usr/bin/env bash
# need.sh WHAT=PACKAGE... - installs, with the machine's own apt, the packages whose WHAT is missing:
# a command, or a file when it begins with a slash.  Says nothing when all are there.
set -euo pipefail
export LC_ALL=C DEBIAN_FRONTEND=noninteractive

packages=()
for need in "$@"; do
    what=${need%%=*}
    case $what in
        /*) [ -e "$what" ] || packages+=("${need#*=}") ;;
        *) command -v "$what" >/dev/null || packages+=("${need#*=}") ;;
    esac
done
[ ${#packages[@]} -gt 0 ] || exit 0

echo "installing ${packages[*]}" >&2
command -v apt-get >/dev/null || { echo "need.sh: no apt-get here: install them yourself" >&2; exit 1; }
root=()
if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null || { echo "need.sh: neither root nor sudo: install them yourself" >&2; exit 1; }
    root=(sudo)
fi
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! { "${root[@]}" apt-get -q update &&
    "${root[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get -q install -y --no-install-recommends "${packages[@]}"; } >"$log" 2>&1; then
    tail -n 20 "$log" >&2
    echo "need.sh: apt could not install ${packages[*]}" >&2
    exit 1
fi
