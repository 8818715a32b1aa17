#!/bin/sh
# locks.sh LIBRARY OBJECT: nothing that locks, waits or enters the kernel is called from OBJECT.
set -eu

names=$(nm -u "$1" | awk -v object="$2:" '/:$/ { in_it = $0 == object } in_it && $1 == "U" { print $2 }')
[ -n "$names" ] || {
    echo "$1 has no $2"
    exit 1
}
if echo "$names" | grep -E 'pthread|mutex|lock|futex|sem_|syscall|__libc_single'; then
    exit 1
fi
