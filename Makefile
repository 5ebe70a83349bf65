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
# Folder of the programs that `make upgrade-test` begins with.
FROM ?=
# The seed of `make torture`, its rounds, and how many minutes it may begin rounds (for as long as rounds last when empty).
SEED ?= 1
ROUNDS ?= 5
MINUTES ?=
# Programs for images without a registry and for the test of the containers; built when it is this folder.
RELEASE ?= $(TARGET)/release

TARGET := $(or $(CARGO_TARGET_DIR),target)

.PHONY: help run test screenshots torture stopped-shipper cluster upgrade-test deb deb-test systemd-test images \
	airgap-images compose-test deps lint fmt doc deny bench bench-compare flamegraph clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: ## build the release binary and start all of Logferry on this machine (DATA=folder ARGS=...)
	cargo build --release --package logferry --bin logferry
	exec $(TARGET)/release/logferry run --data "$(DATA)" $(ARGS)

deps: ## install what tests use (RabbitMQ, Redis, PostgreSQL, rsyslog, supervisord, systemd, Chromium), if missing
	@tests/install-deps

# `--bins --tests` in one build, so that the services which whole-system tests start are built with the
# same features as the tests, once.
test: deps ## run every test, on private servers; installs what is missing (ARGS=...)
	cargo build --workspace --bins --tests
	$(TARGET)/debug/testkit run -- cargo test --workspace --no-fail-fast $(ARGS)

screenshots: deps ## draw all pages, light and dark, into target/screenshots
	cargo test --workspace --test pages screenshots -- --ignored

torture: deps ## break a whole pipeline by a seed and check that nothing is lost (SEED=1 ROUNDS=5 MINUTES= ARGS=...)
	cargo build --workspace --bins --tests
	$(TARGET)/debug/torture --seed $(SEED) --rounds $(ROUNDS) $(if $(MINUTES),--minutes $(MINUTES)) $(ARGS)

stopped-shipper: deps ## stop one shipper for two million events, while the other goes on (minutes; ARGS=...)
	cargo build --workspace --bins --tests
	$(TARGET)/debug/testkit run -- cargo test --workspace --test parking -- --ignored --nocapture $(ARGS)

cluster: deps ## kill nodes of a three-node RabbitMQ under load, and count (minutes; ARGS=...)
	cargo build --workspace --bins --tests
	cargo test --workspace --test system cluster -- --ignored --nocapture $(ARGS)

upgrade-test: deps ## upgrade older programs to these under load, in the documented order, and count (FROM=folder)
	@[ -x "$(FROM)/syslog-server" ] || { echo "FROM= names the folder of the older programs" >&2; exit 1; }
	cargo build --workspace --bins --tests
	LOGFERRY_UPGRADE_FROM="$(abspath $(FROM))" $(TARGET)/debug/testkit run -- \
		cargo test --workspace --test system upgrade -- --nocapture $(ARGS)

# Both refuse before anything is built.
HAVE_DOCKER = docker info >/dev/null 2>&1 || { echo "There is no Docker here, and this needs it: install docker.io, start dockerd, \
and be root or in the group docker." >&2; exit 1; }
HAVE_CARGO_DEB = cargo deb --version >/dev/null 2>&1 || { echo "cargo-deb is not installed: run 'cargo install --locked cargo-deb'" >&2; exit 1; }
BUILD_RELEASE = $(if $(filter $(TARGET)/release,$(RELEASE)),cargo build --release --workspace --bins)

deb: ## build the Debian package, into target/debian
	@$(HAVE_CARGO_DEB)
	cargo build --release --workspace --bins
	cargo run --release --package logferry --example manual -- $(TARGET)/release/manual
	cargo deb --package logferry --no-build

deb-test: deb ## install the package in a fresh Debian, use it, remove and purge it (root; debootstrap)
	tests/deb-test $(TARGET)/debian/logferry_*.deb $(TARGET)/debootstrap

systemd-test: deb ## boot a Debian with systemd, and start, kill, freeze and stop the package's units (root; debootstrap)
	tests/systemd-test $(TARGET)/debian/logferry_*.deb $(TARGET)/debootstrap $(TARGET)/release/testkit

images: ## build the image of all services, with Docker
	@$(HAVE_DOCKER)
	docker build --file deploy/docker/Dockerfile --tag logferry:latest \
		--build-arg VERSION=$$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1) \
		--build-arg REVISION=$$(git rev-parse HEAD) --build-arg SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) .

airgap-images: ## build all images from a Debian mirror and programs of this host, without a registry (root; RELEASE=folder)
	@$(HAVE_DOCKER)
	$(BUILD_RELEASE)
	deploy/docker/airgap/build-images $(RELEASE)

compose-test: airgap-images ## start the whole set of containers, scale, stop, restart, count (root, Docker, minutes; ARGS=...)
	LOGFERRY_RELEASE=$(abspath $(RELEASE)) cargo test --workspace --test compose -- \
		--ignored --nocapture --test-threads 1 $(ARGS)

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

# Built apart, because stacks need frame pointers and names, which the release profile leaves out; and without
# link-time optimisation, which takes longer than all the rest.
flamegraph: deps ## draw where the time of a case goes, with perf (CASE=rows ARGS=...)
	CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 CARGO_PROFILE_RELEASE_STRIP=none \
		RUSTFLAGS="-C force-frame-pointers=yes" \
		cargo build --release --workspace --bins --target-dir $(TARGET)/flamegraph
	$(TARGET)/flamegraph/release/bench flamegraph $(CASE) $(ARGS)

clean: ## remove everything that was built (not the data of `make run`)
	cargo clean
