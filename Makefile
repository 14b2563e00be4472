# Everything a developer needs, one word each. `make test` is what the continuous integration runs.
#
#   make build   the host and each plugin, optimised (target/release)
#   make run     build, then serve plugins.toml on ./data until Ctrl-C
#   make test    install what the tests need by package name, then format, lint, document, build and test everything
#   make bench   measure beside other servers (installs them by package name; about half an hour)
#   make soak    half load over every protocol in which nothing may be lost or grow (SOAK_MINUTES=60)
#   make fuzz    each fuzz target for FUZZ_SECONDS (600)
#   make docs    the API documentation of every package, and docs/errors.md

SHELL := /bin/bash
PLUGINS := socketio amqp mqtt stomp
BIN_DIR := $(or $(CARGO_TARGET_DIR),target)/release

.PHONY: build run test bench soak fuzz docs

# One package at a time: built together, cargo would unite the features of all of them in the shipped plugins.
build:
	cargo build --release --locked -p kuzzle-host
	@set -e; for plugin in $(PLUGINS); do \
		echo "cargo build --release --locked -p kuzzle-protocol-$$plugin"; \
		cargo build --release --locked -p kuzzle-protocol-$$plugin; \
	done

run: build
	exec $(BIN_DIR)/kuzzle-host --plugins plugins.toml --data data

test:
	@PLUGINS="$(PLUGINS)" ./tests/run.sh

bench: build
	@./benches/run.sh

soak: build
	@./benches/soak.sh

fuzz:
	@./fuzz/run.sh

docs:
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --workspace --no-deps
	cargo run --locked -q -p kuzzle-tests --bin errors-page > docs/errors.md
