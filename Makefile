# Reading Room: the few commands. `make` alone explains them.
#
# SITE=name    a site of your own: inventories/name/hosts.yml with policies/name.yml (default: the disposable lab)
# ENGINE=…     ansible (default) or pyinfra
# LIMIT=…      machines or classes, separated by commas
# ROLE=…       one role, for `make undo`
# RING=…       rings of the inventory, separated by commas
# RESUME=yes   harden: leave out what an earlier run has proved
# MACHINE=…    the lab machine for `make shell`

SITE ?= lab
ENGINE ?= ansible
LIMIT ?=
ROLE ?=
RING ?=
RESUME ?=
MACHINE ?= public-1
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Two at a time: most of a lab test is waiting.
PYTEST := $(BIN)/pytest --numprocesses 2
CHOSEN := $(SITE) $(if $(LIMIT),--limit $(LIMIT)) $(if $(RING),--ring $(RING))

.DEFAULT_GOAL := help
.PHONY: help setup check plan harden verify undo lab-up lab-down shell generate lint types tests unit docs lab-tests breaks molecule test bench format lock

help: ## Explain these commands
	@awk 'BEGIN { FS = ":.*## " } /^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@sed -n 's/^# \([A-Z]*=.*\)/  \1/p' $(firstword $(MAKEFILE_LIST))

harden: $(VENV)/.done ## See a policy kept: the lab goes from red to green (or SITE=name, your own machines)
	@tools/run harden $(CHOSEN) --engine $(ENGINE) $(if $(RESUME),--resume)

plan: $(VENV)/.done ## Say what harden would change, and change nothing
	@tools/run plan $(CHOSEN) --engine $(ENGINE)

verify: $(VENV)/.done ## Check every promise on the running machines
	@tools/run verify $(CHOSEN)

undo: $(VENV)/.done ## Give machines back as they were before harden; says first what cannot come back, and asks
	@tools/run undo $(CHOSEN) $(if $(ROLE),--role $(ROLE))

check: $(VENV)/.done ## Check the policy files alone
	@$(BIN)/readingroom check

lab-up: $(VENV)/.done ## Boot the lab's machines
	@tools/run lab up

lab-down: $(VENV)/.done ## Stop the lab's machines and throw them away
	@tools/run lab destroy

shell: $(VENV)/.done ## Open a shell on a lab machine: MACHINE=staff-1
	@tools/run lab shell $(MACHINE)

setup: $(VENV)/.done ## Install what the other commands need, and nothing else

$(VENV)/.done: requirements.lock pyproject.toml tools/setup src/readingroom/lab/host-packages.txt
	@PYTHON="$(PYTHON)" tools/setup $(VENV)
	@touch $@

test: lint types tests ## Everything CI runs: lint, types, unit, docs, and the lab tests where the lab can run

lint: $(VENV)/.done ## Style of Python, YAML and Ansible; layers; generated files
	@$(BIN)/ruff check --quiet && $(BIN)/ruff format --quiet --check
	@said=$$($(BIN)/lint-imports 2>&1) || { echo "$$said"; exit 1; }
	@$(BIN)/yamllint --strict .
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/ansible-lint --offline -q
	@$(BIN)/readingroom generate --check

types: $(VENV)/.done ## Types of all Python
	@$(BIN)/mypy

tests: $(VENV)/.done ## All tests in one run
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(PYTEST)

unit: $(VENV)/.done ## The tests that need no machine
	@$(PYTEST) -m 'not lab'

docs: $(VENV)/.done ## The docs say what is so
	@$(BIN)/pytest tests/docs

lab-tests: $(VENV)/.done ## The tests on lab machines
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(PYTEST) -m lab

breaks: $(VENV)/.done ## Every way we know to break a promise, one by one, on lab machines
	@READINGROOM_BREAKS=all $(BIN)/pytest tests/lab/test_breaks.py

molecule: $(VENV)/.done ## The Molecule scenario over the lab
	@tools/run --with "$(CURDIR)/$(BIN)/molecule" test

generate: $(VENV)/.done ## Write what derives from the controls: schema, argument specs, tables
	@$(BIN)/readingroom generate

bench: $(VENV)/.done ## Measure, and write docs/benchmarks.md
	@tools/run --with "$(CURDIR)/$(BIN)/python" tests/bench

format: $(VENV)/.done ## Format the Python
	@$(BIN)/ruff check --quiet --fix; $(BIN)/ruff format --quiet

lock: $(VENV)/.done ## Pin the newest dependencies that pyproject.toml allows
	@$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --extra dev \
		--no-annotate --no-header --output-file requirements.lock pyproject.toml
