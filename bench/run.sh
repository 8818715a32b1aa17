#!/usr/bin/env bash
# bench/run.sh [--quick | --full] [--only ROW,…] [--peers NAME,…] [--peer NAME=PATH] [--path PATH]
#              [--workers N] [--mtu BYTES] [--rounds N] [--seconds N] [--baseline FILE] [--out FOLDER]
# bench/run.sh --redraw FILE [--out FOLDER]
# Measures the release binary beside what people would use instead, in network namespaces of its
# own with cubic everywhere.  bench/run.sh --help lists the rest; bench/README.md says how to read it.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf '==> %s\n' "$*"; }
# Debian's python is the one that has Debian's matplotlib.
python=python3
if [ -e /usr/lib/python3/dist-packages/matplotlib ]; then python=/usr/bin/python3; fi
case " $* " in *" --help "* | *" -h "* | *" --redraw"*) exec "$python" bench/bench.py "$@" ;; esac

tools/need.sh iperf3=iperf3 wrk=wrk /usr/sbin/haproxy=haproxy /usr/sbin/nginx=nginx \
    /usr/lib/nginx/modules/ngx_stream_module.so=libnginx-mod-stream ip=iproute2 python3=python3 \
    openssl=openssl ethtool=ethtool /usr/lib/python3/dist-packages/matplotlib=python3-matplotlib

if [ -e /usr/lib/python3/dist-packages/matplotlib ]; then python=/usr/bin/python3; fi

if [ -z "${QMUX_BINARY:-}" ]; then
    QMUX_BINARY=$(tools/build.sh release | tail -n 1)
    say "building the tools of the benchmark"
    ninja -C build/release bench | tail -n 1
fi
tools_folder=$(dirname "$QMUX_BINARY")/bench
for tool in load stage wire; do
    if [ ! -x "$tools_folder/bench-$tool" ]; then
        say "no $tools_folder/bench-$tool: build the target \`bench\` beside the program"
        exit 1
    fi
done

# The peer that cargo can make: pinned, default features, built once a machine.
rathole_version=0.5.0
cargo_folder=${XDG_CACHE_HOME:-$HOME/.cache}/qmux-uring/bench/rathole-$rathole_version
if [[ " $* " != *" rathole="* ]] && ! command -v rathole >/dev/null && command -v cargo >/dev/null; then
    if [ ! -x "$cargo_folder/bin/rathole" ]; then
        say "building rathole $rathole_version (some minutes, once)"
        tools/need.sh /usr/include/openssl/ssl.h=libssl-dev pkg-config=pkg-config
        cargo install rathole --version "$rathole_version" --root "$cargo_folder" --quiet ||
            say "rathole could not be built: it is reported as not measured"
    fi
    PATH=$cargo_folder/bin:$PATH
fi

space=qmux-bench-$$
say "network namespaces $space and $space-far"
# A namespace may choose only among the algorithms that the machine allows to all; put back at the end.
allowed=$(sysctl -n net.ipv4.tcp_allowed_congestion_control)
clean_up() {
    ip netns delete "$space-far" 2>/dev/null || true
    ip netns delete "$space" 2>/dev/null || true
    sysctl -qw net.ipv4.tcp_allowed_congestion_control="$allowed"
}
trap clean_up EXIT
sysctl -qw net.ipv4.tcp_allowed_congestion_control="$allowed cubic"
for name in "$space" "$space-far"; do
    ip netns add "$name"
    ip -n "$name" link set lo up
    ip netns exec "$name" sysctl -qw net.ipv4.tcp_congestion_control=cubic \
        net.ipv4.ip_local_port_range="1024 65000" net.core.somaxconn=8192 \
        net.ipv4.ip_local_reserved_ports="7000-7500,10000-19999"
done
ulimit -n "$(ulimit -Hn)"
ip netns exec "$space" "$python" bench/bench.py --binary "$QMUX_BINARY" --tools "$tools_folder" \
    --far "$space-far" "$@"
