#!/usr/bin/env bash
# run.sh [--once] - builds a release and shows its main job on this machine: a tunnel server, a
# tunnel client with throw-away certificates, and a small web server behind it.  Ctrl-C ends all.
# --once makes one request through the tunnel itself and exits 0 when the answer was right.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

once=no
case ${1:-} in
    '') ;;
    --once) once=yes ;;
    *) sed -n '2,4s/^# \?//p' tools/run.sh >&2; exit 2 ;;
esac
tools/need.sh python3=python3 curl=curl
program=$PWD/$(tools/build.sh release | tail -n 1)

folder=$(mktemp -d)
pids=()
# shellcheck disable=SC2317 # the trap calls it
finish() {
    trap - EXIT INT TERM
    for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
    wait "${pids[@]}" 2>/dev/null || true
    rm -rf "$folder"
}
trap finish EXIT
trap 'echo; echo "ending"; exit 0' INT TERM

# free_port TYPE: a port of 127.0.0.1 that nobody has now.
free_port() {
    python3 -c "import socket; s = socket.socket(type=socket.SOCK_$1); s.bind(('127.0.0.1', 0)); print(s.getsockname()[1])"
}
# start NAME COMMAND...: in the background, its output in a file of that name.
start() {
    local name=$1
    shift
    "$@" >"$folder/$name.log" 2>&1 &
    pids+=($!)
}
# await NAME WORDS: until they stand in the log of the process started last; a dead one ends us.
await() {
    if ! grep -q -m 1 "$2" < <(timeout 15 tail -n +1 --pid="${pids[-1]}" -f "$folder/$1.log"); then
        cat "$folder/$1.log" >&2
        echo "run.sh: the $1 did not come up" >&2
        exit 1
    fi
}

echo "== certificates: a CA, one for the server, one for the client"
"$program" certs "$folder" >/dev/null

tunnel=127.0.0.1:$(free_port DGRAM)
web=127.0.0.1:$(free_port STREAM)
origin=$(free_port STREAM)
cat >"$folder/server.ini" <<END
[server]
[tls edge]
cert = server.crt
key = server.key
ca = ca.crt
[tunnel demo]
listen = $tunnel
tls = edge
auth = mtls
allow = client
[listener web]
bind = $web
backend = demo
END
cat >"$folder/client.ini" <<END
[client]
server = $tunnel name=localhost
tls = edge
local = 127.0.0.1:$origin
[tls edge]
cert = client.crt
key = client.key
ca = ca.crt
END

echo "== a web server on 127.0.0.1:$origin, as it would stand behind NAT"
mkdir "$folder/www"
echo "This page came through a QUIC tunnel." >"$folder/www/index.html"
start origin python3 -u -m http.server --bind 127.0.0.1 --directory "$folder/www" "$origin"
await origin "Serving HTTP"
echo "== the tunnel server: users on $web (TCP), clients on $tunnel (UDP)"
start server "$program" "$folder/server.ini"
await server "listen"
echo "== the tunnel client, which dials out to it"
start client "$program" "$folder/client.ini"
await client "registered"

if [ $once = yes ]; then
    answer=$(curl -sS --max-time 10 "http://$web/")
    echo "== http://$web/ answered: $answer"
    [ "$answer" = "$(cat "$folder/www/index.html")" ]
    exit
fi
cat <<END

   Try      curl http://$web/
   Expect   $(cat "$folder/www/index.html")
   Read     $folder/server.ini and client.ini; logs beside them
   End      Ctrl-C

END
wait -n "${pids[@]}" || true
echo "run.sh: a process ended by itself; its last words:" >&2
tail -n 5 "$folder"/*.log >&2
exit 1
