# `make demo` shows the program at work on this machine's own files; `make test` runs every test.
SHELL := /bin/bash
PREFIX ?= /usr/local
BINARY := .build/release/bakare-node
SWIFT_SOURCES := Package.swift Sources Simulations Tests

.PHONY: help deps build test lint lab fuzz simulate mutants bench durability demo install

help:
	@echo "make demo      back up, change, list, compare and restore real files of this machine (about 3 minutes)"
	@echo "make test      lint and every test"
	@echo "make build     the program: $(BINARY)"
	@echo "make install   to $(PREFIX) (PREFIX=...)"
	@echo "make deps      Debian packages that are missing"
	@echo "make lab       nodes on hosts of their own, in network namespaces (needs root)"
	@echo "make lint      format and house rules"
	@echo "make fuzz      every decoder under libFuzzer, a minute each"
	@echo "make simulate  whole clusters on simulated disks, network and time (SEEDS=100, or SEED=n for one, step by step)"
	@echo "make mutants   bugs made on purpose, each of which the simulator must find"
	@echo "make durability  how likely data is lost: the tables of docs/DURABILITY.md"
	@echo "make bench     beside restic and borg on the same files, with ratios"

deps:
	@.ci/deps build test

build: deps
	@[ -e $(BINARY) ] || echo "The first build fetches and compiles everything: 5 to 12 minutes on two cores."
	swift build -c release --product bakare-node

test: deps lint
	.ci/tests

lint:
	swift-format lint --strict -r $(SWIFT_SOURCES)

lab: deps
	BAKARE_LAB_LONG=1 .ci/tests --filter LabTests

fuzz: deps
	Tests/Fuzzing/run

simulate: deps
	swift build -c release --product Simulate
ifdef SEED
	Simulations/run --seed $(SEED) --trace
else
	Simulations/run --seeds $(or $(SEEDS),100) --first $(or $(FIRST),1) --workers $$(nproc)
endif

mutants: deps
	BAKARE_MUTANTS=1 swift build -c release --product Simulate --scratch-path .build-mutants
	SIMULATE=.build-mutants/release/Simulate Simulations/run --mutants --workers $$(nproc)

bench: build
	@.ci/deps bench
	Tests/Benchmarks/bench all --binary $(BINARY)

durability: deps
	swift run -c release DurabilityTable

demo: build
	@.ci/demo $(BINARY)

install: build
	install -D -m 0755 $(BINARY) $(DESTDIR)$(PREFIX)/bin/bakare-node
	install -d $(DESTDIR)$(PREFIX)/share/bash-completion/completions $(DESTDIR)$(PREFIX)/share/zsh/site-functions \
		$(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d
	$(BINARY) --generate-completion-script bash > $(DESTDIR)$(PREFIX)/share/bash-completion/completions/bakare-node
	$(BINARY) --generate-completion-script zsh > $(DESTDIR)$(PREFIX)/share/zsh/site-functions/_bakare-node
	$(BINARY) --generate-completion-script fish > $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/bakare-node.fish
