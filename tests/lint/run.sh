#!/usr/bin/env bash
# run.sh layers|words|format|tidy|cppcheck|shell|claims|options BUILD - one look at the sources; silent is clean.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$here/../.."
build=${2:-build/dev}

# Files of ours: what is committed, or is about to be.
ours() { git ls-files -co --exclude-standard -- "$@"; }

# Words that mean nothing to whoever reads this tree elsewhere: folders of one machine, hosts that
# a machine should choose itself, work left for later, tickets, and who or what typed a line.
words() {
    local pattern
    pattern='(^|[^[:alnum:]_./])/(work|farm|root)/|\b(TODO|FIXME|XXX|HACK)\b'
    pattern+='|\b(deb|security|snapshot)\.debian\.org|\bpypi\.org|\bcrates\.io|\bproxy\.golang\.org'
    pattern+='|\bregistry\.[a-z]+js|pkg\.dev\b|\b[Ii]ssues? ?#?[0-9]+\b|[Gg]enerated (by|with) [A-Z]'
    pattern+='|Co-[Aa]uthored'
    ! ours ':!LICENSE' ':!tests/lint/run.sh' ':!tests/fuzz/corpus' | tr '\n' '\0' |
        xargs -0 grep -nIHE -e "$pattern"
}

case $1 in
    layers) exec python3 "$here/layers.py" ;;
    words) words ;;
    format) ours '*.c' '*.h' | xargs "$(command -v clang-format-14 || echo clang-format)" --dry-run -Werror ;;
    claims) exec python3 "$here/claims.py" "$build" ;;
    tidy) exec python3 "$here/tidy.py" "$build" ;;
    cppcheck)
        mkdir -p "$build/cppcheck"
        exec cppcheck --project="$build/compile_commands.json" --cppcheck-build-dir="$build/cppcheck" \
            -j "$(nproc)" --quiet --error-exitcode=1 --inline-suppr --suppressions-list="$here/cppcheck.txt" \
            --enable=warning,performance,portability --library=posix '-D__attribute__(x)=' \
            --template='{file}:{line}: {message} [{id}]'
        ;;
    options) # the README's list is what the program prints
        diff <(sed -n '/^<!-- options:/,/^<!-- end of options/p' README.md | sed '1,2d;$d' | sed '$d') \
            <("$build/qmux-uring" config --reference | sed -e :a -e '/^\n*$/{$d;N;ba' -e '}')
        ;;
    shell)
        ours | while IFS= read -r file; do
            if head -n 1 "$file" | grep -qE '^#!.*\b(ba)?sh$'; then printf '%s\0' "$file"; fi
        done | xargs -0 shellcheck -x
        ;;
    *) sed -n '2s/^# //p' "${BASH_SOURCE[0]}" >&2; exit 2 ;;
esac
