# Millrace. `make help` lists what there is to make.

SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin
# Nothing of the stack reports to its maker, and nothing asks for a newer version of itself.
export DO_NOT_TRACK := 1
export DBT_SEND_ANONYMOUS_USAGE_STATS := false
export RUNTIME__DLTHUB_TELEMETRY := false
export ANONYMOUS_TRACKING_ENABLED := false
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help run test crash-test soak ledger-proof lint bench docs clean lock packages

help:  ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: .venv/installed  ## run the whole pipeline on the sample retailer
	@$(BIN)/millrace sample demo

test: .venv/installed packages  ## prove it: every test, the dbt project's own among them
	$(BIN)/pytest -n 2 --dist loadgroup

crash-test: .venv/installed packages  ## kill it everywhere, under half an hour; writes docs/crash-matrix.md
	$(BIN)/python -m tests.crash

soak: .venv/installed packages  ## half an hour of `millrace stream` and kills; writes docs/soak.md
	$(BIN)/python -m tests.bench soak

ledger-proof: .venv/installed packages  ## 100 rows lost, doubled or altered in 1.5 million
	MILLRACE_TEST_MUTATIONS=100 $(BIN)/pytest -s tests/python/pipeline/test_ledger.py

lint: .venv/installed packages  ## ruff, mypy and sqlfluff
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	MILLRACE_SCANNER_BROKERS=here $(BIN)/sqlfluff lint --processes 1 models macros snapshots tests/generic tests/singular analyses

bench: .venv/installed packages  ## measure Millrace beside its rivals; takes an hour
	$(BIN)/python -m tests.bench load
	$(BIN)/python -m tests.bench topics
	$(BIN)/python -m tests.bench latency
	$(BIN)/python -m tests.bench ticks
	$(BIN)/python -m tests.bench publish
	$(BIN)/python -m tests.bench points
	$(BIN)/python -m tests.bench ledger

docs: .venv/installed  ## write the start page, the dbt docs and the quality report
	@$(BIN)/millrace report

clean:  ## delete everything that Millrace made here, the virtual environment included
	rm -rf .venv .millrace history published sample_data target edr_target logs dbt_packages build *.egg-info
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .user.yml package-lock.yml
	find . -name __pycache__ -prune -exec rm -rf {} +
	find warehouse -mindepth 1 ! -name .gitkeep -delete

lock:  ## pin every dependency anew, with hashes
	uv pip compile -q pyproject.toml --all-extras --universal --python-version 3.11 \
		--generate-hashes --no-emit-index-url --no-header -o requirements.lock

packages: .venv/installed
	@$(BIN)/millrace deps

.venv/installed: requirements.lock pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --no-deps --require-hashes -r requirements.lock
	$(BIN)/pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@
