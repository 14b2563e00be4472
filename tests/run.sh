#!/usr/bin/env bash
# Runs everything that must hold, stage by stage, and prints the seconds that each took. Stops at the first that fails.
set -euo pipefail
cd "$(dirname "$0")/.."

PLUGINS=${PLUGINS:-socketio amqp mqtt stomp}
TARGET_DIR=$(realpath -m "${CARGO_TARGET_DIR:-target}")
export CARGO_TARGET_DIR=$TARGET_DIR CARGO_TERM_COLOR=${CARGO_TERM_COLOR:-never}
STARTED=$SECONDS
SUMMARY=

stage() { # NAME COMMAND...
    local name=$1 from=$SECONDS
    shift
    echo "==> $name"
    "$@" || { echo "==> $name failed after $((SECONDS - from)) s" >&2; exit 1; }
    echo "==> $name: $((SECONDS - from)) s"
    SUMMARY+=$(printf '%-22s %5d s' "$name" $((SECONDS - from)))$'\n'
}

format() {
    cargo fmt --all --check
    local crate
    for crate in examples/lines tests/plugins/bad benches/kit benches/abi fuzz; do
        cargo fmt --manifest-path "$crate/Cargo.toml" --check
    done
}

lint() { cargo clippy --locked --profile ci --workspace --all-targets --all-features -- -D warnings; }

document() { RUSTDOCFLAGS="-D warnings" cargo doc --locked --profile ci --workspace --no-deps --quiet; }

unit_tests() { cargo test --locked --profile ci --workspace --exclude kuzzle-tests --no-fail-fast; }

# One package at a time, so that no feature that only tests ask for reaches the binaries under test.
binaries() {
    local plugin
    cargo build --locked --profile ci -p kuzzle-host
    for plugin in $PLUGINS; do cargo build --locked --profile ci -p "kuzzle-protocol-$plugin"; done
}

# What random input finds in seconds, in case a change has broken what hours of it found well.
fuzz_briefly() { FUZZ_SECONDS=5 ./fuzz/run.sh; }

black_box_tests() {
    KUZZLE_BIN_DIR=$TARGET_DIR/ci cargo test --locked --profile ci -p kuzzle-tests --no-fail-fast
}

stage "tools" ./tests/setup.sh
stage "format" format
stage "lint" lint
stage "documentation" document
stage "unit tests" unit_tests
stage "host and plugins" binaries
stage "plugins out of tree" ./tests/plugins/build.sh "$TARGET_DIR/ci"
stage "fuzzing, briefly" fuzz_briefly
# Printed before the last stage too: its own output, which ends with the results, comes last.
printf '%s' "$SUMMARY"
stage "black-box tests" black_box_tests
echo "==> all stages: $((SECONDS - STARTED)) s"
