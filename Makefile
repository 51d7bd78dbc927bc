# bringup: `make demo` tries it, `make test` proves it, `make help` lists the rest.
.DEFAULT_GOAL := help
SHELL := /bin/sh
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)
AS_ROOT := $(SUDO) env BRINGUP_LAB=$(or $(BRINGUP_LAB),/var/lib/bringup-lab) PYTHONDONTWRITEBYTECODE=1 $(BIN)/python
IN_LAB := $(AS_ROOT) -m tests.lab
NODES ?= 2
FAMILY ?= a2
LAB ?= yes

.PHONY: help env demo engines quick test .may-test test-long faults chaos lint format lock golden docs clean lab-up lab-down lab-purge lab-status lab-shell lab-set

help:  ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 22

env: $(VENV)/.ready  ## the environment: .venv, exactly as locked

$(VENV)/.ready: requirements.lock pyproject.toml .ci/environment
	PYTHON=$(PYTHON) sh .ci/environment $(VENV)
	@touch $@

demo: env  ## a real engine over two nodes on this machine, from nothing to an answer: YES=1 to install what is missing
	$(AS_ROOT) -m tests.lab.demo $(if $(YES),--yes)

engines: env  ## the engines' own parsers, installed once into ~/.cache/bringup (3 GB); says why where they cannot be had
	$(BIN)/python -m tests.engines.environment

quick: lint  ## what most changes can break, in under 3 minutes: no root, no network; for every commit
	QUICK=1 $(BIN)/python -m pytest -rs -n auto -m "not slow and not engines and not long" tests/unit tests/fake

test: .may-test lint engines  ## everything once, as root: what CI runs; LAB=no leaves out what needs root
	LAB=$(LAB) $(BIN)/python -m tests.whole -m "not long"

.may-test: env  # said before anything is downloaded
	@LAB=$(LAB) $(BIN)/python -c 'import sys; from tests import whole; sys.exit(whole.refused())'

test-long: .may-test lint engines  ## full counts and long soaks (hours), written to docs/long-run.md
	LAB=$(LAB) $(BIN)/python -m tests.whole; code=$$?; $(BIN)/python -m tests.long build/junit; exit $$code

lab-up: env  ## start the lab: NODES=2 FAMILY=a2|a3|nvidia|rocm, LIGHT=1 for sshd only, BARE=1 without Docker, YES=1 to install what is missing
	$(IN_LAB) up --nodes $(NODES) --family $(FAMILY) $(if $(LIGHT),--light) $(if $(BARE),--bare) $(if $(YES),--yes)

lab-down:  ## stop the lab and remove all of it but its caches
	$(IN_LAB) down

lab-purge:  ## lab-down, and remove its images and caches too
	$(IN_LAB) purge

lab-status:  ## what runs
	$(IN_LAB) status

lab-shell:  ## a shell on a node: NODE=n0
	$(IN_LAB) shell $(NODE)

lab-set:  ## change a node's simulated accelerators: make lab-set NODE=n1 link.3=DOWN health.2=Alarm
	$(IN_LAB) set $(NODE) $(filter-out NODE=% BRINGUP_LAB=%,$(MAKEOVERRIDES))

faults: env  ## every fault of the menu on the lab (about 40 min), written to docs/reliability.md
	$(BIN)/python -m tests.faults.results .pytest_cache/faults.jsonl
	FAULTS_RESULTS=$(CURDIR)/.pytest_cache/faults.jsonl $(BIN)/python -m pytest -q tests/faults/test_faults.py; code=$$?; \
	$(BIN)/python -m tests.faults.table .pytest_cache/faults.jsonl; exit $$code

chaos: env  ## a random walk of faults and verbs on the lab, added to docs/reliability.md: N=200 SEED=1
	FAULTS_RESULTS=$(CURDIR)/.pytest_cache/faults.jsonl N=$(or $(N),20) $(if $(SEED),SEED=$(SEED)) $(BIN)/python -m pytest -q -s tests/faults/test_chaos.py; code=$$?; \
	$(BIN)/python -m tests.faults.table .pytest_cache/faults.jsonl; exit $$code

lint: env  ## ruff and mypy --strict
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: env  ## ruff's own formatting
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

golden: env  ## write the golden plans and the generated pages of docs/ anew; read the diff as data before committing it
	$(BIN)/python -m tests.unit.golden
	$(BIN)/python -m roles.run.catalog
	$(BIN)/python -m roles.doctor.table
	$(BIN)/python -m roles.plan.pages

docs: env  ## the documentation as a site, in build/site; without a network
	$(BIN)/mkdocs build --strict --quiet --config-file files/site/mkdocs.yml

lock: env  ## requirements.lock from pyproject.toml (needs uv)
	uv pip compile pyproject.toml --extra dev --universal --python-version 3.10 --generate-hashes --no-header --no-annotate -o requirements.lock

clean:  ## remove the environment and caches of this checkout
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis build *.egg-info
