#!/usr/bin/env bash
# `make bench`: builds the load generator, installs the servers to measure beside by package name, runs everything side
# by side and judges it by the floors of goals.json. Ends with 1 when a floor is missed.
#
#   ROUNDS=7 DURATION=3 ONLY='.' make bench
set -euo pipefail
cd "$(dirname "$0")"

TARGET_DIR=$(realpath -m "${CARGO_TARGET_DIR:-../target}")
export KBENCH=$TARGET_DIR/release RUN=${RUN:-$PWD/run}
mkdir -p "$RUN"

missing=
for pair in taskset=util-linux node=nodejs npm=npm python3=python3 nginx=nginx-light mosquitto=mosquitto \
    rabbitmq-server=rabbitmq-server; do
    PATH=$PATH:/usr/sbin command -v "${pair%%=*}" >/dev/null || missing+=" ${pair#*=}"
done
if [ -n "$missing" ]; then
    sudo=
    [ "$(id -u)" = 0 ] || sudo="sudo -n"
    $sudo apt-get update -qq
    # shellcheck disable=SC2086
    DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends $missing >/dev/null
    # Debian starts it at once on port 80; the kit starts its own elsewhere.
    for service in nginx mosquitto rabbitmq-server; do
        case $missing in *$service*) $sudo service $service stop || true ;; esac
    done
fi
(cd peers && npm ci --no-audit --no-fund --loglevel=error)
CARGO_TARGET_DIR=$TARGET_DIR cargo build --release --locked --manifest-path kit/Cargo.toml
CARGO_TARGET_DIR=$TARGET_DIR cargo build --release --locked --manifest-path abi/Cargo.toml

# The shipped plugins.toml, on the ports that nothing else is likely to use.
http=${BENCH_HTTP_PORT:-17511} sio=${BENCH_SIO_PORT:-17512} amqp=${BENCH_AMQP_PORT:-17513}
mqtt=${BENCH_MQTT_PORT:-17514} stomp=${BENCH_STOMP_PORT:-17515}
cat >"$RUN/plugins.toml" <<TOML
[protocols.socketio]
plugin = "socketio"
enabled = true
listen = ["127.0.0.1:$sio"]
[protocols.amqp]
plugin = "amqp"
listen = ["127.0.0.1:$amqp"]
[protocols.mqtt]
plugin = "mqtt"
listen = ["127.0.0.1:$mqtt"]
[protocols.stomp]
plugin = "stomp"
listen = ["127.0.0.1:$stomp"]
TOML
printf '[rest]\nlisten = ["127.0.0.1:%s"]\n' "$http" >"$RUN/kuzzle.toml"
export OURS_PORTS="$http $sio $amqp $mqtt $stomp"
export OURS_CMD="$TARGET_DIR/release/kuzzle-host --plugins $RUN/plugins.toml --config $RUN/kuzzle.toml --data \$OURS_DATA"

rivals="hello node-docs nginx sio echo mosquitto rabbitmq"
# shellcheck disable=SC2086
trap './peers/peers.sh stop ours '"$rivals" EXIT
failed=0

echo "== a call through the plugin contract, beside the same call without it"
"$TARGET_DIR/release/abi-bench" "$TARGET_DIR/release/libabi_bench.so" || failed=1

echo "== start and idle memory"
./startup.py --rounds "${ROUNDS:-7}" || failed=1

echo "== side by side"
# shellcheck disable=SC2086
./peers/peers.sh start ours $rivals
rm -f "$RUN/results.jsonl"
./ab.py run --targets "ours,${rivals// /,}" --only "${ONLY:-.}" --rounds "${ROUNDS:-7}" --dur "${DURATION:-3}"
./ab.py report "$RUN/results.jsonl" --floors || failed=1
./ab.py report "$RUN/results.jsonl" --ours ours | sed -n '/ratio ours/,$p'
exit $failed
