#!/usr/bin/env bash
# Builds what the black-box tests load but the server does not ship, each out of the workspace as a third party would:
# the example plugin, and the plugin that fails on purpose, once per way of failing.
#
#   tests/plugins/build.sh DIRECTORY     makes DIRECTORY/out-of-tree/{lines,bad,bad-<way>}.so
set -euo pipefail
cd "$(dirname "$0")/../.."

out=$1/out-of-tree
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/target}
built=$CARGO_TARGET_DIR/ci
mkdir -p "$out"

current() { # FILE FOLDER... : whether FILE is newer than everything in the folders
    local file=$1
    shift
    [ -e "$file" ] && [ -z "$(find "$@" -path '*/target' -prune -o -type f -newer "$file" -print -quit)" ]
}

# A library's file name does not tell its features apart, so each build begins without the last one's result.
build() { # NAME FOLDER LIBRARY CARGO-ARGUMENTS...
    local name=$1 folder=$2 library=$3
    shift 3
    current "$out/$name.so" plugin-api "$folder" Cargo.toml tests/plugins/build.sh && return
    echo "out-of-tree/$name.so"
    rm -f "$built/deps/$library" "$built/$library"
    cargo rustc --quiet --locked --profile ci --manifest-path "$folder/Cargo.toml" "$@"
    cp "$built/$library" "$out/$name.so.new"
    mv "$out/$name.so.new" "$out/$name.so"
}

bad=libkuzzle_bad_plugin.so
build bad tests/plugins/bad $bad
for way in $(sed -n '/^\[features\]/,/^\[dep/s/^\([a-z-]*\) = \[\]$/\1/p' tests/plugins/bad/Cargo.toml); do
    build "bad-$way" tests/plugins/bad $bad --features "$way"
done
# The plugin itself alone: what it depends on is not built a second time, and takes the final crate's word.
build bad-panic-abort tests/plugins/bad $bad -- -C panic=abort

# The same plugin against a contract with one more field in a struct, which nevertheless calls itself by our draft.
draft=$(strings "$out/bad.so" | sed -n 's/.*"draft":"\([0-9a-f]*\)".*/\1/p' | head -n 1)
[ -n "$draft" ] || { echo "$out/bad.so names no draft of the contract" >&2; exit 1; }
changed=$CARGO_TARGET_DIR/changed-contract
if ! current "$out/bad-changed-struct.so" plugin-api tests/plugins Cargo.toml; then
    rm -rf "$changed"
    mkdir -p "$changed/tests/plugins"
    cp -a plugin-api "$changed/"
    cp -a tests/plugins/bad "$changed/tests/plugins/"
    sed -e '/^members = \[/,/^\]/c members = ["plugin-api"]' -e '/^exclude/d' Cargo.toml >"$changed/Cargo.toml"
    rm -rf "$changed/plugin-api/testing"
    sed -i '/^pub struct PluginInfo {/a \    /// Where it comes from.\n    pub homepage: RString,' \
        "$changed/plugin-api/src/abi/module.rs"
    KUZZLE_BAD_PLUGIN_DRAFT=$draft build bad-changed-struct "$changed/tests/plugins/bad" $bad
fi

# The example knows no profile of ours: it gets one that shares what the workspace has built.
build lines examples/lines libkuzzle_protocol_lines.so --config 'profile.ci.inherits="dev"' \
    --config 'profile.ci.opt-level=1' --config 'profile.ci.debug=false' --config 'profile.ci.incremental=true' \
    --config 'profile.ci.package."*".opt-level=2'
