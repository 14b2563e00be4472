#!/usr/bin/env bash
# `make fuzz`: each target for FUZZ_SECONDS (60), from its seeds and what earlier runs have found. Needs a nightly
# toolchain; installs cargo-fuzz when it is missing. FUZZ_TARGETS chooses some.
set -euo pipefail
cd "$(dirname "$0")/.."

if ! rustup run nightly rustc --version >/dev/null 2>&1; then
    echo "fuzzing needs a nightly toolchain: rustup toolchain install nightly" >&2
    exit 1
fi
command -v cargo-fuzz >/dev/null || cargo install --locked cargo-fuzz

for target in ${FUZZ_TARGETS:-$(sed -n '/^\[\[bin/,/^$/s/^name = "\([a-z_]*\)"$/\1/p' fuzz/Cargo.toml)}; do
    echo "== $target: ${FUZZ_SECONDS:-60} s"
    mkdir -p "fuzz/corpus/$target"
    cargo +nightly fuzz run "$target" "fuzz/corpus/$target" "fuzz/seeds/$target" -- \
        -max_total_time="${FUZZ_SECONDS:-60}" -timeout=10 -rss_limit_mb=2048 -print_final_stats=0
done
