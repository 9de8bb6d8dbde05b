# Needs Python 3.11 or newer and nothing else: each target makes .venv first, with pinned and hashed packages.
#
#   make demo                  the storm of February 2013 on the embedded engine
#   make demo ENGINE=kafka     the same on a Kafka of this machine, with three processes, one of them killed
#   make test                  every tier of tests, checks included; prints how long each took
#   make check                 ruff, mypy, pyright, import-linter
#   make bench                 figures beside bare loops; BENCH="--quick --only append" passes options
#   make bench PEERS=1         other event stores too, beside ours; BENCH="--only peers" them alone
#   make chaos MINUTES=30 SEED=7 [NODES=3] [ONLY=streams]
#   make fuzz MINUTES=30       every decoder, on bytes that are nearly right

PYTHON ?= $(shell for name in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2> /dev/null && echo $$name && break; done)
ENGINE ?= embedded
VENV := .venv
RUN := $(VENV)/bin
PIP := $(RUN)/python -m pip --disable-pip-version-check install --quiet

.PHONY: demo test check format bench chaos fuzz pins clean
.DEFAULT_GOAL := test

demo: $(VENV)/ready-to-run
	$(RUN)/python -m examples.airline --engine $(ENGINE)

test: $(VENV)/ready-to-develop
	$(RUN)/python -m tests.run_tiers

check: $(VENV)/ready-to-develop
	$(RUN)/python -m tests.run_tiers check

format: $(VENV)/ready-to-develop
	$(RUN)/ruff check --fix .
	$(RUN)/ruff format .

bench: $(VENV)/ready-to-develop $(if $(PEERS),$(VENV)/ready-for-peers)
	$(RUN)/python -m benchmarks --json benchmarks/results/$(shell date -u +%Y-%m-%d).json $(if $(PEERS),--peers) $(BENCH)

chaos: $(VENV)/ready-to-develop
	$(RUN)/python -m tests.run_tiers chaos

$(VENV)/python:
	@test -n "$(PYTHON)" || { echo "no Python 3.11 or newer found: install one, or say which: make PYTHON=..."; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/ready-to-run: requirements/run.txt pyproject.toml | $(VENV)/python
	$(PIP) --require-hashes -r requirements/run.txt
	$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/ready-to-develop: requirements/dev.txt pyproject.toml | $(VENV)/python
	$(PIP) --require-hashes -r requirements/dev.txt
	$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@ $(VENV)/ready-to-run

$(VENV)/ready-for-peers: requirements/peers.txt $(VENV)/ready-to-develop
	$(PIP) --require-hashes -r requirements/peers.txt
	@touch $@

fuzz: export MINUTES ?= 10
fuzz: $(VENV)/ready-to-develop
	$(RUN)/python -m tests.run_tiers fuzz

# The pins, made anew from pyproject.toml. Run with Python 3.11, the oldest supported.
COMPILE = $(RUN)/pip-compile --quiet --upgrade --generate-hashes --strip-extras --allow-unsafe --no-header \
	--no-emit-index-url --no-emit-trusted-host --no-emit-find-links --build-deps-for editable
pins: | $(VENV)/python
	$(PIP) pip-tools
	$(COMPILE) --extra broker --extra web --extra sql --extra otel --extra asyncio --extra crypto --extra registry --extra demo --extra dev \
		--output-file requirements/dev.txt pyproject.toml
	$(COMPILE) --extra peers --constraint requirements/dev.txt \
		--output-file requirements/peers.txt pyproject.toml
	$(COMPILE) --extra broker --extra web --extra demo --constraint requirements/dev.txt \
		--output-file requirements/run.txt pyproject.toml

clean:
	rm -rf $(VENV) build dist .sagalog .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
