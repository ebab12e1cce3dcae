# Targets for development and CI. `make` without a target lists them.
# Needs make and Python 3.11 or newer. Everything else is installed into .venv.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

VENV := .venv
BIN := $(VENV)/bin
PARTS := $(VENV)/parts

# Each candidate is run, because the shim of a version manager can exist without working.
CANDIDATES := python3.14 python3.13 python3.12 python3.11 python3 /usr/bin/python3
PYTHON ?= $(shell for p in $(CANDIDATES); do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$p" && break; \
	done)

# The external programs that tests run; `scripts/parts` fetches missing ones. Node.js is installed as
# a Python package.
REAL_PARTS := $(filter-out node npm,$(shell sed -n 's/.*\brequire("\([a-z-]*\)").*/\1/p' tests/*.py | sort -u))
# Versions of Prometheus and Alertmanager: `default` is this distribution's, `newest` is Debian's
# newest.
export REAL_PROGRAMS ?= default

CODE := exporter tests scripts/examples.py scripts/manifests.py scripts/reference.py \
	deploy/compose/copy_files.py \
	deploy/image/healthcheck.py $(wildcard benchmarks mixin)

PYTEST_ARGS ?=
DEMO_ARGS ?=
BENCH_ARGS ?=
SOAK_ARGS ?=
TIMELINES_ARGS ?=
MUTANTS_ARGS ?=

.PHONY: help demo test lint format dashboards docs screenshots soak timelines mutants bench parts
.PHONY: pristine clean
.PHONY: image image-check image-requirements manifests

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/.runtime ## run the exporter against a simulated account: no network, no credentials
	@exec $(BIN)/python -m exporter --demo $(DEMO_ARGS)

test: $(VENV)/.dev parts ## run the tests; PYTEST_ARGS='-k name' selects, REAL_PROGRAMS=newest
	$(BIN)/python -m pytest $(PYTEST_ARGS)

lint: $(VENV)/.dev ## check lint, formatting and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy $(CODE)

format: $(VENV)/.dev ## auto-fix lint and formatting
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

dashboards: $(VENV)/.dev ## render dashboards/, alerts/ and the chart's files from mixin/
	$(BIN)/python -m mixin render --chart

docs: $(VENV)/.dev ## update the generated parts of the documentation
	$(BIN)/python scripts/reference.py
	$(BIN)/python scripts/examples.py
	cd tests && ../$(BIN)/python -m faultmatrix

screenshots: $(VENV)/.dev parts ## take the pictures of the documentation
	cd tests && ../$(BIN)/python -m screenshots

soak: $(VENV)/.dev parts ## compare metrics under random failures; SOAK_ARGS='--minutes 10 --seed 7'
	cd tests && ../$(BIN)/python -m soak $(SOAK_ARGS)

timelines: $(VENV)/.dev parts ## check alert rules on random timelines; TIMELINES_ARGS='--seeds 50 --from 7'
	cd tests && ../$(BIN)/python -m timelines $(TIMELINES_ARGS)

mutants: $(VENV)/.dev ## mutation testing; MUTANTS_ARGS='paging merge' selects modules
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --group mutants
	cd tests && ../$(BIN)/python -m mutants $(MUTANTS_ARGS)

bench: $(VENV)/.dev ## run the benchmarks; BENCH_ARGS='--quick' takes two minutes
	$(BIN)/python -m benchmarks $(BENCH_ARGS)

parts: ## fetch missing programs that tests run
	@scripts/parts $(PARTS) $(REAL_PARTS)

pristine: ## run demo and test in a fresh minimal Debian (needs root); SUITE=trixie, WHO=user
	scripts/pristine

image: ## build the container image with Docker
	docker build --tag cloudflare-mcp-exporter . \
		--build-arg REVISION="$$(git rev-parse HEAD)" \
		--build-arg VERSION="$$(sed -n 's/^__version__ = "\(.*\)"/\1/p' exporter/__init__.py)"

image-check: ## build and run the image without Docker (needs Debian and root)
	scripts/image-check

image-requirements: $(VENV)/.runtime ## update the locked dependencies of the image
	$(BIN)/python -m pip install --quiet --disable-pip-version-check 'uv>=0.9'
	scripts/image-requirements $(BIN)/uv

manifests: $(VENV)/.dev ## render deploy/kubernetes/ from the chart
	$(BIN)/python scripts/manifests.py

clean: ## remove everything that the targets created
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# These stamp files are newer than pyproject.toml while its dependencies are installed.

$(VENV)/.made:
	@[ -n "$(PYTHON)" ] || { echo >&2 "make: needs Python 3.11 or newer: install it, or set its path: make PYTHON=/path/to/python3"; exit 1; }
	@scripts/venv $(PYTHON) $(VENV)
	@touch $@

# The version is in the package.
$(VENV)/.runtime: $(VENV)/.made pyproject.toml exporter/__init__.py
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

# --group needs pip 25.1, which older Python versions do not include.
$(VENV)/.dev: $(VENV)/.runtime pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --group dev
	@touch $@
