#!/usr/bin/env bash
# `make soak`: SOAK_MINUTES (60) of REST, AMQP, MQTT and STOMP at half (SOAK_PERCENT=50) of what the machine can carry of
# all four at once, found in the first seconds, with socket.io loaded, switched off and on again once a minute. Fails when
# an answer is wrong, when a message is lost or not delivered in time, when a connection that should stay breaks, or when
# the server's memory has grown by more than 5 %. What counts is the least that it has in a minute, between bursts: that of
# the last three beside that of the third to the fifth, by when every buffer, cache and segment of a journal has had its
# turn. (Of a run under eight minutes only the rest is judged.)
set -euo pipefail
cd "$(dirname "$0")"

TARGET_DIR=$(realpath -m "${CARGO_TARGET_DIR:-../target}")
MINUTES=${SOAK_MINUTES:-60} PERCENT=${SOAK_PERCENT:-50}
export KBENCH=$TARGET_DIR/release RUN=${RUN:-$PWD/run/soak}
CARGO_TARGET_DIR=$TARGET_DIR cargo build --release --locked --manifest-path kit/Cargo.toml
mkdir -p "$RUN"

http=${BENCH_HTTP_PORT:-17511} sio=${BENCH_SIO_PORT:-17512} amqp=${BENCH_AMQP_PORT:-17513} mqtt=${BENCH_MQTT_PORT:-17514}
stomp=${BENCH_STOMP_PORT:-17515}
plugins() { # ENABLED: whether socket.io is on
    {
        printf '[protocols.socketio]\nplugin = "socketio"\nenabled = %s\nlisten = ["127.0.0.1:%s"]\n' "$1" "$sio"
        printf '[protocols.amqp]\nplugin = "amqp"\nlisten = ["127.0.0.1:%s"]\n' "$amqp"
        printf '[protocols.mqtt]\nplugin = "mqtt"\nlisten = ["127.0.0.1:%s"]\n' "$mqtt"
        printf '[protocols.stomp]\nplugin = "stomp"\nlisten = ["127.0.0.1:%s"]\n' "$stomp"
    } >"$RUN/plugins.new"
    mv "$RUN/plugins.new" "$RUN/plugins.toml"
}
plugins true
printf '[rest]\nlisten = ["127.0.0.1:%s"]\n' "$http" >"$RUN/kuzzle.toml"
export OURS_PORTS="$http $sio $amqp $mqtt $stomp"
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

# NAME DURATION RATE: what is carried all the time. A rate of 0 is as fast as it goes.
carry() {
    local common="--name $1 --dur $2 --rate $3 --warmup 1"
    case $1 in
    # shellcheck disable=SC2086
    rest) "$KBENCH/kbench" run $common --proto http --addr "127.0.0.1:$http" --pubs 16 --window 1 --keys 2000 \
        --req 'PUT /api/1.0/soak/docs/{i} {"n":"{i}","p":"{pad}"}' --req 'GET /api/1.0/soak/docs/{i}' ;;
    # shellcheck disable=SC2086
    amqp) "$KBENCH/kbench" run $common --proto amqp --addr "127.0.0.1:$amqp" --pubs 1 --subs 1 --layout queue \
        --confirm 1 --persistent 1 ;;
    # shellcheck disable=SC2086
    mqtt) "$KBENCH/kbench" run $common --proto mqtt --addr "127.0.0.1:$mqtt" --pubs 4 --layout p2p --qos 1 ;;
    # shellcheck disable=SC2086
    stomp) "$KBENCH/kbench" run $common --proto stomp --addr "127.0.0.1:$stomp" --pubs 4 --layout p2p ;;
    esac
}
# How many a second a result says: the larger of what came and what was acknowledged.
speed() { sed -E 's/.*"recv_s":([0-9]+),"acks_s":([0-9]+),.*/\1 \2/' "$1" | awk '{ print ($1 > $2 ? $1 : $2) }'; }

jobs="rest amqp mqtt stomp"
# Fails when less than 95 % of what a result says was sent has come back.
kept_up() {
    sed -E 's/.*"sent_s":([0-9]+),"recv_s":([0-9]+),.*/\1 \2/' "$RUN/$1.json" |
        awk -v job="$1" '$2 * 100 < $1 * 95 { print job ": of " $1 " a second only " $2 " came" > "/dev/stderr"; exit 1 }'
}

declare -A share started
for job in $jobs; do carry "$job" 8 0 >"$RUN/$job.json" & started[$job]=$!; done
for job in $jobs; do
    wait "${started[$job]}"
    share[$job]=$(($(speed "$RUN/$job.json") * PERCENT / 100))
    echo "$job: $PERCENT % is ${share[$job]} a second"
done

# The least that the server has in use while PID runs.
least() { # PID
    local now least
    least=$(memory)
    while kill -0 "$1" 2>/dev/null; do
        now=$(memory)
        [ "$now" -ge "$least" ] || least=$now
        sleep 1
    done
    echo "$least"
}
lows=()
# The least of some minutes, counted from 0.
least_of() { # FROM COUNT
    printf '%s\n' "${lows[@]:$1:$2}" | sort -n | head -n 1
}

for minute in $(seq "$MINUTES"); do
    for job in $jobs; do carry "$job" 55 "${share[$job]}" >"$RUN/$job.json" & started[$job]=$!; done
    least "${started[rest]}" >"$RUN/least" & watch=$!
    "$KBENCH/kbench" run --proto sio --addr "127.0.0.1:$sio" --pubs 32 --layout pair --window 1 --dur 20 --eio 3 \
        --ok '"status":200' --name socketio \
        --req '["kuzzle",{"requestId":"{i}","controller":"read","action":"now","metadata":{"t":"{T}","p":"{pad}"}}]'
    plugins false
    waits_until not answers
    plugins true
    waits_until answers
    for job in $jobs; do
        wait "${started[$job]}" || { cat "$RUN/$job.json" >&2; exit 1; }
        kept_up "$job"
    done
    wait "$watch"
    lows+=("$(cat "$RUN/least")")
    echo "minute $minute of $MINUTES: ${lows[-1]} KiB"
done
if [ "$MINUTES" -lt 8 ]; then
    echo "nothing was lost"
    exit 0
fi
first=$(least_of 2 3) last=$(least_of $((MINUTES - 3)) 3)
if [ $((last * 100)) -gt $((first * 105)) ]; then
    echo "the server has grown from $first to $last KiB" >&2
    exit 1
fi
echo "nothing was lost, nothing grew: $first KiB, then $last KiB"
