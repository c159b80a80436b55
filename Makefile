# Huoshui: `make run` starts everything on a machine that has Python 3.11 or later and make.
SHELL := /bin/sh
VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= $(shell for name in python3.13 python3.12 python3.11 python3 python; do \
	command -v $$name >/dev/null 2>&1 && \
	$$name -c 'import sys; raise SystemExit(sys.version_info < (3, 11))' 2>/dev/null && echo $$name && break; done)
POSTGRES ?= postgresql://postgres@127.0.0.1:5432/huoshui
PO := $(shell find src -name '*.po')
HTTP_PORT ?= 8000
unexport PYTHONDONTWRITEBYTECODE # tests start many processes; each would compile the product anew

.DEFAULT_GOAL := help
.PHONY: help run models demo test test-postgres test-postgres-all lint bench bench-rules bench-platform bench-full clean

help: ## What can be made
	@sed -n 's/^\([a-z-]*\):.*## /make \1\t/p' $(MAKEFILE_LIST)

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "Huoshui needs Python 3.11 or later; none was found. Install it, or: make PYTHON=/path/to/python3"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { echo "$(PYTHON) cannot make a virtual environment. On Debian and Ubuntu: apt-get install python3-venv"; exit 1; }

$(VENV)/installed: requirements.lock pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/installed-models: requirements-models.lock $(VENV)/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-models.lock
	@touch $@

$(VENV)/installed-dev: requirements-dev.lock $(VENV)/installed-models
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.lock
	@touch $@

$(VENV)/messages: $(PO) $(VENV)/installed
	@$(BIN)/python tools/messages.py --compile
	@touch $@

run: $(VENV)/installed $(VENV)/messages ## Set up, load the demo, serve on http://127.0.0.1:8000/
	@HUOSHUI_DEMO=1 $(BIN)/huoshui run --port $(HTTP_PORT)

models: $(VENV)/installed-models ## What training and serving on this machine need besides (600 MB)

demo: $(VENV)/installed $(VENV)/messages ## Set up, load the demo, print what its round achieved
	@HUOSHUI_DEMO=1 $(BIN)/huoshui demo

test: $(VENV)/installed-dev $(VENV)/messages ## All tests on SQLite (browser tests when Chromium is there)
	$(BIN)/python -m pytest -n 2

test-postgres: $(VENV)/installed-dev $(VENV)/messages ## Book, log, gateway, concurrency and crashes on PostgreSQL (POSTGRES=url)
	HUOSHUI_TEST_POSTGRES=$(POSTGRES) $(BIN)/python -m pytest -n 2 -m database --ignore=tests/api

test-postgres-all: $(VENV)/installed-dev $(VENV)/messages ## All tests that use the database, on PostgreSQL (POSTGRES=url)
	HUOSHUI_TEST_POSTGRES=$(POSTGRES) $(BIN)/python -m pytest -n 2 -m "not browser" $(addprefix --ignore=tests/,clearing engines rules terms cli web)

lint: $(VENV)/installed-dev $(VENV)/messages ## Style, types, layers, migrations, translations
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python manage.py makemigrations --check --dry-run
	$(BIN)/python tools/messages.py

bench: $(VENV)/installed-dev ## The tables of the README (at most 10 minutes)
	$(BIN)/python -m benchmarks

bench-rules: $(VENV)/installed-dev ## Rules against their peers, all packs on a million firms, the lint (about 6 minutes)
	$(BIN)/python -m benchmarks.bench_rules
	$(BIN)/python -m benchmarks.rules_lint

bench-platform: $(VENV)/installed-dev ## Gateway (HUOSHUI_LITELLM_PYTHON for its peer), Slurm, auction, energy, product search (about 12 minutes)
	$(BIN)/python -m benchmarks.bench_gateway
	$(BIN)/python -m benchmarks.bench_slurm 1000
	$(BIN)/python -m benchmarks.bench_auction
	$(BIN)/python -m benchmarks.bench_energy
	$(BIN)/python -m benchmarks.bench_market

bench-full: $(VENV)/installed-dev ## Every size, seed and baseline, unattended
	$(BIN)/python -m benchmarks --full

clean: ## Remove the environment; var/ with the data stays
	rm -rf $(VENV)
