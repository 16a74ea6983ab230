# Everything a developer or a build machine runs. Needs Python 3.11 or newer, Java 17 or newer, Maven, and a network
# the first time; nothing else need be installed by hand. `make help` lists the targets.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

VENV := .venv
RUN := $(VENV)/bin
DONE := $(VENV)/.done
KERNELS := $(wildcard src/fraudstream/*/kernels/*.py)

# The first that is 3.11 or newer and can make a virtual environment; the oldest first, since the tests run on it.
PYTHONS := python3.11 python3.12 python3.13 python3
FITS := import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))

.PHONY: help setup lint check test demo picture bench quality soak chaos fuzz real-data lock clean

help: ## List the targets.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' Makefile

setup: $(DONE)/kernels ## Set everything up in .venv; does nothing when nothing changed.

check: lint ## Format, lint, types, layers, and the quick tests.
	$(RUN)/pytest -m "not kafka and not slow"

test: lint ## Everything `check` looks at, and all tests, on real brokers.
	$(RUN)/pytest --numprocesses 2 --dist loadfile

demo: setup ## Run the whole thing for about a minute: Kafka, training, traffic, scoring, proof.
	$(RUN)/fraudstream demo

picture: setup ## Draw the pictures of the documents: the demo, a report as Chromium shows it, dashboards.
	$(RUN)/fraudstream demo --picture docs/images/demo.svg
	$(RUN)/python docs/images/draw_report.py
	PYTHONPATH=tests:tests/house $(RUN)/python docs/images/draw_dashboards.py

bench: setup ## Measure, also against peers (an hour), and write bench/results.json.
	$(RUN)/python -m bench.run
	$(RUN)/python -m bench.tables

soak: setup ## Ten minutes with sinks and notifications, which are killed, and PostgreSQL, too; write bench/soak.json.
	PYTHONPATH=tests $(RUN)/python -m bench.soak

chaos: setup ## An hour of faults of every kind, the scorer killed 350 times or more; write bench/chaos.json.
	$(RUN)/python tests/chaos/orchestrate.py --kills 350 --minutes 60 --out bench/chaos.json
	$(RUN)/python tests/chaos/simulate.py --schedules 20000 --out bench/chaos.json
	$(RUN)/python -m bench.chaos_table

fuzz: $(DONE)/fuzz ## Ten million records through the decoder, guided fuzzing of decoder, pipelines and rules; write bench/fuzz.json.
	PYTHONPATH=tests $(RUN)/python -m fuzz.run --out bench/fuzz.json

quality: setup ## Judge the models on the third-party data (../shared/data) and write bench/quality.json.
	$(RUN)/python -m bench.quality ../shared/data

real-data: setup ## The test on all third-party transactions (../shared/data), with the scorer killed on the way.
	FRAUDSTREAM_TEST_EVENTS=1754155 $(RUN)/pytest -s tests/runner/test_real_data.py

lock: setup ## Renew requirements.lock from pyproject.toml.
	$(RUN)/uv pip compile pyproject.toml --quiet --all-extras --group dev --universal --python-version 3.11 --upgrade \
		--generate-hashes --no-header --no-emit-index-url --no-annotate --output-file requirements.lock

clean: ## Remove the environment, caches and the local broker; history and models stay.
	-@test ! -x $(RUN)/fraudstream || $(RUN)/fraudstream kafka clean --force
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find src tests bench -name __pycache__ -type d -prune -exec rm -rf {} +

lint: setup
	$(RUN)/ruff format --check --quiet
	$(RUN)/ruff check --quiet
	$(RUN)/mypy
	$(RUN)/lint-imports --no-logo

# ── set-up, step by step; each leaves a mark and is done again when what it was made from changes ──────────────────

$(DONE)/tools:
	@command -v java > /dev/null || [ -x "$${JAVA_HOME:-}/bin/java" ] \
		|| { echo "make: Java was not found; the local Kafka runs on it. Install OpenJDK 17 or newer." >&2; exit 1; }
	@command -v mvn > /dev/null \
		|| { echo "make: Maven (mvn) was not found; it fetches Kafka. Install it (Debian, Ubuntu: apt install maven)." >&2; exit 1; }
	@for python in $(PYTHONS); do \
		if "$$python" -c "$(FITS)" 2> /dev/null; then chosen="$$python"; break; fi; \
	done; \
	[ -n "$${chosen:-}" ] || { echo "make: no Python 3.11 or newer with venv was found among: $(PYTHONS)." >&2; exit 1; }; \
	echo "making $(VENV) with $$("$$chosen" --version)"; \
	"$$chosen" -m venv $(VENV)
	@mkdir -p $(DONE) && touch $@

$(DONE)/libraries: requirements.lock | $(DONE)/tools
	$(RUN)/python -m pip install --quiet --disable-pip-version-check --no-compile --require-hashes -r requirements.lock
	@touch $@

$(DONE)/package: pyproject.toml $(DONE)/libraries
	$(RUN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

$(DONE)/kafka: src/fraudstream/kafka/jars.py | $(DONE)/package
	$(RUN)/fraudstream kafka download
	@touch $@

$(DONE)/kernels: $(KERNELS) $(DONE)/package | $(DONE)/kafka
	$(RUN)/python -m fraudstream.pipelines.warm
	@touch $@

$(DONE)/fuzz: pyproject.toml $(DONE)/kernels
	$(RUN)/uv pip install --quiet --python $(RUN)/python --no-deps --group fuzz
	@touch $@
