#!/usr/bin/env bash
# `make soak`: SOAK_MINUTES (60) of load over REST and socket.io, with socket.io switched off and on again once a minute.
# Fails when an answer is wrong, when REST hesitates, or when the server's memory at the end is more than twice and
# 32 MiB more than after the first minute.
set -euo pipefail
cd "$(dirname "$0")"

TARGET_DIR=$(realpath -m "${CARGO_TARGET_DIR:-../target}")
MINUTES=${SOAK_MINUTES:-60}
export KBENCH=$TARGET_DIR/release RUN=${RUN:-$PWD/run/soak}
CARGO_TARGET_DIR=$TARGET_DIR cargo build --release --locked --manifest-path kit/Cargo.toml
mkdir -p "$RUN"

http=${BENCH_HTTP_PORT:-17511} sio=${BENCH_SIO_PORT:-17512}
plugins() { # ENABLED
    printf '[protocols.socketio]\nplugin = "socketio"\nenabled = %s\nlisten = ["127.0.0.1:%s"]\n' "$1" "$sio" >"$RUN/plugins.new"
    mv "$RUN/plugins.new" "$RUN/plugins.toml"
}
plugins true
printf '[rest]\nlisten = ["127.0.0.1:%s"]\n' "$http" >"$RUN/kuzzle.toml"
export OURS_PORTS="$http $sio"
export OURS_CMD="$TARGET_DIR/release/kuzzle-host --plugins $RUN/plugins.toml --config $RUN/kuzzle.toml --data \$OURS_DATA"
./peers/peers.sh start ours
trap './peers/peers.sh stop ours' EXIT
pid=$(./peers/peers.sh pid ours)
memory() { awk '/^Pss:/ { print $2 }' "/proc/$pid/smaps_rollup"; }
answers() { (exec 3<>"/dev/tcp/127.0.0.1/$sio") 2>/dev/null; }
waits_until() { # COMMAND... : a minute at most
    local i
    for i in $(seq 600); do "$@" && return 0; sleep 0.1; done
    echo "waited in vain for: $*" >&2
    return 1
}
not() { ! "$@"; }

first=
for minute in $(seq "$MINUTES"); do
    "$KBENCH/kbench" run --proto http --addr "127.0.0.1:$http" --pubs 16 --window 1 --dur 55 --keys 2000 \
        --req 'PUT /api/1.0/soak/docs/{i} {"n":"{i}","p":"{pad}"}' --req 'GET /api/1.0/soak/docs/{i}' --name rest &
    rest=$!
    "$KBENCH/kbench" run --proto sio --addr "127.0.0.1:$sio" --pubs 32 --layout pair --window 1 --dur 20 --eio 3 \
        --ok '"status":200' --name socketio \
        --req '["kuzzle",{"requestId":"{i}","controller":"read","action":"now","metadata":{"t":"{T}","p":"{pad}"}}]'
    plugins false
    waits_until not answers
    plugins true
    waits_until answers
    wait $rest
    now=$(memory)
    first=${first:-$now}
    echo "minute $minute of $MINUTES: $now KiB"
done
if [ "$now" -gt $((first * 2)) ] && [ "$now" -gt $((first + 32768)) ]; then
    echo "the server has grown from $first to $now KiB" >&2
    exit 1
fi
echo "nothing was lost, nothing grew: $first KiB, then $now KiB"
