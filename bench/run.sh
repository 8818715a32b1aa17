#!/usr/bin/env bash
# bench/run.sh [--quick] [--only ROW,…] [--peers NAME,…] [--peer NAME=PATH] [--rounds N]
# Measures the release binary beside what people would use instead, in a network namespace of its
# own with cubic everywhere.  See bench/README.md.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf '==> %s\n' "$*"; }

tools/need.sh iperf3=iperf3 wrk=wrk /usr/sbin/haproxy=haproxy /usr/sbin/nginx=nginx \
    /usr/lib/nginx/modules/ngx_stream_module.so=libnginx-mod-stream ip=iproute2 python3=python3 \
    openssl=openssl
if [ -z "${QMUX_BINARY:-}" ]; then
    QMUX_BINARY=$(tools/build.sh release | tail -n 1)
fi

space=qmux-bench-$$
say "network namespace $space"
# A namespace may choose only among the algorithms that the machine allows to all; put back at the end.
allowed=$(sysctl -n net.ipv4.tcp_allowed_congestion_control)
clean_up() {
    ip netns delete "$space"
    sysctl -qw net.ipv4.tcp_allowed_congestion_control="$allowed"
}
ip netns add "$space"
trap clean_up EXIT
sysctl -qw net.ipv4.tcp_allowed_congestion_control="$allowed cubic"
ip -n "$space" link set lo up
inside() { ip netns exec "$space" "$@"; }
inside sysctl -qw net.ipv4.tcp_congestion_control=cubic net.ipv4.ip_local_port_range="1024 65000" \
    net.ipv4.ip_local_reserved_ports="7000-7500" net.core.somaxconn=8192
ulimit -n "$(ulimit -Hn)"
inside python3 bench/bench.py --binary "$QMUX_BINARY" "$@"
