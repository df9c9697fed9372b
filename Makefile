# Two commands matter: `make demo` and `make test`. Each sets up what it needs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help demo test check bench gpu mac-check picture clean

help: ## what there is
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## /\1\t/' | expand -t 10

demo: $(INSTALLED) ## watch an agent improve a small GPT on real text (ARGS="--plain --experiments 3")
	@$(BIN)/autoresearch demo $(ARGS)
	@echo "the command is $(BIN)/autoresearch; to type autoresearch alone: . $(BIN)/activate"

# Compiled beforehand, for where PYTHONDONTWRITEBYTECODE is set: the tests start a thousand processes of ours.
test: $(INSTALLED) ## run the tests, two to four at a time (ARGS="-n 0 -x tests/core": one at a time)
	@$(BIN)/python -m compileall -q core backends tui tests
	$(BIN)/python -m pytest --numprocesses logical --maxprocesses 4 --dist worksteal $(ARGS)

check: $(INSTALLED) ## style, types and the walls between the rooms
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(INSTALLED) ## measure what the README claims (about half an hour)
	@for bench in packing tokenising prompt search hybrid step memory mlx_memory cockpit handoff agent_soak confirm; do echo "== $$bench"; $(BIN)/python bench/$$bench.py || exit 1; done

gpu: $(INSTALLED) ## measure this machine's NVIDIA card: speed, start-up, evaluation, audit (ARGS="--seconds 300")
	$(BIN)/python bench/gpu.py $(ARGS)

mac-check: $(INSTALLED) ## test this Mac in three minutes; paste what it prints into an issue
	$(BIN)/python bench/mac_check.py $(ARGS)

picture: $(INSTALLED) ## draw docs/cockpit*.svg, the pictures in the README
	$(BIN)/python bench/picture.py

$(INSTALLED): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "autoresearch needs Python 3.11 or newer; name one: make PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

clean: ## remove the virtual environment and caches
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache build dist
