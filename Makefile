# The front door. `make help` lists the targets.

# Where the embedded broker and store of `make run` keep their data.
DATA ?= data
# Further arguments for `make run` (of `logferry run`), `make test` (of `cargo test`), `make bench` and `make torture`.
ARGS ?=
# Cases of `make bench` and `make bench-compare` (the usual ones when empty), and runs of each.
CASES ?=
RUNS ?= 3
# Revisions of `make bench-compare`; `.` is the source as it lies here.
A ?= main
B ?= .
# Case of `make flamegraph`.
CASE ?= rows
# The seed of `make torture`, its rounds, and how many minutes it may begin rounds (for as long as rounds last when empty).
SEED ?= 1
ROUNDS ?= 5
MINUTES ?=

TARGET := $(or $(CARGO_TARGET_DIR),target)

.PHONY: help run test screenshots torture stopped-shipper cluster deps lint fmt doc deny bench bench-compare flamegraph clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: ## build the release binary and start all of Logferry on this machine (DATA=folder ARGS=...)
	cargo build --release --package logferry --bin logferry
	exec $(TARGET)/release/logferry run --data "$(DATA)" $(ARGS)

deps: ## install what tests use (RabbitMQ, Redis, PostgreSQL, rsyslog, Chromium), if missing
	@tests/install-deps

# `--bins --tests` in one build, so that the services which whole-system tests start are built with the
# same features as the tests, once.
test: deps ## run every test, on private servers; installs what is missing (ARGS=...)
	cargo build --workspace --bins --tests
	$(TARGET)/debug/testkit run -- cargo test --workspace --no-fail-fast $(ARGS)

screenshots: deps ## draw all pages, light and dark, into target/screenshots
	cargo test --package web --test pages screenshots -- --ignored

torture: deps ## break a whole pipeline by a seed and check that nothing is lost (SEED=1 ROUNDS=5 MINUTES= ARGS=...)
	cargo build --workspace --bins --tests
	$(TARGET)/debug/torture --seed $(SEED) --rounds $(ROUNDS) $(if $(MINUTES),--minutes $(MINUTES)) $(ARGS)

stopped-shipper: deps ## stop one shipper for two million events, while the other goes on (minutes; ARGS=...)
	cargo build --package testkit --bins
	$(TARGET)/debug/testkit run -- cargo test --package parser --test parking -- --ignored --nocapture $(ARGS)

cluster: deps ## kill nodes of a three-node RabbitMQ under load, and count (minutes; ARGS=...)
	cargo build --workspace --bins --tests
	cargo test --package system-tests --test system cluster -- --ignored --nocapture $(ARGS)

lint: ## check formatting, and clippy with warnings as errors
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings

fmt: ## format the code
	cargo fmt --all

doc: ## build the crates' documentation, with warnings as errors
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps

deny: ## check licences, advisories and sources of dependencies
	@cargo deny --version >/dev/null 2>&1 || \
		{ echo "cargo-deny is not installed: run 'cargo install --locked cargo-deny'" >&2; exit 1; }
	cargo deny --all-features check

bench: deps ## measure the release binaries, and rsyslog beside them (CASES="rows files" RUNS=3 ARGS=...)
	cargo build --release --workspace --bins
	$(TARGET)/release/bench run $(CASES) --runs $(RUNS) $(ARGS)

bench-compare: deps ## measure two git revisions in turn (A=main B=. CASES="relp rows" RUNS=3 ARGS=...)
	cargo build --release --workspace --bins
	$(TARGET)/release/bench compare $(CASES) --a "$(A)" --b "$(B)" --runs $(RUNS) $(ARGS)

# Built apart, because stacks need frame pointers and names, which the release profile leaves out.
flamegraph: deps ## draw where the time of a case goes, with perf (CASE=rows ARGS=...)
	CARGO_PROFILE_RELEASE_DEBUG=line-tables-only RUSTFLAGS="-C force-frame-pointers=yes" \
		cargo build --release --workspace --bins --target-dir $(TARGET)/flamegraph
	$(TARGET)/flamegraph/release/bench flamegraph $(CASE) $(ARGS)

clean: ## remove everything that was built (not the data of `make run`)
	cargo clean
