# One command for everything a contributor needs. `make help` lists them.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# What the tests run for real: a browser for the page, tmux for the terminal, a compiler for the clock that jumps, the servers of the
# reference stack's profile `full` and PostgreSQL. Installed by `make test` where that is possible.
SYSTEM_PACKAGES := chromium chromium-driver fonts-dejavu-core gcc libc6-dev tmux redis-server nats-server prometheus postgresql
# On two cores a fourth worker only makes further stacks to share.
WORKERS ?= 3

.DEFAULT_GOAL := help
.PHONY: help install up down test thorough check audit verify format bench docs clean system-packages

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 18

$(VENV)/.installed: pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { echo "$(PYTHON) -m venv failed: install Python 3.11 or later with its venv module (Debian: python3-venv)"; exit 1; }
	@echo "installing into $(VENV) …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[stack]'
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[stack,test,check]'
	@touch $@

install: $(VENV)/.installed  ## install devctl and the reference stack into .venv

up: install  ## install and start the reference stack; prints its URLs
	@$(BIN)/devctl up --detach

down:  ## stop the reference stack
	@$(BIN)/devctl down

test: $(VENV)/.installed-dev system-packages  ## install everything and run all tests
	@$(BIN)/python -m pytest -n $(WORKERS) $(ARGS)

thorough: $(VENV)/.installed-dev system-packages  ## the repetitions and combinations that `make test` leaves out
	@$(BIN)/python -m pytest -n $(WORKERS) -m thorough $(ARGS)

check: $(VENV)/.installed-dev  ## lint, formatting, types, import contracts
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

audit: $(VENV)/.installed-dev  ## look our dependencies up among the known vulnerabilities; fails for one that cannot be looked up
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[audit]'
	@$(BIN)/python -m pip freeze --exclude-editable > $(VENV)/installed.txt
	@$(BIN)/pip-audit --strict --disable-pip --no-deps --progress-spinner off -r $(VENV)/installed.txt

verify: $(VENV)/.installed-dev  ## prove the reference stack from outside, embedded and with real servers
	@$(BIN)/python -m stack.verify
	@$(BIN)/python -m stack.verify --profile full

format: $(VENV)/.installed-dev  ## put the code into shape
	@$(BIN)/ruff check --fix --quiet . ; $(BIN)/ruff format .

bench: $(VENV)/.installed-dev  ## measure, beside peers where they are installed; writes docs/BENCHMARKS.md
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[bench]'
	@$(BIN)/python -m benchmarks $(ARGS)

docs: $(VENV)/.installed-dev  ## write the generated pages of docs/ again, and docker-compose.yml
	@$(BIN)/python -m devctl.manifest.reference > docs/manifest.md
	@$(BIN)/devctl --profile full --profile grafana export docker-compose -o docker-compose.yml

clean:  ## remove what the tools leave behind, but not .venv
	@rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache build dist
	@find . -name __pycache__ -type d -not -path './$(VENV)/*' -prune -exec rm -rf {} +

# Without root the tests that need these packages are skipped, or fail where CI is set.
system-packages:
	@.ci/packages $(SYSTEM_PACKAGES)
