# Everything a newcomer needs: make run | test | check | bench | chaos.
# Each sets up .venv by itself; nothing but Python 3.11 or newer, git and make has to be there.

SHELL   := /bin/bash
BIN     := .venv/bin
WORKERS ?= auto
TESTS   ?= tests

.DEFAULT_GOAL := help
.PHONY: help run test check bench chaos fmt lock setup peers

help:  ## list these commands
	@grep -hE '^[a-z]+:.*  ## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*  ## /  make \1\t/' | expand -t 16

run: setup  ## start the server on this machine (data under ./data)
	@$(BIN)/onethread serve

test: setup peers  ## run the tests; TESTS=tests/customers for some, WORKERS=1 for one at a time
	@$(BIN)/pytest -n $(WORKERS) --dist loadgroup -q $(TESTS)

check: setup  ## lint, types, architecture, drift of the API description
	@scripts/check

bench: setup  ## measure, each figure beside its ceiling; writes benchmarks/results.md
	@$(BIN)/python -m benchmarks

chaos: setup peers  ## the long versions: many kills, long fuzzing, many cases of every law
	@ONETHREAD_CHAOS=1 $(BIN)/pytest -n $(WORKERS) --dist loadgroup -q --timeout 3600 $(TESTS)

fmt: setup  ## format the code and fix what can be fixed without thought
	@$(BIN)/ruff check --fix -q .; $(BIN)/ruff format .

lock: setup  ## pin every dependency anew, with hashes, for all platforms
	@$(BIN)/uv pip compile --quiet --upgrade --universal --generate-hashes --no-emit-index-url --no-header \
		--group dev pyproject.toml -o requirements.lock

setup: .venv/stamp
.venv/stamp: requirements.lock pyproject.toml scripts/setup
	@scripts/setup

peers:
	@scripts/peers
