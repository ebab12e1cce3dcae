# Targets for people and CI alike. `make` without a target lists them.
# A new Debian or Ubuntu needs make and Python 3.11 or newer. Everything else is put into .venv.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

VENV := .venv
BIN := $(VENV)/bin
PARTS := $(VENV)/parts

# Each candidate is run, not only looked up: a version manager's shim can exist and not work.
CANDIDATES := python3.14 python3.13 python3.12 python3.11 python3 /usr/bin/python3
PYTHON ?= $(shell for p in $(CANDIDATES); do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$p" && break; \
	done)

# The real programs that tests run; `scripts/parts` fetches what is missing. Node.js is installed as
# a Python package.
REAL_PARTS := $(filter-out node npm,$(shell sed -n 's/.*\brequire("\([a-z-]*\)").*/\1/p' tests/*.py | sort -u))
# Versions of Prometheus and Alertmanager: `default` for this distribution's, `newest` for the
# newest that Debian has.
export REAL_PROGRAMS ?= default

CODE := exporter tests scripts/reference.py scripts/manifests.py \
	deploy/image/healthcheck.py $(wildcard benchmarks mixin)

PYTEST_ARGS ?=
DEMO_ARGS ?=
BENCH_ARGS ?=
SOAK_ARGS ?=
MUTANTS_ARGS ?=

.PHONY: help demo test lint format dashboards docs soak mutants bench parts pristine clean
.PHONY: image image-check image-requirements manifests

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/.runtime ## run the exporter against a simulated account: no network, no credentials
	@exec $(BIN)/python -m exporter --demo $(DEMO_ARGS)

test: $(VENV)/.dev parts ## run the tests; PYTEST_ARGS='-k name' selects, REAL_PROGRAMS=newest
	$(BIN)/python -m pytest $(PYTEST_ARGS)

lint: $(VENV)/.dev ## check style, format and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy $(CODE)

format: $(VENV)/.dev ## fix style and format where ruff can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

dashboards: $(VENV)/.dev ## render dashboards/ and alerts/ from mixin/
	$(BIN)/python -m mixin render

docs: $(VENV)/.dev ## update the generated tables of the documentation
	$(BIN)/python scripts/reference.py
	cd tests && ../$(BIN)/python -m faultmatrix

soak: $(VENV)/.dev parts ## random faults against the truth; SOAK_ARGS='--minutes 10 --seed 7'
	cd tests && ../$(BIN)/python -m soak $(SOAK_ARGS)

mutants: $(VENV)/.dev ## changes in the code that no test notices; MUTANTS_ARGS='paging merge' for some modules
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --group mutants
	cd tests && ../$(BIN)/python -m mutants $(MUTANTS_ARGS)

bench: $(VENV)/.dev ## measure scrapes against peers; BENCH_ARGS='--quick' for two minutes of it
	$(BIN)/python -m benchmarks $(BENCH_ARGS)

parts: ## fetch the real programs that tests run, where they are missing
	@scripts/parts $(PARTS) $(REAL_PARTS)

pristine: ## demo and test in a new minimal Debian (needs root); SUITE=trixie, WHO=user
	scripts/pristine

image: ## build the container image with Docker
	docker build --tag cloudflare-mcp-exporter . \
		--build-arg REVISION="$$(git rev-parse HEAD)" \
		--build-arg VERSION="$$(sed -n 's/^__version__ = "\(.*\)"/\1/p' exporter/__init__.py)"

image-check: ## build the image and run it without Docker (on Debian, needs root)
	scripts/image-check

image-requirements: $(VENV)/.runtime ## update the locked versions of what the image installs
	$(BIN)/python -m pip install --quiet --disable-pip-version-check 'uv>=0.9'
	scripts/image-requirements $(BIN)/uv

manifests: $(VENV)/.dev ## render deploy/kubernetes/ from the chart
	$(BIN)/python scripts/manifests.py

clean: ## remove everything that the targets made
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamps are newer than pyproject.toml as long as what it asks for is installed.

$(VENV)/.made:
	@[ -n "$(PYTHON)" ] || { echo >&2 "make: needs Python 3.11 or newer: install it, or name it: make PYTHON=/path/to/python3"; exit 1; }
	@scripts/venv $(PYTHON) $(VENV)
	@touch $@

# The version is in the package.
$(VENV)/.runtime: $(VENV)/.made pyproject.toml exporter/__init__.py
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

# --group needs pip 25.1; what comes with an older Python does not know it.
$(VENV)/.dev: $(VENV)/.runtime pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --group dev
	@touch $@
