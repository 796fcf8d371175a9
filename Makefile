# Bartizan: `make run` starts a secure broker, `make test` proves this checkout, `make help` lists the rest.
# Everything is installed into the checkout (.tools, .venv, target); a stamp in .stamps says what is already done.

PYTHON       ?= python3
FUZZ_SECONDS ?= 60
ARGS         ?=

UV_VERSION         := 0.13.8
MATURIN_VERSION    := 1.16.0
CARGO_DENY_VERSION := 0.20.2
CARGO_FUZZ_VERSION := 0.13.2
CARGO_MUTANTS_VERSION := 27.0.0

export UV_PYTHON_DOWNLOADS := never
# Where PYTHONDONTWRITEBYTECODE is set, or the user of the broker may not write here, each start would compile it all.
export UV_COMPILE_BYTECODE := true
export PATH := $(CURDIR)/.tools/bin:$(PATH)

SYNC      := uv sync --quiet --frozen --no-install-project --inexact --python $(PYTHON)
RUST      := $(shell find crates -name '*.rs' -path '*/src/*') $(wildcard crates/*/Cargo.toml) Cargo.toml Cargo.lock
RUST_CODE := -p bartizan-core -p bartizan-engine -p bartizan-bench

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help run build test test-rust test-python check check-python check-rust format fuzz mutants conformance counts bench docs clean

help: ## list these targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 24

run: build ## build what is missing, then start the broker (ARGS="--data DIR ...")
	exec .venv/bin/bartizan up $(ARGS)

build: .stamps/engine ## build the engine and install everything the broker needs into .venv

# ---- set-up -----------------------------------------------------------------------------------

.stamps/preflight: .ci/preflight
	@sh .ci/preflight $(PYTHON)
	@mkdir -p .stamps && touch $@

.stamps/tools-$(UV_VERSION)-$(MATURIN_VERSION): .stamps/preflight
	$(PYTHON) -m venv .tools
	.tools/bin/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION) maturin==$(MATURIN_VERSION)
	@touch $@

.stamps/runtime: .stamps/tools-$(UV_VERSION)-$(MATURIN_VERSION) pyproject.toml uv.lock
	$(SYNC)
	@touch $@

# The engine is built in place, so that cargo's progress is seen, and in a fraction of the time of the wheel's profile.
.stamps/engine: .stamps/runtime $(RUST)
	@echo "Building the engine in release mode: minutes the first time, seconds afterwards."
	VIRTUAL_ENV=$(CURDIR)/.venv maturin develop --release --locked --uv
	@touch $@

.stamps/dev: .stamps/runtime
	$(SYNC) --group dev
	@touch $@

.stamps/node: tests/integration/node/package-lock.json
	cd tests/integration/node && npm ci --ignore-scripts --no-audit --no-fund
	@mkdir -p .stamps && touch $@

.stamps/cargo-deny-$(CARGO_DENY_VERSION):
	cargo install cargo-deny --version $(CARGO_DENY_VERSION) --locked --debug --root .tools --target-dir target/tools
	@mkdir -p .stamps && touch $@

.stamps/cargo-fuzz-$(CARGO_FUZZ_VERSION):
	cargo install cargo-fuzz --version $(CARGO_FUZZ_VERSION) --locked --debug --root .tools --target-dir target/tools
	@mkdir -p .stamps && touch $@

.stamps/cargo-mutants-$(CARGO_MUTANTS_VERSION):
	cargo install cargo-mutants --version $(CARGO_MUTANTS_VERSION) --locked --debug --root .tools --target-dir target/tools
	@mkdir -p .stamps && touch $@

# ---- proof ------------------------------------------------------------------------------------

test: build .stamps/dev ## run every test, Rust and Python; installs what they need where it may
	@sh .ci/test-programs
	@if command -v npm >/dev/null; then $(MAKE) --no-print-directory .stamps/node; fi
	@$(MAKE) --no-print-directory test-rust test-python

test-rust: ## run the Rust tests only
	cargo test --locked $(RUST_CODE)

test-python: .stamps/engine .stamps/dev ## run the Python tests only (ARGS="-k will")
	.venv/bin/python -m compileall -q src
	.venv/bin/pytest $(ARGS)

check: check-python check-rust ## format, lint, types, floors, licences

check-python: .stamps/dev
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/pyrefly check
	PYTHONPATH=src .venv/bin/lint-imports

check-rust: .stamps/cargo-deny-$(CARGO_DENY_VERSION)
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	cargo deny --offline check bans licenses sources

format: .stamps/dev ## format everything
	.venv/bin/ruff format .
	.venv/bin/ruff check --fix .
	cargo fmt --all

fuzz: .stamps/cargo-fuzz-$(CARGO_FUZZ_VERSION) ## fuzz every target for FUZZ_SECONDS
	sh .ci/fuzz $(FUZZ_SECONDS)

mutants: .stamps/cargo-mutants-$(CARGO_MUTANTS_VERSION) ## change the policy evaluator in one place after the other: does a test notice? (three hours)
	cargo mutants --package bartizan-core --output target $(ARGS)

conformance: .stamps/engine .stamps/dev ## run the conformance suite and write its report anew
	.venv/bin/pytest tests/conformance $(ARGS)
	.venv/bin/python -m tests.conformance.report

counts: ## instructions of the hot functions against bench/counts.toml (ARGS=--update)
	$(PYTHON) -m bench.counts $(ARGS)

# What is measured is what users install: the `dist` profile.
bench: .stamps/runtime .stamps/dev ## measure beside rivals (ARGS="--only p1_q0_16 --brokers bartizan,mosquitto --repeat 3")
	VIRTUAL_ENV=$(CURDIR)/.venv maturin develop --profile dist --locked --uv
	cargo build --release --locked -p bartizan-bench
	.venv/bin/python -m bench $(ARGS)

docs: .stamps/runtime ## build the documentation into site/
	$(SYNC) --group docs
	rm -rf target/pages && mkdir -p target/pages
	git ls-files -z '*.md' 'bench/results/*.svg' 'bench/results/*.jsonl' LICENSE docs/img examples deploy | xargs -0 cp --parents --target-directory target/pages
	.venv/bin/zensical build --strict

clean: ## remove everything that was built or installed here
	rm -rf .stamps .tools .venv .bench target fuzz/target site tests/integration/node/node_modules
	find src -name '*.so' -delete
