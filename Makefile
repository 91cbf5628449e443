# Two commands do everything: `make demo` and `make test`.

CARGO ?= cargo
export PATH := $(CURDIR)/target/tools/bin:$(PATH)

# One shape of command everywhere, or Cargo unifies features differently and
# compiles everything again.
ALL = --workspace --all-targets

.PHONY: demo test build check interop bench-failover bench-events fuzz

## Two clusters in network namespaces, a failover, and one without a controller.
demo:
	tests/setup demo
	$(CARGO) build $(ALL)
	target/debug/demo $(if $(KEEP),--keep)

## Every test of every level.
test:
	tests/setup test
	tests/run

build:
	$(CARGO) build --release --workspace --bins

## What is fast: format, lints, documentation, dependency policy.
check:
	tests/run check

## The table of stories told with keepalived.
interop:
	tests/setup test
	$(CARGO) build $(ALL)
	target/debug/interop

## Outage of a cut link beside keepalived.
bench-failover:
	tests/setup test
	$(CARGO) build --release --workspace --bins
	target/release/bench-failover

## Durable events and transactions a second.
bench-events:
	$(CARGO) build --release --workspace --bins
	target/release/bench-events

## The fuzz targets, a minute each; needs cargo-fuzz and a nightly toolchain.
fuzz:
	cd tests/fuzz && for target in $$(cargo +nightly fuzz list); do \
	    cargo +nightly fuzz run $$target -- -max_total_time=60 || exit 1; done
