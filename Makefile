# Every command that the README names. `make` alone lists them.
SHELL := /bin/bash
PYTHON_VENV := .venv/bin/python
ARGS ?=
N ?= 20
SEED ?= 1

.DEFAULT_GOAL := help
.PHONY: help setup setup-demo demo test lint format bench faults day contract deb lock clean

help: ## list these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## install what is missing: mosquitto and PostgreSQL from Debian, Python's packages into .venv
	@tools/setup test

setup-demo:
	@tools/setup demo

demo: setup-demo ## the whole chain on this machine; ARGS="--once --out DIR" stops by itself and compares
	@$(PYTHON_VENV) -m demo $(ARGS)

test: setup ## style, types and the whole test suite (TESTS=path for a part of it, LONG=1 with the long ones, too)
	@tools/test

lint: setup ## style and types only
	@.venv/bin/ruff check . && .venv/bin/ruff format --check . && .venv/bin/mypy

format: setup ## lay out the code
	@.venv/bin/ruff check --fix . ; .venv/bin/ruff format .

bench: setup ## measure, with ratios to a baseline in the same run; ARGS chooses what
	@$(PYTHON_VENV) -m bench $(ARGS)

faults: setup ## N random faults from SEED against the running chain, then ledger against truth
	@$(PYTHON_VENV) -m tests.acceptance.faults --n $(N) --seed $(SEED) $(ARGS)

day: setup ## 24 simulated hours of an installation with its own authority, under faults, orders and renewals (25 minutes)
	@$(PYTHON_VENV) -m tests.acceptance.day $(ARGS)

contract: setup ## write docs/contract from the message models
	@$(PYTHON_VENV) -m tools.contract

deb: setup ## build the gateway's Debian package into dist/ (docs/operations-gateway.md)
	@$(PYTHON_VENV) -m tools.gateway_package $(ARGS)

lock: .tools/bin/uv ## pin all dependencies anew: requirements.lock, requirements-edge.lock
	.tools/bin/uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 \
		--no-header --no-annotate --quiet $(ARGS) --output-file requirements.lock
	.tools/bin/uv pip compile pyproject.toml --extra edge --universal --python-version 3.11 \
		--no-header --no-annotate --quiet --constraint requirements.lock --output-file requirements-edge.lock

.tools/bin/uv:
	python3 -m venv .tools
	.tools/bin/python -m pip install --quiet --disable-pip-version-check uv

clean: ## delete caches and the demo's data (.venv stays)
	rm -rf demo-data out build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .tools
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +
