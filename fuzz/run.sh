#!/usr/bin/env bash
# `make fuzz`: each target for FUZZ_SECONDS (600), FUZZ_JOBS (one a processor) at a time, from its seeds and what earlier
# runs have found. FUZZ_TARGETS chooses some. Any toolchain will do: the compiler's own pass counts what is reached. Ends
# with 1 when a target has found something; the input is then in fuzz/found.
set -euo pipefail
cd "$(dirname "$0")/.."

TARGET_DIR=$(realpath -m "${CARGO_TARGET_DIR:-target}")/fuzz
HOST=$(rustc -vV | sed -n 's/^host: //p')
export FUZZ_SECONDS=${FUZZ_SECONDS:-600} BIN_DIR=$TARGET_DIR/$HOST/release
targets=${FUZZ_TARGETS:-$(sed -n '/^\[\[bin/,/^$/s/^name = "\([a-z_]*\)"$/\1/p' fuzz/Cargo.toml)}

# With --target the flags reach the targets alone, and not what runs while they are built.
RUSTFLAGS="--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares -Cdebug-assertions -Coverflow-checks" \
    CARGO_TARGET_DIR=$TARGET_DIR \
    cargo build --release --locked --quiet --manifest-path fuzz/Cargo.toml --target "$HOST"

fuzz() { # TARGET
    mkdir -p "fuzz/corpus/$1" fuzz/found
    local log
    log=$(mktemp)
    if "$BIN_DIR/$1" -max_total_time="$FUZZ_SECONDS" -use_value_profile=1 -timeout=10 -rss_limit_mb=2048 -print_final_stats=0 \
        -artifact_prefix="fuzz/found/$1-" "fuzz/corpus/$1" "fuzz/seeds/$1" >"$log" 2>&1; then
        echo "$1: $(grep '^Done' "$log")"
    else
        echo "$1 has found something:" >&2
        tail -n 40 "$log" >&2
        rm -f "$log"
        return 1
    fi
    rm -f "$log"
}
export -f fuzz

# shellcheck disable=SC2086
printf '%s\n' $targets | xargs -P "${FUZZ_JOBS:-$(nproc)}" -I{} bash -euo pipefail -c 'fuzz {}'
